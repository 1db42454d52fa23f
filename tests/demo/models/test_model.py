import dataclasses
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from PIL import Image
from safetensors.torch import load_file, save_file

from demo.models.model import NoNumbersError, ServedModel, load_model
from model_folder.folder import ModelFolderError
from tests.conftest import ROOT


def _copy(model_folder: Path, tmp_path: Path, without_onnx: bool = False) -> Path:
    folder = shutil.copytree(model_folder, tmp_path / "model")
    if without_onnx:
        (folder / "model.onnx").unlink()
    return folder


@pytest.fixture(scope="module")
def served(model_folder: Path) -> ServedModel:
    return load_model(str(model_folder))


@pytest.fixture(scope="module")
def pictures(served: ServedModel) -> list[Image.Image]:
    return [Image.open(path).convert("RGB") for path in served.examples]


def test_with_and_without_model_onnx_the_answers_are_the_same(
    model_folder: Path, served: ServedModel, pictures: list[Image.Image], tmp_path: Path
) -> None:
    through_torch = load_model(str(_copy(model_folder, tmp_path, without_onnx=True)))
    differences = []
    for picture in pictures:
        answer, other = served.answer(picture), through_torch.answer(picture)
        differences.append(np.abs(answer.probs - other.probs))
        assert answer.probs.dtype == other.probs.dtype == np.float32
        assert answer.features is not None
        assert answer.features.ndim == 1
        assert answer.heatmap is not None
        assert answer.heatmap.shape == (2, 2)
        # Compared with what was learned, which is the same with and without torch.
        assert other.features is not None
        assert _angle(answer.features, other.features) < 1e-3
        assert other.heatmap is None
    assert np.median(differences) <= 2e-4
    assert np.max(differences) <= 2e-3


def _angle(one: np.ndarray, other: np.ndarray) -> float:
    return 1 - float(one @ other) / float(np.linalg.norm(one) * np.linalg.norm(other))


SERVE = """
import sys
from PIL import Image
from demo.models.model import load_model
model = load_model(sys.argv[1])
assert len(model.by_name(model.answer(Image.new("RGB", (80, 60))).probs)) == 8
print(sorted({"torch", "torchvision", "timm", "transformers", "onnx"} & sys.modules.keys()))
"""


def test_with_model_onnx_no_torch_is_imported(model_folder: Path) -> None:
    said = subprocess.run(
        [sys.executable, "-c", SERVE, model_folder], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert (said.stdout, said.stderr) == ("[]\n", "")


def test_the_page_imports_no_torch(model_folder: Path) -> None:
    code = "import sys, app\nfrom demo import page\nprint({'torch', 'timm', 'transformers'} & sys.modules.keys())"
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert said.stdout == "set()\n"


def test_many_ask_at_once_and_each_gets_its_own_answer(served: ServedModel, pictures: list[Image.Image]) -> None:
    expected = [served.answer(picture).probs for picture in pictures]
    turns = [number % len(pictures) for number in range(64)]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda number: served.answer(pictures[number]).probs, turns))
    for number, probs in zip(turns, answers, strict=True):
        np.testing.assert_allclose(probs, expected[number], atol=1e-6)


@pytest.mark.parametrize("without_onnx", [False, True])
def test_the_folder_may_go_away_or_be_replaced(
    model_folder: Path, pictures: list[Image.Image], tmp_path: Path, without_onnx: bool
) -> None:
    folder = _copy(model_folder, tmp_path, without_onnx)
    model = load_model(str(folder))
    before = model.answer(pictures[0]).probs
    for file in folder.rglob("*.*"):
        if file.is_file():
            # In place, as a careless copy does: what was mapped into memory would change, or end.
            with file.open("r+b") as content:
                content.truncate(0)
    assert (model.answer(pictures[0]).probs == before).all()
    shutil.rmtree(folder)
    assert (model.answer(pictures[0]).probs == before).all()
    assert len(model.examples) == 8
    assert all(
        Image.open(path).convert("RGB") == picture for path, picture in zip(model.examples, pictures, strict=True)
    )


def test_other_features_than_its_reference_are_no_answer(served: ServedModel, pictures: list[Image.Image]) -> None:
    answer = served.answer(pictures[0])
    nearest = served.nearest(answer)
    assert nearest is not None
    assert nearest.rows.shape == (1, 5)
    for features in (None, np.ones(7, np.float32)):
        with pytest.raises(NoNumbersError, match="the model's features are not those of its reference"):
            served.nearest(dataclasses.replace(answer, features=features))


def test_its_examples_go_when_it_goes(model_folder: Path) -> None:
    model = load_model(str(model_folder))
    kept = model.examples[0].parent
    assert kept.is_dir()
    del model
    assert not kept.exists()


def test_a_local_folder_has_no_place_on_the_hub(served: ServedModel) -> None:
    assert served.repo_id is served.revision is None


