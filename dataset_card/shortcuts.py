"""Shortcuts: how well the class of a picture can be told from what has nothing to do with what it shows.

Where darkness, size or an agency's mark alone predict the class, a model may learn these instead, and be right on this
dataset only (Geirhos et al. 2020, "Shortcut learning in deep neural networks").
"""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from pictures.decoding import NO_WARNINGS

_SIDE = 48
# The lowest part of a picture, where agencies and cameras write.
_STRIP, _STRIP_SIDES, _STRIP_CELLS = 0.08, (96, 16), (12, 2)
# Levels of 255 by which the rows of a border may differ from its edge.
_EVEN = 6.0
_PARTS = {
    "light": slice(0, 2),
    "colour": slice(2, 5),
    "border": slice(5, 9),
    "size": slice(9, 10),
    "aspect": slice(10, 11),
    "compression": slice(11, 13),
    "bottom strip": slice(13, 13 + 2 * math.prod(_STRIP_CELLS)),
}
"""What can be told of a picture without looking at it, and where `marks_of` has it."""
MEANINGS = {
    "light": "the mean and spread of its brightness",
    "colour": "its mean colour",
    "border": "the width of even borders",
    "size": "its number of pixels",
    "aspect": "width over height",
    "compression": "its JPEG quality and bytes per pixel",
    "bottom strip": "a coarse view of its lowest 8 %",
}
"""What each is, in words."""

_FOLDS, _TREES = 5, 100
# More pictures would tell hardly more, and take longer.
_MOST_PICTURES, _FEWEST_PICTURES = 2000, 100
# Points above chance, at the lower end of the interval, from which a shortcut is worth a word.
_MARGIN = 0.05


@dataclass(frozen=True)
class Shortcut:
    """How well a model does that sees one thing only.

    Attributes:
        name: What it sees, a key of `MEANINGS`.
        accuracy: How often it is right, 0 to 1.
        interval: The 95 % interval of that (Wilson's), each group of pictures counted once.
        chance: How often one is right that sees nothing: the share of the largest class.
        classes: The share that it names rightly of each of the three classes that it tells best.
    """

    name: str
    accuracy: float
    interval: tuple[float, float]
    chance: float
    classes: dict[str, float]

    @property
    def tells(self) -> bool:
        """Whether it is better than chance by more than chance explains."""
        return self.interval[0] > self.chance + _MARGIN

    def sentence(self) -> str:
        """Returns what was found, in words."""
        best = ", ".join(f"{label} {share:.0%}" for label, share in self.classes.items())
        return (
            f"a model that sees only {MEANINGS[self.name]} is right in {self.accuracy:.0%} (95 % interval "
            f"{self.interval[0]:.0%} – {self.interval[1]:.0%}; chance {self.chance:.0%}); best of {best}"
        )


def marks_of(image: Image.Image, content: bytes) -> bytes:
    """Returns what can be told of a picture without looking at it.

    Args:
        image: The decoded picture, RGB.
        content: Its file.

    Returns:
        float32 numbers: `find_shortcuts` knows which.
    """
    small = np.asarray(image.resize((_SIDE, _SIDE), Image.Resampling.BOX, reducing_gap=1.0), np.float32)
    grey = small @ np.array([0.299, 0.587, 0.114], np.float32)
    borders = [_even_rows(side) / _SIDE for side in (grey, grey[::-1], grey.T, grey.T[::-1])]
    width, height = image.size
    strip = image.crop((0, height - max(1, round(_STRIP * height)), width, height))
    levels = np.asarray(strip.convert("L").resize(_STRIP_SIDES, Image.Resampling.BOX), np.float32)
    across, down = _STRIP_CELLS
    cells = levels.reshape(down, _STRIP_SIDES[1] // down, across, _STRIP_SIDES[0] // across)
    marks = [
        grey.mean(), grey.std(), *small.mean((0, 1)), *borders, math.log(width * height), math.log(width / height),
        _quantisation(content), math.log(len(content) / (width * height)),
        *cells.mean((1, 3)).ravel(), *cells.std((1, 3)).ravel(),
    ]  # fmt: skip
    return np.array(marks, np.float32).tobytes()


def find_shortcuts(marks: Sequence[bytes], labels: Sequence[str], groups: Sequence[str]) -> list[Shortcut]:
    """Measures how well each mark alone tells the class, by extremely randomised trees and folds by group.

    Geurts, Ernst and Wehenkel 2006, "Extremely randomized trees": they find thresholds and exact values alike.

    Args:
        marks: Of every picture, from `marks_of`.
        labels: The name of its class.
        groups: Its group: pictures of one group are on one side.

    Returns:
        One per mark, the most telling first; empty for fewer than 100 pictures, or where a class has fewer than five
        groups.
    """
    # Not at the start: scans, and whoever builds from few pictures, need none of it, and it takes a second.
    from scipy.stats import binomtest
    from sklearn.ensemble import ExtraTreesClassifier
    from sklearn.model_selection import StratifiedGroupKFold

    chosen = np.arange(len(labels))
    if len(labels) > _MOST_PICTURES:
        chosen = np.sort(np.random.default_rng(0).permutation(len(labels))[:_MOST_PICTURES])
    label, group = (np.array(values, object)[chosen].astype(str) for values in (labels, groups))
    classes, counts = np.unique(label, return_counts=True)
    few = [name for name in classes if len(set(group[label == name])) < _FOLDS]
    if len(label) < _FEWEST_PICTURES or len(classes) < 2 or few:
        return []
    numbers = np.stack([np.frombuffer(marks[index], np.float32) for index in chosen.tolist()])
    folds = list(StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=0).split(numbers, label, group))
    witnesses = len(set(group))
    found = []
    for name, part in _PARTS.items():
        right = np.zeros(len(label), bool)
        for train, held_out in folds:
            model = ExtraTreesClassifier(_TREES, min_samples_leaf=2, random_state=0)
            model.fit(numbers[train, part], label[train])
            right[held_out] = model.predict(numbers[held_out, part]) == label[held_out]
        interval = binomtest(round(right.mean() * witnesses), witnesses).proportion_ci(method="wilson")
        shares = {str(of): float(right[label == of].mean()) for of in classes}
        best = dict(sorted(shares.items(), key=lambda pair: -pair[1])[:3])
        chance = float(counts.max() / counts.sum())
        found.append(Shortcut(name, float(right.mean()), (float(interval.low), float(interval.high)), chance, best))
    return sorted(found, key=lambda shortcut: -shortcut.accuracy)


def _even_rows(rows: np.ndarray) -> int:
    """Returns how many rows from the first on have one level, the same in all of them."""
    uneven = np.abs(rows - rows[0].mean()).max(1) > _EVEN
    return int(uneven.argmax()) if uneven.any() else len(rows)


def _quantisation(content: bytes) -> float:
    """Returns the logarithm of a JPEG's mean quantisation step, which says how much was thrown away; else -1."""
    with NO_WARNINGS, Image.open(io.BytesIO(content)) as image:
        tables = getattr(image, "quantization", None)
        # Pillow decodes tables of zeros, too.
        return math.log(max(float(np.mean(tables[min(tables)])), 0.01)) if tables else -1.0
