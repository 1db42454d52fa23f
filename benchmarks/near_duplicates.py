"""Which changed copies the search for near-duplicates finds, and what it takes for copies by mistake.

    python -m benchmarks.near_duplicates PHOTOS... [--originals 300] [--search 10000]

Of photographs in folders of classes, some are changed in a known way, and the distance from each copy to its original
is measured: mirrored, cropped, framed, scaled, saved poorly. The pairs among the photographs themselves are listed up
to a few bits beyond `SPLIT_DISTANCE`, to be judged by eye. Last, the search is timed on random hashes.
"""

import argparse
import io
import os
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from dataset_card.curate.duplicates import (
    HASH_BYTES,
    SAME_DISTANCE,
    SPLIT_DISTANCE,
    estimate_distance,
    hash_rows,
    image_hashes,
    near_pairs,
)
from pictures.decoding import decode

SEED = 8
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}

Change = Callable[[Image.Image], Image.Image]


def cut(image: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    """Cuts off shares of the width and the height."""
    width, height = image.size
    return image.crop(
        (round(width * left), round(height * top), round(width * (1 - right)), round(height * (1 - bottom)))
    )


def poor_jpeg(image: Image.Image) -> Image.Image:
    """Saves at JPEG quality 30."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=30)
    return Image.open(file).convert("RGB")


def halved(image: Image.Image) -> Image.Image:
    """Scales to half the width and height."""
    return image.resize((max(32, image.width // 2), max(32, image.height // 2)), Image.Resampling.LANCZOS)


def brighter(image: Image.Image) -> Image.Image:
    """Makes every channel 30 % brighter."""
    return image.point(lambda value: min(255, int(value * 1.3)))


def framed(image: Image.Image, share: float) -> Image.Image:
    """Puts a frame around, its width a share of the shorter side."""
    return ImageOps.expand(image, max(1, round(min(image.size) * share)), "darkred")


def _every_side(share: float) -> Change:
    return lambda image: cut(image, share, share, share, share)


CHANGES: dict[str, Change] = {
    "scaled to half": halved,
    "JPEG quality 30": poor_jpeg,
    "30 % brighter": brighter,
    "frame of 2.5 %": partial(framed, share=0.025),
    "frame of 5 %": partial(framed, share=0.05),
    **{f"{share:.1%} off every side": _every_side(share) for share in (0.025, 0.05, 0.075, 0.1, 0.125)},
    "10 % off every side, JPEG quality 30": lambda image: poor_jpeg(_every_side(0.1)(image)),
    "5 % off the bottom": lambda image: cut(image, 0, 0, 0, 0.05),
    "10 % off the top": lambda image: cut(image, 0, 0.1, 0, 0),
    "15 % off the bottom": lambda image: cut(image, 0, 0, 0, 0.15),
    "10 % off left and right": lambda image: cut(image, 0.1, 0, 0.1, 0),
    "mirrored": ImageOps.mirror,
    "mirrored, scaled to half": lambda image: ImageOps.mirror(halved(image)),
    "mirrored, 5 % off every side": lambda image: ImageOps.mirror(_every_side(0.05)(image)),
    "mirrored, 10 % off every side": lambda image: ImageOps.mirror(_every_side(0.1)(image)),
}


def open_image(path: Path) -> Image.Image:
    """Decodes a file to upright RGB."""
    return decode(path.read_bytes()).image


def distances_to_originals(originals: np.ndarray, copies: np.ndarray) -> np.ndarray:
    """Returns the distance of each copy to its own original; hashes of shape (pictures, HASH_BYTES)."""
    count = len(originals)
    distances = np.zeros(count, int)
    for first, second, found in near_pairs(np.concatenate([originals, copies]), 255, known=count, within=False):
        own = second - count == first
        distances[first[own]] = found[own]
    return distances


def list_pairs(paths: list[Path], hashes: np.ndarray, distance: int) -> Iterator[tuple[int, Path, Path]]:
    """Lists the near pairs, the closest first."""
    found = [pair for block in near_pairs(hashes, distance) for pair in zip(*block, strict=True)]
    for first, second, bits in sorted(found, key=lambda pair: (pair[2], pair[0], pair[1])):
        yield int(bits), paths[first], paths[second]


def main() -> None:
    """Reads the arguments and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="+", type=Path, help="folders with a folder per class")
    parser.add_argument("--originals", type=int, default=300, help="how many are changed")
    parser.add_argument("--search", type=int, nargs="*", default=[10_000], help="hashes to time the search on")
    args = parser.parse_args()

    paths = [path for folder in args.photos for path in sorted(folder.glob("*/*")) if path.suffix.lower() in SUFFIXES]
    labels = [path.parent.name for path in paths]
    hashed, seconds = [], 0.0
    for path in paths:
        image = open_image(path)
        start = time.perf_counter()
        hashed.append(image_hashes(image))
        seconds += time.perf_counter() - start
    hashes = hash_rows(hashed)
    print(f"{len(paths):,} pictures, {1000 * seconds / len(paths):.2f} ms each for the hashes\n")

    chosen = random.Random(SEED).sample(range(len(paths)), min(args.originals, len(paths)))

    def changed(position: int) -> list[bytes]:
        image = open_image(paths[position])
        return [image_hashes(change(image)) for change in CHANGES.values()]

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        copies = list(pool.map(changed, chosen))
    print(f"| {len(chosen)} copies | within {SAME_DISTANCE} | within {SPLIT_DISTANCE} | median | 99 % | largest |")
    print("|---|--:|--:|--:|--:|--:|")
    for name, column in zip(CHANGES, zip(*copies, strict=True), strict=True):
        distances = distances_to_originals(hashes[chosen], hash_rows(column))
        same, near = (distances <= SAME_DISTANCE).sum(), (distances <= SPLIT_DISTANCE).sum()
        middle, most, largest = np.percentile(distances, [50, 99, 100], method="higher")
        print(f"| {name} | {same} | {near} | {middle} | {most} | {largest} |")

    print(f"\nEstimated distance for splitting: {estimate_distance(hashes, labels)}. Pairs among the pictures:")
    for bits, first, second in list_pairs(paths, hashes, SPLIT_DISTANCE + 4):
        print(f"{bits:4} {first} {second}")

    rng = np.random.default_rng(SEED)
    for count in args.search:
        noise = rng.integers(0, 256, (count, HASH_BYTES), np.uint8)
        start = time.perf_counter()
        found = sum(len(first) for first, _, _ in near_pairs(noise))
        print(f"search in {count:,}: {time.perf_counter() - start:.1f} s, {found} pairs")


if __name__ == "__main__":
    main()
