"""Where a dataset folder may appear, and what an earlier one looks like."""

from pathlib import Path

from hub.appearing import OutputFolderError

_DATASET_FOLDER = {"README.md", "data", "splits.csv"}
_SOMETIMES = {"LICENSE.md", "classes.json", "figures", "rejected.csv", "removed.csv"}


def check_apart(photos: Path, out: Path) -> None:
    """Refuses an output folder that holds the photographs or lies among them.

    Raises:
        OutputFolderError: One of the two folders contains the other.
    """
    inside, outside = photos.resolve(), out.resolve()
    if inside == outside or inside in outside.parents or outside in inside.parents:
        raise OutputFolderError(f"{out} and {photos} lie one inside the other: choose an --out apart from them")


def is_dataset_folder(folder: Path) -> bool:
    """Tells whether a folder holds what `build` makes and nothing else."""
    names = {path.name for path in folder.iterdir()}
    return names >= _DATASET_FOLDER and names <= _DATASET_FOLDER | _SOMETIMES
