"""The quantised model: kept where it answers as the other does, else the run says which bound it misses."""

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import timm
import torch

from hub.model_folder import INT8_ONNX, ModelFolder, open_model_folder
from hub.onnx_model import open_onnx
from train.fitting.data import load_images
from train.fitting.model import model_data_config
from train.publishing import int8
from train.publishing.export import write_onnx, write_parts
from train.publishing.int8 import Answers, compare, write_int8
from train.publishing.model_folder import add_onnx
from train.publishing.quantize import Attempt, NotQuantisableError, quantise


def _pixels(side: int, count: int = 4) -> list[np.ndarray]:
    rng = np.random.default_rng(8)
    return [rng.normal(size=(1, 3, side, side)).astype(np.float32) for _ in range(count)]


@pytest.mark.parametrize(("architecture", "side"), [("test_resnet", 64), ("test_efficientnet", 64), ("test_vit", 160)])
@pytest.mark.parametrize("attempt", int8.ATTEMPTS)
def test_a_quantised_network_takes_raw_pixels_and_answers_alike(
    architecture: str, side: int, attempt: Attempt, tmp_path: Path
) -> None:
    torch.manual_seed(8)
    model = timm.create_model(architecture, num_classes=5).eval()
    data_config = model_data_config(model, side, "squash")
    network = write_onnx(tmp_path / "model.onnx", model, data_config, {"label_names": ["a"]})
    write_parts(tmp_path / INT8_ONNX, data_config, quantise(network, _pixels(side), attempt), {"label_names": ["a"]})
    picture = np.random.default_rng(8).integers(0, 256, (90, 70, 3), np.uint8)
    sessions = [onnxruntime.InferenceSession(tmp_path / name) for name in ("model.onnx", INT8_ONNX)]
    plain, quantised = (session.run(None, {"image": picture}) for session in sessions)
    assert [value.name for value in sessions[0].get_outputs()] == [value.name for value in sessions[1].get_outputs()]
    np.testing.assert_allclose(quantised[0], plain[0], atol=0.05)
    kinds = {node.op_type for node in onnx.load(tmp_path / INT8_ONNX).graph.node}
    assert "QuantizeLinear" in kinds
    assert sessions[1].get_modelmeta().custom_metadata_map["label_names"] == '["a"]'


def test_weights_of_seven_bits_fit_every_processor(tmp_path: Path) -> None:
    model = timm.create_model("test_resnet", num_classes=5).eval()
    network = write_onnx(tmp_path / "model.onnx", model, model_data_config(model, 64, "squash"), {})
    for bits, largest in ((7, 64), (8, 127)):
        whole = quantise(network, _pixels(64, 1), Attempt("", bits, False))
        weights = [w for w in whole.graph.initializer if w.data_type == onnx.TensorProto.INT8 and len(w.dims) == 4]
        assert weights
        assert max(abs(onnx.numpy_helper.to_array(w).astype(int)).max() for w in weights) == largest


def test_a_network_with_nothing_to_quantise_is_said_to_be_one(tmp_path: Path) -> None:
    signature = "(float[1, 3] pixels) => (float[1, 3] features)"
    text = f'<ir_version: 10, opset_import: ["": 18]> none {signature} {{ features = Abs (pixels) }}'
    with pytest.raises(NotQuantisableError, match="it has no Conv, Gemm, MatMul before its features"):
        quantise(onnx.parser.parse_model(text), [], Attempt("", 8, False))


def _answers(classes: np.ndarray, sure: float = 0.9, unlike: int = 0) -> Answers:
    probs = np.full((len(classes), 4), (1 - sure) / 3, np.float32)
    probs[np.arange(len(classes)), classes] = sure
    return Answers(probs, np.arange(len(classes)) < unlike)


def test_each_bound_is_told_with_what_it_was_missed_by() -> None:
    labels = np.arange(100) % 4
    good = np.where(np.arange(100) < 90, labels, (labels + 1) % 4)
    former = _answers(good)
    assert compare(former, _answers(good), labels, None).faults == []
    two = np.where(np.arange(100) < 2, (labels + 1) % 4, good)
    assert compare(former, _answers(two, 0.89), labels, None).faults == []
    eight = np.where(np.arange(100) < 8, (labels + 1) % 4, good)
    assert compare(former, _answers(eight, 0.82), labels, None).faults == [
        "the same answer on 92.0% of 100 pictures, 98% is the least",
        "accuracy 82.0% instead of 90.0%, more than chance explains (p = 0.008)",
    ]
    assert compare(former, _answers(good, 0.8), labels, None).faults == [
        "calibration error 0.100 instead of 0.000, 0.02 apart is the most"
    ]
    assert compare(former, _answers(good, unlike=3), labels, None).faults == [
        "the same “like none of them” on 97.0% of 100 pictures, 98% is the least"
    ]


def _folder(model_folder: Path, tmp_path: Path) -> ModelFolder:
    copy = Path(shutil.copytree(model_folder, tmp_path / "model"))
    (copy / INT8_ONNX).unlink(missing_ok=True)
    return open_model_folder(str(copy))


def _write(folder: ModelFolder, dataset_folder: Path) -> dict | None:
    data_config = timm.data.resolve_model_data_config(timm.create_model(f"local-dir:{folder.path}", pretrained=True))
    network = add_onnx(folder.path, data_config)
    assert network is not None
    return write_int8(folder, network, data_config, load_images(str(dataset_folder)))


def test_the_first_attempt_that_passes_is_kept(
    model_folder: Path, dataset_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _folder(model_folder, tmp_path)
    # So that these eight pictures can't fail.
    monkeypatch.setattr(int8, "SAME_ANSWER", 0)
    monkeypatch.setattr(int8, "LARGEST_ECE_CHANGE", 1)
    told = _write(folder, dataset_folder)
    assert told is not None
    assert told["attempt"] == int8.ATTEMPTS[0].name
    assert (told["pictures"], told["split"], told["calibrated_on"]) == (8, "validation", 48)
    json.dumps(told)
    open_onnx(folder, 1, INT8_ONNX)


def test_a_run_without_it_says_which_bound_was_missed(
    model_folder: Path,
    dataset_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder = _folder(model_folder, tmp_path)
    monkeypatch.setattr(int8, "SAME_ANSWER", 1.01)
    with caplog.at_level(logging.WARNING):
        assert _write(folder, dataset_folder) is None
    assert not (folder.path / INT8_ONNX).exists()
    assert f"no {INT8_ONNX}" in caplog.text
    for attempt in int8.ATTEMPTS:
        assert f"{attempt.name}: the same answer on" in caplog.text
    assert "of 8 pictures, 101% is the least" in caplog.text
