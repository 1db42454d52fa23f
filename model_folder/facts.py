"""What a model folder tells of its dances, mistakes and itself; anybody may have written it, so it is only read."""

import json
import math
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

LONGEST_FACT = 500
HALF = 0.5
"""The threshold that is served where a model folder names none."""
# Within words of Indian scripts these two say how letters join.
_JOINERS = "\u200c\u200d"
# By the first word of a letter's Unicode name.
_LANGUAGES = {
    "ARABIC": "ur", "BENGALI": "bn", "DEVANAGARI": "hi", "GUJARATI": "gu", "GURMUKHI": "pa", "KANNADA": "kn",
    "MALAYALAM": "ml", "MEETEI": "mni", "ORIYA": "or", "TAMIL": "ta", "TELUGU": "te",
}  # fmt: skip
_ONLY_ASSAMESE = "ৰৱ"


@dataclass(frozen=True)
class Dance:
    """What there is to tell about a class; what is not known is empty.

    Attributes:
        label: The class.
        name: For people.
        native: The name in the script of its home, and the `lang` of HTML that reads it aloud rightly, or "".
        native_language: See there.
        region: Where it comes from.
        fact: One line about it.
        look_for: What a photograph shows of it.
        language: In which region, fact and look_for are, as `lang` of HTML has it.
    """

    label: str
    name: str
    native: str = ""
    native_language: str = ""
    region: str = ""
    fact: str = ""
    look_for: str = ""
    language: str = "en"


@dataclass(frozen=True)
class Confusions:
    """What the pictures were that a model called one dance.

    Attributes:
        pictures: Of the test split that the model called so.
        others: Labels of those that were something else, and how many; the two most frequent.
    """

    pictures: int
    others: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Pair:
    """The two classes that a model takes for each other most often.

    Attributes:
        labels: Of the two, in the order of the classes.
        mistakes: Test pictures of one of them that the model took for the other.
        pictures: Test pictures of the two.
    """

    labels: tuple[str, str]
    mistakes: int
    pictures: int


@dataclass(frozen=True)
class PredictionSets:
    """Which classes a picture may be of: those with at least a certain probability.

    Attributes:
        cut: That probability, 0 to 1.
        coverage: The share of pictures like those of the validation split whose set holds the true class, 0 to 1.
        elsewhere: The share that was measured on test pictures from sources that the model has not learned from, 0 to
            1; None where nobody measured it.
        pictures: How many these were.
    """

    cut: float
    coverage: float
    elsewhere: float | None = None
    pictures: int = 0

    def of(self, probs: Mapping[str, float]) -> tuple[str, ...]:
        """Returns the set of a picture by its probabilities: at least one label, the likeliest first."""
        order = sorted(probs, key=lambda label: -probs[label])
        return tuple(label for place, label in enumerate(order) if not place or probs[label] >= self.cut)


@dataclass(frozen=True)
class Threshold:
    """Below which probability a model does not answer.

    Attributes:
        value: 0 to 1.
        promised: The share of its answers that is right at least, 0 to 1; None where nothing is promised.
    """

    value: float = HALF
    promised: float | None = None


@dataclass(frozen=True)
class Crop:
    """What a model sees of a picture, in timm's terms.

    Attributes:
        height: Of its view, in pixels.
        width: Of its view, in pixels.
        pct: The view's share of the side to which a picture is scaled first, 0 to 1.
        mode: "squash", "border", or "center".
    """

    height: int
    width: int
    pct: float
    mode: str

    def view(self, width: int, height: int) -> tuple[float, float, float, float]:
        """Returns where the view of a picture lies: left, top, right, bottom, as shares of the picture's sides.

        Below 0 and above 1 lies the border that was put round it.
        """
        scaled = math.floor(self.width / self.pct), math.floor(self.height / self.pct)
        if self.mode == "squash":
            across, down = self.width / scaled[0], self.height / scaled[1]
        else:
            fit = min if self.mode == "border" else max
            scale = fit(scaled[0] / width, scaled[1] / height)
            across, down = self.width / (width * scale), self.height / (height * scale)
        return (1 - across) / 2, (1 - down) / 2, (1 + across) / 2, (1 + down) / 2


def read_dances(config: dict[str, Any]) -> dict[str, Dance]:
    """Reads what a model folder's config.json tells about its classes, by label."""
    classes = config.get("classes")
    classes = classes if isinstance(classes, dict) else {}
    return {label: _dance(label, classes.get(label)) for label in config["label_names"]}


def read_confusions(test: dict[str, Any], label_names: list[str]) -> dict[str, Confusions]:
    """Reads from metrics.json of the test split which dances hide behind each answer.

    Args:
        test: With a `confusion_matrix`: rows true, columns predicted, in the order of `label_names`.
        label_names: The classes.

    Returns:
        By label; without those that were never confused, and empty where there is no matrix of this size.
    """
    matrix = test.get("confusion_matrix")
    if not _is_matrix(matrix, len(label_names)):
        return {}
    found = {}
    for column, label in enumerate(label_names):
        counts = [(name, row[column]) for name, row in zip(label_names, matrix, strict=True)]
        others = [(name, count) for name, count in counts if name != label and count]
        if others:
            most = sorted(others, key=lambda other: -other[1])[:2]
            found[label] = Confusions(sum(count for _, count in counts), tuple(most))
    return found


