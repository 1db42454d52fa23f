"""The speed and memory of `dataset_card build`: `python -m benchmarks.build_dataset --help`.

Building is compared with what can't be saved, decoding the same files on the same cores. Both run in processes of
their own that take turns, so that whatever else the machine does meets both; a ratio is the median over the rounds.
"""

import argparse
import hashlib
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

ROOT = Path(__file__).parents[1]
SEED = 8
CLASSES = ("kathak", "odissi")


def main() -> None:
    """Prints one table."""
    options = parse()
    if options.child:
        print(json.dumps(CHILDREN[options.child](options)))
        return
    load = [os.getloadavg()[0]]
    rows = []
    if options.pictures:
        with drawn_pictures(options) as folder:
            rows += build_rows(options, folder, load)
    if options.hashes:
        for kind in ("random", "a third equal", "a third near each other"):
            seconds, peak = run_child(options, "search", "--kind", kind)
            rows.append((f"search in {options.hashes:,} hashes, {kind}", seconds, "", peak))
    load.append(os.getloadavg()[0])
    print(f"{os.cpu_count()} cores; load {min(load):.1f} to {max(load):.1f}")
    print("\n| | seconds | ratio | peak memory |\n|---|--:|--:|--:|")
    for name, seconds, ratio, peak in rows:
        print(f"| {name} | {seconds:.1f} | {ratio} | {peak / 1e6:,.0f} MB |")


def parse() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=10_000, help="0 leaves the build out")
    parser.add_argument("--width", type=int, default=1024, help="of a picture; three quarters of it are its height")
    parser.add_argument("--hashes", type=int, default=60_000, help="0 leaves the search out")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--folder", type=Path, help="where the pictures are drawn, 200 kB each at 1024 pixels; not kept"
    )
    parser.add_argument("--child", choices=CHILDREN, help=argparse.SUPPRESS)
    parser.add_argument("--kind", help=argparse.SUPPRESS)
    return parser.parse_args()


def build_rows(options: argparse.Namespace, folder: Path, load: list[float]) -> list[tuple[str, float, str, float]]:
    """Decodes, writes and builds in turn."""
    runs: dict[str, list[tuple[float, float]]] = {side: [] for side in ("decode", "write", "build", "again")}
    for number in range(options.rounds):
        print(f"round {number + 1}/{options.rounds}", file=sys.stderr)
        for side, results in runs.items():
            results.append(run_child(options, side, "--folder", str(folder)))
        load.append(os.getloadavg()[0])
    sizes = [file.stat().st_size for file in (folder / "photos" / CLASSES[0]).iterdir()]
    what = f"{options.pictures:,} JPEGs, {options.width} px, {statistics.mean(sizes) / 1000:.0f} kB"
    names = {
        "decode": f"decode {what}",
        "write": "write their bytes to one file",
        "build": "build from them",
        "again": "build again after one correction (ratio to the first build)",
    }
    rows = []
    for side, results in runs.items():
        against = runs["build" if side == "again" else "decode"]
        ratio = statistics.median(ours / bare for (ours, _), (bare, _) in zip(results, against, strict=True))
        seconds = statistics.median(seconds for seconds, _ in results)
        rows.append((names[side], seconds, f"{ratio:.2f}", max(peak for _, peak in results)))
    return rows


def run_child(options: argparse.Namespace, *words: str) -> tuple[float, float]:
    """Runs one side in a process of its own: its seconds, and the most memory it had, in bytes."""
    command = [sys.executable, "-m", "benchmarks.build_dataset", "--hashes", str(options.hashes), "--child", *words]
    run = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    seconds, peak = json.loads(run.stdout.splitlines()[-1])
    return seconds, peak


@contextmanager
def drawn_pictures(options: argparse.Namespace) -> Iterator[Path]:
    """Draws the pictures into a folder that goes away again."""
    with tempfile.TemporaryDirectory(prefix="nritya-bench-", dir=options.folder) as name:
        for label in CLASSES:
            (Path(name) / "photos" / label).mkdir(parents=True)
        jobs = [(Path(name) / "photos", options.width, number) for number in range(options.pictures)]
        with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
            drawn = pool.map(draw, jobs, chunksize=16)
            list(tqdm(drawn, total=len(jobs), desc="Drawing", unit="picture"))
        yield Path(name)


