"""What the page shows, as HTML; what a model folder or a file's name says is text there, never markup."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from demo.telling.examples import Example
from demo.telling.heatmap import colour, lay_over, scale_bar
from demo.telling.many import Row, as_csv
from demo.telling.nearest import Neighbourhood
from demo.telling.verdict import Kind, Verdict, either, percent
from demo.words import Words
from model_folder.about import About
from model_folder.facts import Confusions, Crop, Dance, Pair, PredictionSets

_MOST_BARS = 12
# Letters of a name that stands beside its bar.
_LONGEST_NAME = 14
_ENVIRONMENT = jinja2.Environment(
    autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
)
_ENVIRONMENT.globals["scale_bar"] = scale_bar()
_HTML: Any = _ENVIRONMENT.from_string(Path(__file__).with_suffix(".html").read_text(encoding="utf-8")).module


@dataclass(frozen=True)
class Bar:
    """One class: its name, its share in words and as a width in percent, and whether the verdict speaks of it."""

    name: str
    share: str
    width: float
    own: bool = False


@dataclass(frozen=True)
class Heat:
    """A heat-map and the picture below it, both as addresses for `img`, with the picture's proportions.

    Attributes:
        dance: The name of the class that it is about.
        picture: The picture.
        map: What lies over it.
        width: Of the picture.
        height: Of the picture.
        cut: The model did not see all of the picture.
    """

    dance: str
    picture: str
    map: str
    width: int
    height: int
    cut: bool


def heat_over(heatmap: np.ndarray, size: tuple[int, int], crop: Crop, dance: str, picture: str) -> Heat:
    """Lays a heat-map over a picture of a certain width and height."""
    spread = lay_over(heatmap, size, crop)
    uri = f"data:image/png;base64,{base64.b64encode(colour(spread)).decode()}"
    return Heat(dance, picture, uri, *size, cut=bool(np.isnan(spread).any()))


class Showing:
    """Shows answers of one model."""

    def __init__(
        self,
        dances: Mapping[str, Dance],
        confusions: Mapping[str, Confusions],
        pair: Pair | None = None,
        sets: PredictionSets | None = None,
    ) -> None:
        """Takes what there is to tell about each class, about the model's mistakes, and what its sets are worth."""
        self.dances, self.confusions, self.pair, self.sets = dances, confusions, pair, sets

    def answer(
        self,
        words: Words,
        verdict: Verdict,
        probs: Mapping[str, float],
        heat: Heat | None,
        near: Neighbourhood | None = None,
    ) -> str:
        """Returns the verdict, a bar for every class, and what there is to tell about the likeliest."""
        dances = words.tell(self.dances)
        order = sorted(probs, key=lambda label: -probs[label])
        bars = [
            Bar(
                dances[label].name,
                f"{percent(probs[label])} %",
                round(100 * probs[label], 1),
                label in verdict.dances,
            )
            for label in order
        ]
        return self._answer(
            words,
            verdict.kind,
            verdict.sentence(dances, words),
            verdict.reason(words),
            bars,
            told=[dances[label] for label in verdict.dances],
            possible=self._possible(words, verdict),
            confused=self._pair(words, verdict) or self._confused(words, verdict),
            heat=heat,
            near=near,
        )

    def waiting(self, words: Words) -> str:
        """Returns what stands in an answer's place before there is one, of about its height."""
        return self._empty(words, "waiting", words("waiting"))

    def fault(self, words: Words, sentence: str) -> str:
        """Returns what stands in an answer's place where there can be none."""
        return self._empty(words, "fault", sentence)

    def examples(self, words: Words, examples: Sequence[Example], drawings: bool) -> str:
        """Returns the pictures to offer, each a button."""
        dances = words.tell(self.dances)
        offered = [
            (dances[example.label].name if example.label in dances else example.label, example) for example in examples
        ]
        credits = {example.credit for example in examples}
        # Said once where it is the same for all.
        return _HTML.examples(words, offered, drawings, credits.pop() if len(credits) == 1 else "")

    def many(self, words: Words, rows: Sequence[Row], note: str) -> str:
        """Returns the answers about several pictures."""
        csv = base64.b64encode(as_csv(rows, list(self.dances), self.dances).encode("utf-8-sig")).decode()
        dances = words.tell(self.dances)
        shown = [_ShownRow.of(row, dances, words) for row in rows]
        answered = sum(row.fault is None for row in rows)
        uri = f"data:text/csv;charset=utf-8;base64,{csv}"
        return _HTML.many(words, answered, len(rows) - answered, shown, uri, note)

    def _confused(self, words: Words, verdict: Verdict) -> str:
        if verdict.kind is not Kind.SURE or verdict.dances[0] not in self.confusions:
            return ""
        label = verdict.dances[0]
        found, dances = self.confusions[label], words.tell(self.dances)
        others = ", ".join(f"{dances[other].name} ({count})" for other, count in found.others)
        return words("confused", pictures=found.pictures, dance=dances[label].name, others=others)

    def _possible(self, words: Words, verdict: Verdict) -> str:
        """Returns which classes it may be, and what such a list is worth; empty where it is one alone."""
        if self.sets is None or len(verdict.prediction_set) < 2:
            return ""
        dances = words.tell(self.dances)
        listed = either([dances[label].name for label in verdict.prediction_set], words)
        if self.sets.elsewhere is None:
            return words("set", dances=listed, percent=percent(self.sets.coverage))
        measured = {"percent": percent(self.sets.elsewhere), "pictures": self.sets.pictures}
        return words("set_elsewhere", dances=listed, **measured)

    def _pair(self, words: Words, verdict: Verdict) -> str:
        """Returns what there is to say where it may be either of the two that the model confuses most."""
        if self.pair is None or not {*self.pair.labels} <= {*verdict.dances, *verdict.prediction_set}:
            return ""
        dances = words.tell(self.dances)
        first, second = (dances[label].name for label in self.pair.labels)
        return words("pair", first=first, second=second, count=self.pair.mistakes, pictures=self.pair.pictures)

    def _empty(self, words: Words, kind: str, sentence: str) -> str:
        bars = [Bar(dance.name, "–", 0) for dance in words.tell(self.dances).values()]
        return self._answer(words, kind, sentence, "", bars, waiting=words("waiting_told"))

    def _answer(
        self,
        words: Words,
        kind: str,
        sentence: str,
        reason: str,
        bars: Sequence[Bar],
        told: Sequence[Dance] = (),
        possible: str = "",
        confused: str = "",
        heat: Heat | None = None,
        near: Neighbourhood | None = None,
        waiting: str = "",
    ) -> str:
        shown, hidden = bars[:_MOST_BARS], bars[_MOST_BARS:]
        long = any(len(bar.name) > _LONGEST_NAME for bar in bars)
        return _HTML.answer(
            words, kind, sentence, reason, long, shown, hidden, told, possible, confused, heat, near, waiting
        )


def title(words: Words) -> str:
    """Returns the page's name and what it asks."""
    return _HTML.title(words)


def drawings_banner(words: Words) -> str:
    """Returns the warning that a model knows drawings only."""
    return _HTML.drawings(words)


def about_model(words: Words, about: About) -> str:
    """Returns what there is to say of the model."""
    return _HTML.about(words, about)


def note(words: Words, text: str, kind: str = "") -> str:
    """Returns a sentence that says what became of something the visitor did."""
    return _HTML.note(words, text, kind)


@dataclass(frozen=True)
class _ShownRow:
    file: str
    sentence: str
    best: Sequence[tuple[str, str]]
    uri: str
    fault: str | None

    @classmethod
    def of(cls, row: Row, dances: Mapping[str, Dance], words: Words) -> "_ShownRow":
        if row.verdict is None:
            return cls(row.file, "", (), "", row.fault)
        best = sorted(row.probs.items(), key=lambda share: -share[1])[:2]
        shares = [(dances[label].name, percent(share)) for label, share in best]
        return cls(row.file, row.verdict.sentence(dances, words), shares, row.uri, None)
