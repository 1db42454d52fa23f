"""Whatever classes, authors and titles are called, the folder is built, and its card means what it says."""

from collections.abc import Callable
from pathlib import Path

from huggingface_hub import DatasetCard

from dataset_card.build import build
from dataset_card.check import check
from tests.dataset_card.conftest import read_rows, write_lines

ODD = ["*b*", "<img src=x onerror=y>", "`tick`", "a|b", "a\nb", "cost $1 and $\\frac", "train", "தமிழ்", "{{ 7 * 7 }}"]


def test_odd_class_names(save_image: Callable[..., Path], tmp_path: Path) -> None:
    for number, name in enumerate(ODD):
        for seed in range(3):
            save_image(f"photos/{name}/{seed}.png", 10 * number + seed)
    write_lines(
        tmp_path / "photos" / "provenance.jsonl",
        [{"file": f"{name}/{seed}.png", "source": "a|b <b>", "license": "cc0"} for name in ODD for seed in range(3)],
    )
    build(tmp_path / "photos", tmp_path / "out # <i>", seed=8)
    assert {row["label"] for row in read_rows(tmp_path / "out # <i>")} == {" ".join(name.split()) for name in ODD}
    assert [result.name for _, result in check(str(tmp_path / "out # <i>")).ended("FOUND")] == []
    card = DatasetCard.load(tmp_path / "out # <i>" / "README.md")
    assert card.data.pretty_name == "Out # <i>"
    for line in (
        "\n# Out \\# \\<i\\>\n", "\n| a\\|b | 1 | 1 | 1 | 3 |\n", "\n| \\<img src=x onerror=y\\> | 1 |",
        "\n| {{ 7 \\* 7 }} | 1 |", "can't write: class 8 is தமிழ்.", ": a\\|b \\<b\\> (27).",
    ):  # fmt: skip
        assert line in card.text


def test_credits_keep_to_their_line(pile: Path) -> None:
    odd = {
        "license": "cc-by-4.0",
        "author": "Ra|vi\n---\n<script>",
        "author_url": "javascript:alert(1)",
        "title": "{{ x }}\n\n## head",
        "source_url": "https://x.org/a\n\n# (b)",
    }
    write_lines(pile / "provenance.jsonl", [{"file": "kathak/0.jpg", **odd}])
    build(pile, pile.parent / "out", seed=8)
    text = (pile.parent / "out" / "LICENSE.md").read_text(encoding="utf-8")
    assert (
        "\n- “{{ x }} \\#\\# head” by Ra\\|vi --- \\<script\\>, "
        "[CC BY 4.0](https://creativecommons.org/licenses/by/4.0/), "
        "[source](https://x.org/a%0A%0A#%20%28b%29)\n"
    ) in text


def test_more_classes_than_a_figure_holds(save_image: Callable[..., Path], tmp_path: Path) -> None:
    for number in range(101):
        for seed in range(3):
            save_image(f"photos/c{number:03}/{seed}.png", 10 * number + seed, (40, 40))
    build(tmp_path / "photos", tmp_path / "out", seed=8)
    assert "![Ten pictures of every class, the first 100]" in (tmp_path / "out" / "README.md").read_text()
