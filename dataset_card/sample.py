"""The story of `dataset_card sample`: a folder of drawn dancers that stands in for photographs."""

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from tqdm import tqdm

from dataset_card.drawing.picture import DANCES, draw_picture
from dataset_card.provenance import DRAWING, FILE_NAME, Provenance, read_provenance, write_provenance
from files.atomic import atomic_folder

JPEG_QUALITY = 90


def draw_sample(photos: Path, per_class: int, seed: int) -> int:
    """Draws `per_class` pictures of every dance into `photos`, a sub-folder per dance.

    A file's bytes depend on its dance, its number and the seed alone. An earlier sample is replaced.

    Returns:
        How many pictures were drawn.

    Raises:
        OutputFolderError: `photos` holds something else.
    """
    jobs = [(dance, seed, number) for dance in DANCES for number in range(per_class)]
    with atomic_folder(photos, is_sample) as folder:
        for dance in DANCES:
            (folder / dance).mkdir()
        # "spawn": forking a process that may hold threads is not safe.
        with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
            drawn = pool.map(_draw_file, [folder] * len(jobs), jobs, chunksize=8)
            files = list(tqdm(drawn, total=len(jobs), desc="Drawing dancers", unit="picture"))
        write_provenance(
            folder, [Provenance(file, source=DRAWING, author="Nritya", license="cc0-1.0") for file in files]
        )
    return len(files)


def is_sample(folder: Path) -> bool:
    """Tells whether a folder holds drawings of ours and nothing else: photographs are never replaced."""
    if not (folder / FILE_NAME).is_file():
        return False
    records = read_provenance(folder)
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return files == {FILE_NAME, *records} and all(record.source == DRAWING for record in records.values())


def _draw_file(folder: Path, job: tuple[str, int, int]) -> str:
    dance, _, number = job
    file = f"{dance}/{dance}-{number:03d}.jpg"
    draw_picture(*job).save(folder / file, "JPEG", quality=JPEG_QUALITY)
    return file
