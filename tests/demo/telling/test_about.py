import dataclasses
from pathlib import Path
from typing import Any

import pytest

from demo.models.model import ServedModel, load_model
from demo.telling.showing import about_model
from demo.words import LANGUAGES
from model_folder.about import About, describe

EN = LANGUAGES["en"]
TEST = {"accuracy": 0.7917, "accuracy_interval": [0.684, 0.869], "pictures": 72, "date": "2026-11-24"}


@pytest.fixture(scope="module")
def served(model_folder: Path) -> ServedModel:
    return load_model(str(model_folder))


def _describe(model: ServedModel) -> About:
    return describe(
        model.name, model.config, model.test, model.repo_id, model.revision, model.file, model.int8_agreement
    )


def _accuracy(model: ServedModel) -> str:
    about = _describe(model)
    return EN(about.test_key, **(about.test or {}))


def _with(served: ServedModel, **changes: Any) -> ServedModel:
    return dataclasses.replace(served, **changes)


def test_accuracy_comes_with_interval_number_and_date(served: ServedModel) -> None:
    config = {**served.config, "training_data": {**served.config["training_data"], "drawings": False}}
    assert _accuracy(_with(served, test=TEST, config=config)) == (
        "Right on 79 % of 72 test pictures (95 % interval 68 – 87 %), measured on 2026-11-24."
    )
    assert "of 72 test drawings" in _accuracy(_with(served, test=TEST))


@pytest.mark.parametrize(
    "test",
    [{}, {**TEST, "accuracy": "high"}, {**TEST, "accuracy_interval": None}, {**TEST, "accuracy_interval": [0.1]},
     {**TEST, "pictures": None}, {**TEST, "accuracy": float("nan")}],
)  # fmt: skip
def test_what_was_not_measured_is_not_said(served: ServedModel, test: dict[str, Any]) -> None:
    assert _accuracy(_with(served, test=test)) == "Not judged on a test split yet."


@pytest.mark.parametrize(
    ("file", "agreement", "said"),
    [
        ("model.onnx", (7, 8), "in float32, as it was tested."),
        ("model.int8.onnx", (7, 8), "in 8-bit integers. The test was of the float32 network; both gave the same "
         "answer to 7 of 8 validation pictures."),
        ("model.int8.onnx", None, "in 8-bit integers. The test was of the float32 network."),
    ],
)  # fmt: skip
def test_it_says_which_file_answers(
    served: ServedModel, file: str, agreement: tuple[int, int] | None, said: str
) -> None:
    assert f"<dd>{file} answers here, {said}</dd>" in about_model(
        EN, _describe(_with(served, file=file, int8_agreement=agreement))
    )


def test_a_dataset_without_a_test_split_judges_nobody(served: ServedModel) -> None:
    config = {**served.config, "training_data": {**served.config["training_data"], "has_test": False}}
    said = _accuracy(_with(served, test={}, config=config))
    assert said == "Its dataset has no test split, so nobody can say how good it is."


def test_a_local_model_has_no_address_and_says_no_path(served: ServedModel, model_folder: Path) -> None:
    html = about_model(EN, _describe(served))
    assert "href" not in html
    assert str(model_folder.parent) not in html
    assert "test_resnet, trained on “Dances”" in html


def test_a_model_of_the_hub_leads_to_its_page(served: ServedModel) -> None:
    revision = "0123456789abcdef0123456789abcdef01234567"
    about = _describe(_with(served, name="user/dances", repo_id="user/dances", revision=revision))
    assert about.report.endswith(f"/user/dances/tree/{revision}")
    html = about_model(EN, about)
    assert "revision 0123456" in html
    assert f'href="{about.report}"' in html


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"name": "Dances", "id": "user/dances", "pictures": 1234, "licenses": {"cc0-1.0": 3}}, "1,234 pictures"),
        ({"name": "<img src=x>", "id": "javascript:alert(1)"}, "&lt;img src=x&gt;"),
        ({"name": 3, "id": ["x"], "pictures": "many", "licenses": "all"}, "Not judged"),
        ("text", "Not judged"),
    ],
)
def test_training_data_is_text_and_its_address_only_ever_the_hubs(served: ServedModel, data: Any, told: str) -> None:
    if not isinstance(data, dict):
        about = _describe(_with(served, config={**served.config, "training_data": {}}, test={}))
    else:
        about = _describe(_with(served, config={**served.config, "training_data": data}, test={}))
    html = about_model(EN, about)
    assert told in html
    assert "javascript" not in html
    assert ("/datasets/user/dances" in html) == (isinstance(data, dict) and data.get("id") == "user/dances")
