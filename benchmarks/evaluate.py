"""The speed and memory of `train evaluate` beside the model alone: `python -m benchmarks.evaluate --help`.

The bare side is the same model's forward pass over random tensors, in the same layout and with the same threads: the
most that any evaluation could reach on this machine. Both sides run in processes of their own that take turns, so
that whatever else the machine does meets both; a ratio is the median of the rounds' ratios.
"""

import argparse
import hashlib
import io
import json
import os
import shutil
import statistics
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from tqdm import tqdm

from benchmarks.sides import ROOT, run_side

SEED = 8
CLASSES = ["bharatanatyam", "kathak", "kathakali", "kuchipudi", "manipuri", "mohiniyattam", "odissi", "sattriya"]
_ROWS_AT_ONCE = 500


def main(words: list[str] | None = None) -> None:
    """Prints one table."""
    options = parse(words)
    work = options.work
    shutil.rmtree(work, ignore_errors=True)
    mean_size = write_dataset(work / "dances", options.pictures, options.width)
    write_model(work / "model", options.architecture, options.size)
    rounds, load = [], [os.getloadavg()[0]]
    for number in range(options.rounds):
        results = {}
        for name, command in sides(options, work).items():
            print(f"round {number + 1}/{options.rounds}: {name}", file=sys.stderr)
            results[name] = run_side(command, work / f"{name}.log")
        rounds.append(results)
        load.append(os.getloadavg()[0])
    print(
        f"{options.pictures:,} JPEGs of {options.width} px, {mean_size / 1000:.0f} kB; {options.architecture}, "
        f"{options.size} px, batch {options.batch_size}, {options.workers} loader processes, {os.cpu_count()} cores, "
        f"medians of {options.rounds} rounds; load average {min(load):.1f} to {max(load):.1f} between them.\n"
    )
    print(table(rounds))


def parse(words: list[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=10_000)
    parser.add_argument("--width", type=int, default=320, help="of a picture; three quarters of it are its height")
    parser.add_argument("--architecture", default="resnet34")
    parser.add_argument("--size", type=int, default=224, help="of what the model sees")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=40, help="of the bare side")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "bench-evaluate", help="made anew each time")
    return parser.parse_args(words)


def sides(options: argparse.Namespace, work: Path) -> dict[str, list[str | Path]]:
    """Returns the command of each side, in the order in which they take turns."""
    side: list[str | Path] = [sys.executable, "-m", "benchmarks.side_evaluate"]
    batch = str(options.batch_size)
    evaluate = [
        f"dataset={work / 'dances'}", f"output_dir={work / 'out'}", f"batch_size={batch}",
        f"num_workers={options.workers}",
    ]  # fmt: skip
    return {
        "bare": [*side, "bare", work / "model", batch, str(options.steps)],
        "evaluate": [*side, "evaluate", work / "model", *evaluate],
    }


def table(rounds: list[dict[str, dict[str, Any]]]) -> str:
    """Returns the results in Markdown."""
    lines = ["| | evaluate | the model alone | ratio |", "|---|--:|--:|--:|"]
    rates = [tuple(done[side]["images_per_second"] for side in ("evaluate", "bare")) for done in rounds]
    ours, bare = (statistics.median(values) for values in zip(*rates, strict=True))
    ratio = statistics.median(a / b for a, b in rates)
    lines.append(f"| pictures/s | {ours:.1f} | {bare:.1f} | {ratio:.3f} |")
    for title, key in (("whole command, s", "seconds"), ("peak memory, MB", "peak_mb")):
        value = (statistics.median if key == "seconds" else max)(done["evaluate"][key] for done in rounds)
        lines.append(f"| {title} | {value:,.0f} | | |")
    return "\n".join(lines)


def write_dataset(folder: Path, pictures: int, width: int) -> float:
    """Draws a dataset folder with one split, test; returns how large a picture's file is on average, in bytes."""
    folder.mkdir(parents=True)
    features = {
        "image": {"_type": "Image"},
        "label": {"_type": "ClassLabel", "names": CLASSES},
        "sha256": {"_type": "Value", "dtype": "string"},
        "group": {"_type": "Value", "dtype": "string"},
    }
    schema = pa.schema(
        [
            ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
            ("label", pa.int64()),
            ("sha256", pa.string()),
            ("group", pa.string()),
        ]
    ).with_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    total = 0
    with pq.ParquetWriter(folder / "test.parquet", schema) as writer:
        for rows in _batches(pictures, width):
            total += sum(len(row["image"]["bytes"]) for row in rows)
            writer.write_table(pa.Table.from_pylist(rows, schema))
    return total / pictures


def _batches(pictures: int, width: int) -> Iterator[list[dict[str, Any]]]:
    rows = []
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        drawn = pool.map(draw, range(pictures), [width] * pictures, chunksize=16)
        for number, content in enumerate(tqdm(drawn, total=pictures, desc="Drawing", unit="picture")):
            name = hashlib.sha256(content).hexdigest()
            image = {"bytes": content, "path": f"{number:06d}.jpg"}
            rows.append({"image": image, "label": number % len(CLASSES), "sha256": name, "group": name})
            if len(rows) == _ROWS_AT_ONCE or number + 1 == pictures:
                yield rows
                rows = []


def draw(number: int, width: int) -> bytes:
    """Draws shapes and some grain, and returns them as a JPEG."""
    random = np.random.default_rng((SEED, number))
    size = (width, width * 3 // 4)
    shapes, texture = (
        Image.fromarray(random.integers(0, 256, (side * 3 // 4, side, 3), np.uint8)).resize(
            size, Image.Resampling.BICUBIC
        )
        for side in (16, 96)
    )
    file = io.BytesIO()
    Image.blend(shapes, texture, 0.3).save(file, "JPEG", quality=88)
    return file.getvalue()


def write_model(folder: Path, architecture: str, size: int) -> None:
    """Writes a model folder with random weights."""
    import timm
    from timm.models import save_for_hf

    from train.export.model_folder import drop_model_args
    from train.model import model_data_config

    model = timm.create_model(architecture, num_classes=len(CLASSES))
    data_config = model_data_config(model, size, "squash")
    config = {"label_names": CLASSES}
    save_for_hf(model, str(folder), model_config=config, safe_serialization=True, data_config=data_config)
    drop_model_args(folder / "config.json")


if __name__ == "__main__":
    main()
