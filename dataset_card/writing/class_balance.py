"""A figure that shows how many pictures every class has, and where they went."""

from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.ticker import MaxNLocator

from dataset_card.writing.captions import MOST_CLASSES, captions
from dataset_card.writing.tables import Contents, class_counts

mpl.use("agg")

_COLOURS = {"train": "#1f5f8b", "validation": "#8db6cd", "test": "#d1603d"}


def write_class_balance(folder: Path, contents: Contents) -> Path:
    """Writes `figures/class_balance.png` below `folder`: a bar per class, parted by split, the longest on top.

    Of more than a hundred classes the largest are shown.
    """
    counts = class_counts(contents)
    caption_of = dict(zip(contents.label_names, captions(contents.label_names), strict=True))
    order = sorted(counts, key=lambda label: sum(counts[label].values()))[-MOST_CLASSES:]
    places = range(len(order))
    figure, axis = plt.subplots(figsize=(8, 0.9 + 0.36 * len(order)), dpi=150)
    left = [0] * len(order)
    for split in contents.rows:
        widths = [counts[label][split] for label in order]
        axis.barh(places, widths, left=left, color=_COLOURS[split], label=split, height=0.72)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    for place, total in enumerate(left):
        axis.text(total, place, f" {total}", va="center", fontsize=9)
    # A name may hold a dollar, which would begin a formula.
    axis.set_yticks(places, [caption_of[label] for label in order], parse_math=False, fontfamily="DejaVu Sans")
    axis.spines[["top", "right"]].set_visible(False)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_xlabel("pictures")
    axis.legend(frameon=False, ncols=len(contents.rows), loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0)
    path = folder / "figures" / "class_balance.png"
    path.parent.mkdir(exist_ok=True)
    # No version, no date: the same pictures give the same bytes.
    figure.savefig(path, bbox_inches="tight", metadata={"Software": None})
    plt.close(figure)
    return path
