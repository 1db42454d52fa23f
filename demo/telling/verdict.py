"""The answer in words: which dance, which two perhaps, or none of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from demo.words import Words
from model_folder.facts import Dance, Threshold


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
        dances: Labels it speaks of, the likeliest first: one, two, or none.
        probability: Of the likeliest class, 0 to 1.
        threshold: Below which the model does not answer.
    """

    kind: Kind
    dances: tuple[str, ...]
    probability: float
    threshold: Threshold

    def sentence(self, dances: Mapping[str, Dance], words: Words) -> str:
        """Returns it in words, such as "Kathak, 93 %"."""
        names = [dances[label].name for label in self.dances]
        if self.kind is Kind.SURE:
            return words("sure", dance=names[0], percent=percent(self.probability))
        if self.kind is Kind.UNSURE:
            return words("unsure", first=names[0], second=names[1])
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


def judge(probs: Mapping[str, float], threshold: Threshold, ood: bool = False) -> Verdict:
    """Puts probabilities into a verdict.

    Args:
        probs: Of all classes, two or more, by label.
        threshold: As `read_threshold` gives it.
        ood: Something other than the probabilities tells that the picture shows none of the dances. Probabilities
            can't: they are sure of many a teapot.
    """
    first, second = sorted(probs, key=lambda label: -probs[label])[:2]
    if ood:
        return Verdict(Kind.OOD, (), probs[first], threshold)
    if probs[first] < threshold.value:
        return Verdict(Kind.UNSURE, (first, second), probs[first], threshold)
    return Verdict(Kind.SURE, (first,), probs[first], threshold)


def percent(probability: float) -> str:
    """Returns a probability as whole percents, never certainty: "<1", "1" … "99", ">99"."""
    if probability < 0.005:
        return "<1"
    return ">99" if probability >= 0.995 else f"{100 * probability:.0f}"