def read_pair(test: dict[str, Any], label_names: list[str]) -> Pair | None:
    """Reads from metrics.json of the test split which two classes a model takes for each other most often.

    Args:
        test: With a `confusion_matrix`, as for `read_confusions`.
        label_names: The classes.

    Returns:
        None where no pair was confused twice: a single mistake may be chance.
    """
    matrix = test.get("confusion_matrix")
    if not _is_matrix(matrix, len(label_names)):
        return None
    classes = range(len(label_names))
    pairs = [(matrix[one][other] + matrix[other][one], one, other) for other in classes for one in range(other)]
    mistakes, one, other = max(pairs, key=lambda pair: pair[0], default=(0, 0, 0))
    if mistakes < 2:
        return None
    return Pair((label_names[one], label_names[other]), mistakes, sum(matrix[one]) + sum(matrix[other]))


def read_metrics(folder: Path) -> dict[str, Any]:
    """Returns metrics.json, a table by split, or an empty one."""
    return json.loads(path.read_text(encoding="utf-8")) if (path := folder / "metrics.json").exists() else {}


def read_int8_agreement(folder: Path) -> tuple[int, int] | None:
    """Reads from formats.json on how many validation pictures model.int8.onnx gave the answer of the float network.

    Returns:
        This count and that of the pictures; None where nobody measured it.
    """
    path = folder / "formats.json"
    formats = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    measured = formats.get("int8") if isinstance(formats, dict) else None
    measured = measured if isinstance(measured, dict) else {}
    same, pictures = number(measured.get("same_answer")), number(measured.get("pictures"))
    if same is None or pictures is None or not 0 <= same <= 1:
        return None
    return round(same * pictures), int(pictures)


def read_examples(folder: Path) -> list[dict[str, str]]:
    """Returns file, label, licence, author and source of every example picture."""
    path = folder / "examples" / "examples.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []


def read_threshold(config: dict[str, Any]) -> Threshold:
    """Reads from a model folder's config.json below which probability it does not answer.

    Where it names no value, or one on a score other than the highest probability, an answer that is more likely wrong
    than right is none: 0.5 is served, and nothing is promised.
    """
    stated = config.get("reject_threshold")
    stated = stated if isinstance(stated, dict) and stated.get("score") == "max_probability" else {}
    value, target = number(stated.get("value")), number(stated.get("target_accuracy"))
    if value is None or not 0 <= value <= 1:
        return Threshold()
    return Threshold(value, target if stated.get("promised") is True else None)


def read_prediction_sets(config: dict[str, Any], test: dict[str, Any] | None = None) -> PredictionSets | None:
    """Reads a model folder's config.json, and what metrics.json says of the test split; None for a model without."""
    stated = config.get("prediction_set")
    if not isinstance(stated, dict) or stated.get("score") != "probability":
        return None
    cut, coverage = number(stated.get("value")), number(stated.get("target_coverage"))
    if cut is None or coverage is None or not (0 <= cut <= 1 and 0 < coverage < 1):
        return None
    judged = (test or {}).get("prediction_set")
    if not isinstance(judged, dict) or (test or {}).get("elsewhere") is not True:
        return PredictionSets(cut, coverage)
    elsewhere, pictures = number(judged.get("coverage")), number((test or {}).get("pictures"))
    if elsewhere is None or pictures is None or not 0 <= elsewhere <= 1 or judged.get("cut") != cut:
        return PredictionSets(cut, coverage)
    return PredictionSets(cut, coverage, elsewhere, int(pictures))


def read_crop(config: dict[str, Any]) -> Crop:
    """Reads a model folder's config.json, with timm's defaults where it says nothing."""
    stated = config["pretrained_cfg"]
    height, width = stated["input_size"][1:]
    return Crop(height, width, float(stated.get("crop_pct") or 0.875), str(stated.get("crop_mode") or "center"))


def plain(text: object, longest: int = LONGEST_FACT) -> str:
    """Returns text as one line that is shown as it reads: no control characters, nothing that turns it round."""
    if not isinstance(text, str):
        return ""
    line = "".join(char if char.isprintable() or char in _JOINERS else " " for char in text[:longest])
    return " ".join(line.split())


def number(value: object) -> float | None:
    """Returns a finite number as it is, and None for everything else."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if is_number else None  # type: ignore[arg-type]


def _dance(label: str, facts: Any) -> Dance:
    facts = facts if isinstance(facts, dict) else {}
    name, native, region, fact, look_for = (
        plain(facts.get(key)) for key in ("name", "native", "region", "fact", "look_for")
    )
    shown = plain(label)
    return Dance(label, name or shown[:1].upper() + shown[1:], native, _language(native), region, fact, look_for)


def _language(text: str) -> str:
    if any(letter in text for letter in _ONLY_ASSAMESE):
        return "as"
    script = next((unicodedata.name(char, "").split(" ")[0] for char in text if char.isalpha()), "")
    return _LANGUAGES.get(script, "")


def _is_matrix(matrix: Any, size: int) -> TypeGuard[list[list[int]]]:
    return (
        isinstance(matrix, list)
        and len(matrix) == size
        and all(isinstance(row, list) and len(row) == size for row in matrix)
        and all(isinstance(count, int) and count >= 0 for row in matrix for count in row)
    )
