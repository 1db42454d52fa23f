from typing import Any

import pytest

from train.export.card import headline


def _judged(**facts: Any) -> dict[str, Any]:
    return {"accuracy": 0.75, "accuracy_interval": [0.66, 0.82], "pictures": 100, **facts}


def test_the_worth_on_another_source_comes_first() -> None:
    parts = [_judged(fold="commons", accuracy=0.7), _judged(fold="flickr", accuracy=0.9), _judged(fold="bing")]
    folds = {"column": "source", "dataset": "Dances", "date": "2026-11-30", "scores": {"kept": [*parts, _judged()]}}
    said = headline({"folds": folds, "test": _judged(elsewhere=False)})
    assert said.startswith(
        "**On pictures of another source than those it has learned from, 75.0% are named rightly** (95 % interval "
        "66.0% – 82.0%, 100 pictures of “Dances”, 2026-11-30)"
    )
    assert said.endswith("judged on this one, from 70.0% (commons) to 90.0% (flickr).")


def test_a_test_split_from_elsewhere_does_as_well() -> None:
    said = headline({"test": _judged(elsewhere=True)})
    assert said.startswith("**On pictures from elsewhere, 75.0% are named rightly** (95 % interval 66.0% – 82.0%, 100")


@pytest.mark.parametrize(("elsewhere", "why"), [(False, "They share sources"), (None, "Not all sources are known")])
def test_where_there_is_no_such_figure_it_is_said(elsewhere: bool | None, why: str) -> None:
    said = headline({"test": _judged(elsewhere=elsewhere)})
    assert said.startswith(f"**These figures are for pictures like those it has learned from.** {why}")
    assert "cross-validate … folds=source" in said


def test_drawings_have_one_source() -> None:
    assert headline({"test": _judged(elsewhere=None)}, drawings=True) == ""


def test_of_a_model_that_was_not_judged_nobody_knows() -> None:
    assert headline({}).startswith("**Nobody knows yet what it is worth on pictures from elsewhere.**")


def test_names_of_sources_are_read_only() -> None:
    part = _judged(fold="<img src=x>\n# Owned [a](http://evil)")
    folds = {"column": "source", "dataset": "*D*", "date": "2026-11-30", "scores": {"kept": [part, _judged()]}}
    said = headline({"folds": folds})
    assert "\n" not in said
    assert r"(\<img src=x\> \# Owned \[a\](http://evil))" in said
    assert r"“\*D\*”" in said
