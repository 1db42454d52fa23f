"""Far from everything that was learned: said on the page and to programs, with and without torch."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from gradio_client import Client, handle_file
from PIL import Image

from demo.answering import Answering
from demo.models.model import load_model
from demo.telling.verdict import Kind
from model_folder.folder import ModelFolderError
from tests.conftest import serve


@pytest.fixture(scope="module")
def strange(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture that is like no drawing, also to a model that has hardly learned: blue all over."""
    path = tmp_path_factory.mktemp("strange") / "blue.png"
    Image.new("RGB", (160, 200), "blue").save(path)
    return path


@pytest.mark.parametrize("without_onnx", [False, True])
def test_what_is_like_nothing_learned_gets_no_name(
    comparing_folder: Path, strange: Path, tmp_path: Path, without_onnx: bool
) -> None:
    folder = Path(shutil.copytree(comparing_folder, tmp_path / "model"))
    if without_onnx:
        (folder / "model.onnx").unlink()
    answering = Answering(load_model(str(folder)))
    answered = answering.answer(strange)
    assert answered.verdict.kind is Kind.OOD
    assert answered.nearest is not None
    shown = [answering.answer(path) for path in sorted((folder / "examples").glob("*.jpg"))]
    assert len(shown) == 8
    assert sum(answer.verdict.kind is Kind.OOD for answer in shown) <= 1
    distances = [answer.nearest.distances.mean() for answer in shown if answer.nearest]
    assert np.median(distances) < answered.nearest.distances.mean()


def test_the_models_own_distance_decides(comparing_folder: Path, strange: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(comparing_folder, tmp_path / "model"))
    config = json.loads((folder / "config.json").read_text())
    for value, kinds in ((None, {Kind.SURE, Kind.UNSURE}), (2, {Kind.SURE, Kind.UNSURE}), (0, {Kind.OOD})):
        config["ood"]["value"] = value
        (folder / "config.json").write_text(json.dumps(config))
        assert Answering(load_model(str(folder))).answer(strange).verdict.kind in kinds


def test_a_reference_of_another_model_is_refused(comparing_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(comparing_folder, tmp_path / "model"))
    (folder / "reference_features.safetensors").unlink()
    with pytest.raises(ModelFolderError, match=r"it has ood, but no reference_features.safetensors"):
        load_model(str(folder))


@pytest.fixture(scope="module")
def client(comparing_folder: Path) -> Iterator[Client]:
    with serve(comparing_folder) as address:
        yield Client(address, verbose=False)


def test_programs_are_told(client: Client, strange: Path) -> None:
    _, verdict, prediction_set = client.predict(handle_file(strange), api_name="/predict")
    assert verdict == "This doesn't look like one of these dances"
    assert prediction_set == []
    (row,) = client.predict([handle_file(strange)], api_name="/predict_many")
    assert row["verdict"] == verdict


def test_programs_are_told_what_it_may_be(client: Client, comparing_folder: Path) -> None:
    cut = json.loads((comparing_folder / "config.json").read_text())["prediction_set"]["value"]
    assert 0 < cut < 1
    sizes = set()
    for picture in sorted((comparing_folder / "examples").glob("*.jpg")):
        probabilities, verdict, prediction_set = client.predict(handle_file(picture), api_name="/predict")
        if verdict == "This doesn't look like one of these dances":
            continue
        shares = {entry["label"]: entry["confidence"] for entry in probabilities["confidences"]}
        order = sorted(shares, key=lambda label: -shares[label])
        assert prediction_set == [label for label in order if shares[label] >= cut or label == order[0]]
        sizes.add(len(prediction_set))
    assert max(sizes) > 1
    told = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    for endpoint in told.values():
        assert (
            "which holds the right one for 95 % of pictures like those of the model's dataset"
            in (endpoint["description"])
        )