def draw(job: tuple[Path, int, int]) -> None:
    """Draws shapes, texture and grain: what makes a JPEG as large, and as slow to decode, as a photograph."""
    photos, width, number = job
    random = np.random.default_rng((SEED, number))
    size = (width, width * 3 // 4)

    def layer(columns: int) -> Image.Image:
        blocks = random.integers(0, 256, (columns * 3 // 4, columns, 3), np.uint8)
        return Image.fromarray(blocks).resize(size, Image.Resampling.BICUBIC)

    grain = Image.fromarray(random.integers(0, 256, (size[1], size[0], 3), np.uint8))
    picture = Image.blend(Image.blend(layer(16), layer(128), 0.3), grain, 0.06)
    picture.save(photos / CLASSES[number % 2] / f"{number:06d}.jpg", quality=88)


def decode_side(options: argparse.Namespace) -> tuple[float, float]:
    """Only decodes."""
    files = sorted((options.folder / "photos").rglob("*.jpg"))

    def decode(file: Path) -> None:
        with Image.open(file) as image:
            image.load()

    def work() -> None:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(decode, files))

    return measured(work)


def write_side(options: argparse.Namespace) -> tuple[float, float]:
    """Only writes as many bytes as the dataset will have: on some machines that is no small part."""
    target = options.folder / "bytes"

    def work() -> None:
        with target.open("wb") as everything:
            for file in sorted((options.folder / "photos").rglob("*.jpg")):
                everything.write(file.read_bytes())

    result = measured(work)
    target.unlink()
    return result


def build_side(options: argparse.Namespace) -> tuple[float, float]:
    """Builds a dataset folder from scratch."""
    from dataset_card.build import build

    for left in (options.folder / "dances", options.folder / ".dances.scan.parquet"):
        shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)
    return measured(lambda: build(options.folder / "photos", options.folder / "dances", SEED))


def again_side(options: argparse.Namespace) -> tuple[float, float]:
    """Builds once more after a correction of one picture."""
    from dataset_card.build import build

    picture = next((options.folder / "photos" / CLASSES[0]).iterdir())
    corrections = options.folder / "corrections.csv"
    sha256 = hashlib.sha256(picture.read_bytes()).hexdigest()
    corrections.write_text(f"sha256,action,label\n{sha256},relabel,{CLASSES[1]}\n", encoding="utf-8")
    return measured(lambda: build(options.folder / "photos", options.folder / "dances", SEED, corrections=corrections))


def search_side(options: argparse.Namespace) -> tuple[float, float]:
    """Groups made-up hashes of whole pictures; those of their parts are unrelated."""
    from dataset_card.curate.duplicates import HASH_BYTES, PERCEPTUAL_BYTES, near_groups, near_pairs

    random = np.random.default_rng(SEED)
    bits = random.integers(0, 2, (options.hashes, 8 * PERCEPTUAL_BYTES), np.uint8)
    third = options.hashes // 3
    if options.kind == "a third equal":
        bits[:third] = 0
    elif options.kind == "a third near each other":
        bits[:third] = random.random((third, 8 * PERCEPTUAL_BYTES)) < 0.1
    hashes = random.integers(0, 256, (options.hashes, HASH_BYTES), np.uint8)
    hashes[:, :PERCEPTUAL_BYTES] = np.packbits(bits, axis=1)
    if options.kind == "a third equal":
        hashes[:third] = hashes[0]
    del bits
    return measured(lambda: near_groups(hashes, near_pairs(hashes)))


def measured(work: Callable[[], object]) -> tuple[float, float]:
    """Returns seconds, and the peak memory of the process in bytes."""
    start = time.perf_counter()
    work()
    seconds = time.perf_counter() - start
    unit = 1 if sys.platform == "darwin" else 1024
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


CHILDREN = {
    "decode": decode_side,
    "write": write_side,
    "build": build_side,
    "again": again_side,
    "search": search_side,
}


if __name__ == "__main__":
    main()
