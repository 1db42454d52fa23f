"""Which picture comes next: doubtful ones first, among those that the filters leave."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from train.cleaner.decisions import ACTIONS, Decision
from train.cleaner.label_issues import LabelIssue

UNDECIDED, DECIDED, ANY = "undecided", "decided", "all"
Pair = tuple[str, str]


@dataclass(frozen=True)
class Filters:
    """Which pictures are looked at; None leaves all.

    Attributes:
        label: Those of this class.
        split: Those of this split.
        pair: Those that have the first class, while the models say the second.
        state: "undecided", "decided" or "all".
    """

    label: str | None = None
    split: str | None = None
    pair: Pair | None = None
    state: str = UNDECIDED

    def leaves(self, issue: LabelIssue, decisions: Mapping[str, Decision]) -> bool:
        """Whether a picture passes."""
        return (
            self.label in (None, issue.label)
            and self.split in (None, issue.split)
            and self.pair in (None, (issue.label, issue.suggested))
            and (self.state == ANY or (issue.sha256 in decisions) == (self.state == DECIDED))
        )


class Review:
    """The ranked pictures of train and validation, and the way through them."""

    def __init__(self, issues: Sequence[LabelIssue], groups: Sequence[str], expected: int) -> None:
        """Takes what was ranked.

        Args:
            issues: The most doubtful first.
            groups: The group of every picture, by `LabelIssue.index`.
            expected: How many labels are probably wrong.
        """
        self.issues, self.expected = list(issues), min(expected, len(issues))
        self.rank = {issue.sha256: place for place, issue in reversed(list(enumerate(issues)))}
        self.groups = groups
        self._members: dict[str, list[LabelIssue]] = defaultdict(list)
        for issue in issues:
            self._members[groups[issue.index]].append(issue)

    def find(self, sha256: str) -> LabelIssue | None:
        """Returns a picture by its name."""
        return self.issues[self.rank[sha256]] if sha256 in self.rank else None

    def after(self, sha256: str | None, filters: Filters, decisions: Mapping[str, Decision]) -> LabelIssue | None:
        """Returns the next picture that the filters leave; behind the last comes the first again."""
        start = self.rank[sha256] + 1 if sha256 in self.rank else 0
        return self._first([*self.issues[start:], *self.issues[:start]], filters, decisions)

    def before(self, sha256: str | None, filters: Filters, decisions: Mapping[str, Decision]) -> LabelIssue | None:
        """Returns the picture before, likewise; decided ones are not passed over, for who goes back wants to see."""
        everything = Filters(filters.label, filters.split, filters.pair, ANY)
        start = self.rank.get(sha256 or "", 0)
        return self._first([*self.issues[:start][::-1], *self.issues[start:][::-1]], everything, decisions)

    @staticmethod
    def _first(order: Sequence[LabelIssue], filters: Filters, decisions: Mapping[str, Decision]) -> LabelIssue | None:
        return next((issue for issue in order if filters.leaves(issue, decisions)), None)

    def pairs(self) -> list[tuple[Pair, int]]:
        """Returns which classes are confused with which, and how often, the most frequent first."""
        return Counter((i.label, i.suggested) for i in self.issues if i.label != i.suggested).most_common()

    def near(self, issue: LabelIssue) -> list[LabelIssue]:
        """Returns the other pictures of its group."""
        return [other for other in self._members[self.groups[issue.index]] if other is not issue]

    def progress(self, decisions: Mapping[str, Decision]) -> "Progress":
        """Counts what is done."""
        done = [issue for issue in self.issues if issue.sha256 in decisions]
        actions = Counter(decisions[issue.sha256].action for issue in done)
        return Progress(
            len(self.issues),
            {action: actions[action] for action in ACTIONS},
            self.expected,
            sum(issue.sha256 in decisions for issue in self.issues[: self.expected]),
        )


@dataclass(frozen=True)
class Progress:
    """How far the review has come.

    Attributes:
        pictures: How many there are.
        decided: How many were decided, by action.
        expected: How many labels are probably wrong.
        expected_seen: How many of the so many most doubtful ones are decided.
    """

    pictures: int
    decided: dict[str, int]
    expected: int
    expected_seen: int
