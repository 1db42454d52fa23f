"""The answer in words: which dance, which two perhaps, or none of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from demo.words import Words
from model_folder.facts import Dance, PredictionSets, Threshold

_MOST_IN_SENTENCE, _MOST_LISTED = 3, 6


class Kind(StrEnum):
    """How sure an answer is; each is the key of its sentence."""

    SURE = "sure"
    UNSURE = "unsure"
    OOD = "ood"


@dataclass(frozen=True)
class Verdict:
    """An answer.

    Attributes:
        kind: Sure, unsure, or out of distribution (ood): like none of the dances.
        dances: Labels it speaks of, the likeliest first: one; two or three; or none.
        probability: Of the likeliest class, 0 to 1.
        threshold: Below which the model does not answer.
        prediction_set: Labels of the classes that it may be, the likeliest first; empty where it looks like none of
            them, or where nobody knows.
    """

    kind: Kind
    dances: tuple[str, ...]
    probability: float
    threshold: Threshold
    prediction_set: tuple[str, ...] = ()

    def sentence(self, dances: Mapping[str, Dance], words: Words) -> str:
        """Returns it in words, such as "Kathak, 93 %"."""
        names = [dances[label].name for label in self.dances]
        if self.kind is Kind.SURE:
            return words("sure", dance=names[0], percent=percent(self.probability))
        if self.kind is Kind.UNSURE:
            return words("unsure", dances=either(names, words))
        return words("ood")

    def reason(self, words: Words) -> str:
        """Returns why it is not sure; empty where it is."""
        if self.kind is Kind.SURE:
            return ""
        if self.kind is Kind.OOD:
            return words("ood_why")
        shares = {"percent": percent(self.probability), "threshold": percent(self.threshold.value)}
        if self.threshold.promised is None:
            return words("unsure_below", **shares)
        return words("unsure_promised", **shares, promised=percent(self.threshold.promised))


def judge(
    probs: Mapping[str, float], threshold: Threshold, ood: bool = False, sets: PredictionSets | None = None
) -> Verdict:
    """Puts probabilities into a verdict.

    Args:
        probs: Of all classes, two or more, by label.
        threshold: As `read_threshold` gives it.
        ood: Something other than the probabilities tells that the picture shows none of the dances. Probabilities
            can't: they are sure of many a teapot.
        sets: As `read_prediction_sets` gives it.
    """
    order = sorted(probs, key=lambda label: -probs[label])
    probability = probs[order[0]]
    if ood:
        return Verdict(Kind.OOD, (), probability, threshold)
    possible = sets.of(probs) if sets else ()
    if probability < threshold.value:
        named = possible if 2 <= len(possible) <= _MOST_IN_SENTENCE else tuple(order[:2])
        return Verdict(Kind.UNSURE, named, probability, threshold, possible)
    return Verdict(Kind.SURE, (order[0],), probability, threshold, possible)


def either(names: Sequence[str], words: Words) -> str:
    """Returns names as in "Kathak, Odissi or Sattriya"; of more than six the first five, and how many more."""
    if len(names) > _MOST_LISTED:
        shown = _MOST_LISTED - 1
        names = [*names[:shown], words("more", count=len(names) - shown)]
    *others, last = names
    return words("or", first=", ".join(others), last=last) if others else last


def percent(probability: float) -> str:
    """Returns a probability as whole percents, never certainty: "<1", "1" … "99", ">99"."""
    if probability < 0.005:
        return "<1"
    return ">99" if probability >= 0.995 else f"{100 * probability:.0f}"