@pytest.mark.parametrize("without_onnx", [False, True])
def test_a_model_that_gives_no_numbers_gives_no_answer(model_folder: Path, tmp_path: Path, without_onnx: bool) -> None:
    folder = _copy(model_folder, tmp_path, without_onnx)
    state = load_file(folder / "model.safetensors")
    save_file({**state, "fc.bias": state["fc.bias"] * float("nan")}, folder / "model.safetensors")
    if not without_onnx:
        model = onnx.load(folder / "model.onnx")
        for weights in model.graph.initializer:
            if weights.dims == [8]:
                weights.CopyFrom(numpy_helper.from_array(np.full(8, np.nan, np.float32), weights.name))
        (folder / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(NoNumbersError, match="gave no numbers"):
        load_model(str(folder)).answer(Image.new("RGB", (64, 64)))


def test_a_graph_that_breaks_gives_no_answer(model_folder: Path, tmp_path: Path) -> None:
    folder = _copy(model_folder, tmp_path)
    model = onnx.load(folder / "model.onnx")
    for weights in model.graph.initializer:
        if weights.name == "raw/scaled":
            weights.CopyFrom(numpy_helper.from_array(np.array([0, 0]), weights.name))
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(NoNumbersError, match="failed on this picture"):
        load_model(str(folder)).answer(Image.new("RGB", (64, 64)))


@pytest.mark.parametrize("without_onnx", [False, True])
def test_an_architecture_that_timm_lacks_matters_only_to_torch(
    model_folder: Path, tmp_path: Path, without_onnx: bool
) -> None:
    folder = _copy(model_folder, tmp_path, without_onnx)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "architecture": "evilnet"}))
    if without_onnx:
        with pytest.raises(ModelFolderError, match="timm has no architecture 'evilnet'"):
            load_model(str(folder))
    else:
        assert load_model(str(folder)).answer(Image.new("RGB", (64, 64))).probs.shape == (8,)


def test_a_model_onnx_of_another_model_is_one_line(model_folder: Path, tmp_path: Path) -> None:
    folder = _copy(model_folder, tmp_path)
    model = onnx.load(folder / "model.onnx")
    onnx.helper.set_model_props(model, {"label_names": '["kathak", "odissi"]'})
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    answer = subprocess.run(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env={**os.environ, "MODEL_ID": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert answer.returncode == 2
    assert answer.stderr.startswith(f"error: MODEL_ID={folder} is not to be trusted: model.onnx has other label_names")
    assert len(answer.stderr.strip().splitlines()) == 1


def test_damaged_metrics_are_named(model_folder: Path, tmp_path: Path) -> None:
    folder = _copy(model_folder, tmp_path)
    (folder / "metrics.json").write_text("{")
    with pytest.raises(ModelFolderError, match=r"damaged metrics.json .*: evaluate it again"):
        load_model(str(folder))


def _with_int8(model_folder: Path, tmp_path: Path) -> Path:
    """A folder whose quantised file can be told from the other: it always says the same."""
    folder = _copy(model_folder, tmp_path)
    model = onnx.load(folder / "model.onnx")
    for weights in model.graph.initializer:
        if weights.dims == [8] or weights.dims[:1] == [8]:
            weights.CopyFrom(numpy_helper.from_array(np.zeros(weights.dims, np.float32), weights.name))
    (folder / "model.int8.onnx").write_bytes(model.SerializeToString())
    return folder


@pytest.mark.parametrize(("asked", "even"), [(None, True), ("int8", True), ("float", False)])
def test_the_quantised_file_answers_unless_float_is_asked_for(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str | None, even: bool
) -> None:
    monkeypatch.delenv("MODEL_FORMAT", raising=False)
    if asked:
        monkeypatch.setenv("MODEL_FORMAT", asked)
    probs = load_model(str(_with_int8(model_folder, tmp_path))).answer(Image.new("RGB", (80, 60), "red")).probs
    assert bool(np.ptp(probs) == 0) is even


def test_what_is_asked_for_and_is_not_there_is_one_line(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _copy(model_folder, tmp_path)
    monkeypatch.setenv("MODEL_FORMAT", "int8")
    with pytest.raises(ModelFolderError, match=r"has no model\.int8\.onnx: MODEL_FORMAT=float can be had"):
        load_model(str(folder))
    said = subprocess.run(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env={**os.environ, "MODEL_ID": str(folder), "MODEL_FORMAT": "int4"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (said.returncode, said.stderr) == (2, "error: MODEL_FORMAT is 'int4': float and int8 are allowed\n")


def test_a_hostile_quantised_file_is_refused(model_folder: Path, tmp_path: Path) -> None:
    folder = _copy(model_folder, tmp_path)
    model = onnx.load(folder / "model.onnx")
    onnx.helper.set_model_props(model, {"label_names": '["kathak", "odissi"]'})
    (folder / "model.int8.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelFolderError, match=r"is not to be trusted: model\.int8\.onnx has other label_names"):
        load_model(str(folder))
