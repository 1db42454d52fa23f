from train.cleaner.decisions import Decision
from train.cleaner.label_issues import LabelIssue
from train.cleaner.review import ANY, DECIDED, Filters, Review

ROWS = [
    ("a", "train", "kathak", "odissi"),
    ("b", "train", "odissi", "odissi"),
    ("c", "validation", "kathak", "odissi"),
    ("d", "validation", "kathak", "kathak"),
    ("e", "train", "odissi", "kathak"),
]
ISSUES = [LabelIssue(index, *row, score=index / 10) for index, row in enumerate(ROWS)]
REVIEW = Review(ISSUES, ["g", "g", "x", "y", "g"], expected=3)
DONE = {"a": Decision("a", "keep"), "e": Decision("e", "relabel", "kathak")}


def _way(filters: Filters, decisions: dict[str, Decision], start: str | None = None) -> list[str]:
    """The pictures that come up, until one comes again."""
    seen: list[str] = []
    issue = REVIEW.after(start, filters, decisions)
    while issue and issue.sha256 not in seen:
        seen.append(issue.sha256)
        issue = REVIEW.after(issue.sha256, filters, decisions)
    return seen


def test_the_most_doubtful_come_first_and_decided_ones_no_more() -> None:
    assert _way(Filters(), {}) == ["a", "b", "c", "d", "e"]
    assert _way(Filters(), DONE) == ["b", "c", "d"]
    assert _way(Filters(), DONE, start="c") == ["d", "b", "c"]
    assert _way(Filters(), dict.fromkeys("abcde", DONE["a"])) == []


def test_filters() -> None:
    assert _way(Filters(label="kathak"), {}) == ["a", "c", "d"]
    assert _way(Filters(split="validation"), {}) == ["c", "d"]
    assert _way(Filters(pair=("kathak", "odissi")), {}) == ["a", "c"]
    assert _way(Filters(label="kathak", split="train"), DONE) == []
    assert _way(Filters(state=DECIDED), DONE) == ["a", "e"]
    assert _way(Filters(state=ANY), DONE) == ["a", "b", "c", "d", "e"]


def test_the_way_back_shows_decided_ones_too() -> None:
    back = [REVIEW.before(sha256, Filters(), DONE) for sha256 in ("e", "b", "a")]
    assert [issue.sha256 for issue in back if issue] == ["d", "a", "e"]


def test_pairs_near_duplicates_and_progress() -> None:
    assert REVIEW.pairs() == [(("kathak", "odissi"), 2), (("odissi", "kathak"), 1)]
    assert [other.sha256 for other in REVIEW.near(ISSUES[0])] == ["b", "e"]
    progress = REVIEW.progress({**DONE, "elsewhere": Decision("elsewhere", "delete")})
    assert (progress.pictures, progress.expected, progress.expected_seen) == (5, 3, 1)
    assert progress.decided == {"keep": 1, "delete": 0, "relabel": 1}
