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

from model_folder.folder import INT8_ONNX, ModelFolder, open_model_folder
from model_folder.onnx_session import open_onnx
from train.data import load_images
from train.export import int8
from train.export.int8 import Answers, Attempt, NotQuantisableError, compare, quantise, write_int8
from train.export.model_folder import add_onnx
from train.export.onnx_graph import raw_pixels_graph, write_onnx, write_parts
from train.model import model_data_config


def _pixels(side: int, count: int = 4) -> list[np.ndarray]:
    rng = np.random.default_rng(8)
    return [rng.normal(size=(1, 3, side, side)).astype(np.float32) for _ in range(count)]


@pytest.mark.parametrize(("architecture", "side"), [("test_resnet", 64), ("test_efficientnet", 64)])
@pytest.mark.parametrize("attempt", int8.ATTEMPTS)
def test_a_quantised_network_takes_raw_pixels_and_answers_alike(
    architecture: str, side: int, attempt: Attempt, tmp_path: Path
) -> None:
    torch.manual_seed(8)
    model = timm.create_model(architecture, num_classes=5).eval()
    data_config = model_data_config(model, side, "squash")
    network = write_onnx(tmp_path / "model.onnx", model, data_config, {"label_names": ["a"]})
    quantised_network = quantise(network, _pixels(side), attempt)
    write_parts(tmp_path / INT8_ONNX, raw_pixels_graph(data_config), quantised_network, {"label_names": ["a"]})
    picture = np.random.default_rng(8).integers(0, 256, (90, 70, 3), np.uint8)
    sessions = [onnxruntime.InferenceSession(tmp_path / name) for name in ("model.onnx", INT8_ONNX)]
    plain, quantised = (session.run(None, {"image": picture}) for session in sessions)
    assert [value.name for value in sessions[0].get_outputs()] == [value.name for value in sessions[1].get_outputs()]
    np.testing.assert_allclose(quantised[0], plain[0], atol=0.05)
    kinds = {node.op_type for node in onnx.load(tmp_path / INT8_ONNX).graph.node}
    assert "QuantizeLinear" in kinds
    assert sessions[1].get_modelmeta().custom_metadata_map["label_names"] == '["a"]'


def test_the_first_convolutions_stay_as_they_are_with_what_follows_each(tmp_path: Path) -> None:
    model = timm.create_model("test_efficientnet", num_classes=5).eval()
    network = write_onnx(tmp_path / "model.onnx", model, model_data_config(model, 64, "squash"), {})
    convolutions = [node for node in network.graph.node if node.op_type == "Conv"]
    for attempt, left in (
        (Attempt("", 0, 0), 0),
        (Attempt("", 0, 2), 2),
        (Attempt("", 0.5, 2), len(convolutions) // 2),
    ):
        whole = quantise(network, _pixels(64, 1), attempt)
        kinds = {weights.name: weights.data_type for weights in whole.graph.initializer}
        still = [node.output[0] for node in whole.graph.node if node.op_type == "Conv" and node.input[1] in kinds]
        assert still == [node.output[0] for node in convolutions[:left]]
        # Else its activation's input would be rounded, too, and that has no bounds.
        rounded = {node.input[0] for node in whole.graph.node if node.op_type == "QuantizeLinear"}
        assert not rounded.intersection(still)


@pytest.mark.parametrize("groups", [1, 2])
def test_biases_make_up_for_weights_that_are_rounded_the_same_way(groups: int) -> None:
    # With a scale of 0.01, 0.0149 becomes 0.01: what is added up of numbers above zero comes out too small.
    kernel = np.full((6, 4 // groups, 3, 3), 0.0149, np.float32)
    kernel[:, 0, 0, 0] = 1.27
    signature = "(float[1, 4, 9, 9] pixels) => (float[6] features)"
    network = onnx.parser.parse_model(
        f"""<ir_version: 10, opset_import: ["": 18]> one {signature} <int64[3] axes = {{0, 2, 3}}> {{
            [convolution] maps = Conv <group = {groups}> (pixels, kernel, bias)
            features = ReduceMean <keepdims = 0> (maps, axes)
        }}"""
    )
    for name, values in (("kernel", kernel), ("bias", np.ones(6, np.float32))):
        network.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
    # Channels that differ, so that each one's own average counts.
    light = np.array([0.1, 0.4, 0.7, 1.0], np.float32).reshape(1, 4, 1, 1)
    pixels = [light * np.random.default_rng(seed).random((1, 4, 9, 9), np.float32) for seed in range(8)]
    quantised = quantise(network, pixels, Attempt("", 0, 0))
    sessions = [onnxruntime.InferenceSession(model.SerializeToString()) for model in (network, quantised)]
    before, after = (np.mean([session.run(None, {"pixels": of})[0] for of in pixels], 0) for session in sessions)
    # Without it they are off by 0.01 and more.
    np.testing.assert_allclose(after, before, atol=0.004)


def test_a_network_with_nothing_to_quantise_is_said_to_be_one(tmp_path: Path) -> None:
    signature = "(float[1, 3] pixels) => (float[1, 3] features)"
    text = f'<ir_version: 10, opset_import: ["": 18]> none {signature} {{ features = Abs (pixels) }}'
    with pytest.raises(NotQuantisableError, match="it has no Conv, Gemm, MatMul before its features"):
        quantise(onnx.parser.parse_model(text), [], Attempt("", 0, 0))


def _answers(classes: np.ndarray, sure: float = 0.9, ood: int = 0) -> Answers:
    """Answers to a hundred pictures, the first `ood` of which are far from all; the last lies on the threshold."""
    probs = np.full((len(classes), 4), (1 - sure) / 3, np.float32)
    probs[np.arange(len(classes)), classes] = sure
    distances = np.where(np.arange(len(classes)) < ood, 0.9, 0.1)
    distances[-1] = 0.5
    return Answers(probs, distances)


def test_each_bound_is_told_with_what_it_was_missed_by() -> None:
    labels = np.arange(101) % 4
    good = np.where(np.arange(101) < 90, labels, (labels + 1) % 4)
    former = _answers(good)
    faults = lambda answers: compare(former, answers, labels, None, 0.5).faults  # noqa: E731
    assert faults(_answers(good)) == []
    two = np.where(np.arange(101) < 2, (labels + 1) % 4, good)
    assert faults(_answers(two, 0.88, 2)) == [
        "another answer to up to 6.1% of pictures (95% confidence), 5% is the most"
    ]
    eight = np.where(np.arange(101) < 8, (labels + 1) % 4, good)
    assert faults(_answers(eight, 0.82)) == [
        "the same answer on 92.1% of 101 pictures, 98% is the least",
        "another answer to up to 13.8% of pictures (95% confidence), 5% is the most",
        "probabilities of its answers off by -0.080, 0.02 is the most",
    ]
    assert faults(_answers(good, 0.8)) == ["probabilities of its answers off by -0.100, 0.02 is the most"]
    assert faults(_answers(good, ood=5)) == []
    assert faults(_answers(good, ood=6)) == ["the same verdict on ood on 94.0% of 101 pictures, 95% is the least"]


@pytest.mark.parametrize(
    ("pictures", "changed", "most", "passes"),
    [(46, 0, 0.063, True), (58, 1, 0.079, True), (60, 1, 0.077, False), (93, 1, 0.0499, True), (300, 6, 0.039, True)],
)
def test_few_pictures_state_a_bound_and_more_must_keep_it(
    pictures: int, changed: int, most: float, passes: bool
) -> None:
    labels = np.arange(pictures) % 4
    comparison = compare(
        _answers(labels), _answers((labels + (np.arange(pictures) < changed)) % 4), labels, None, None
    )
    assert comparison.most_changed == pytest.approx(most, abs=1e-3)
    assert (not comparison.faults) == passes


def test_a_group_of_near_duplicates_shows_one_change_at_most() -> None:
    labels = np.arange(100) % 4
    two = np.where(np.arange(100) < 2, (labels + 1) % 4, labels)
    groups = [str(number // 2) for number in range(100)]
    comparison = compare(_answers(labels), _answers(two), labels, groups, None)
    assert (comparison.pictures, comparison.groups, comparison.same_answer) == (100, 50, 0.98)
    assert comparison.most_changed == pytest.approx(0.091, abs=1e-3)


def test_the_picture_that_the_threshold_was_read_off_has_no_verdict_to_keep() -> None:
    labels = np.arange(40) % 4
    former, shifted = _answers(labels), _answers(labels)
    assert former.distances is not None
    # A hair's breadth beyond, as the file differs from the network that it was made of.
    shifted.distances[-1] = 0.5001
    assert compare(former, shifted, labels, None, 0.5).same_ood == 1
    shifted.distances[0] = 0.5001
    assert compare(former, shifted, labels, None, 0.5).same_ood == 38 / 39
    assert compare(former, shifted, labels, None, None).same_ood == 1
    assert compare(Answers(former.probs, None), Answers(former.probs, None), labels, None, None).faults == []


def _folder(model_folder: Path, tmp_path: Path) -> ModelFolder:
    copy = Path(shutil.copytree(model_folder, tmp_path / "model"))
    return open_model_folder(str(copy))


def _write(folder: ModelFolder, dataset_folder: Path) -> dict | None:
    data_config = timm.data.resolve_model_data_config(timm.create_model(f"local-dir:{folder.path}", pretrained=True))
    network = add_onnx(folder.path, data_config)
    assert network is not None
    return write_int8(folder, network, data_config, load_images(str(dataset_folder)))


def test_the_first_attempt_that_passes_is_kept(
    model_folder: Path,
    dataset_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = _folder(model_folder, tmp_path)
    # So that these eight pictures can't fail.
    monkeypatch.setattr(int8, "SAME_ANSWER", 0)
    monkeypatch.setattr(int8, "LARGEST_SHIFT", 1)
    record = _write(folder, dataset_folder)
    assert record is not None
    assert record["attempt"] == int8.ATTEMPTS[0].name
    assert (record["pictures"], record["split"], record["calibrated_on"]) == (8, "validation", 48)
    json.dumps(record)
    open_onnx(folder, 1, INT8_ONNX)
    assert capsys.readouterr().err == "quantising: attempt 1 of 3, all of the network\n"
    # A large split is judged by a sample.
    monkeypatch.setattr(int8, "_JUDGED_PICTURES", 5)
    record = _write(folder, dataset_folder)
    assert record is not None
    assert record["pictures"] == 5


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


def test_a_network_that_became_another_is_caught(
    model_folder: Path, dataset_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = _folder(model_folder, tmp_path)
    torch.manual_seed(9)
    other = timm.create_model("test_resnet", num_classes=8).eval()
    data_config = timm.data.resolve_model_data_config(timm.create_model(f"local-dir:{folder.path}", pretrained=True))
    network = write_onnx(tmp_path / "other.onnx", other, data_config, {})
    with caplog.at_level(logging.WARNING):
        assert write_int8(folder, network, data_config, load_images(str(dataset_folder))) is None
    assert not (folder.path / INT8_ONNX).exists()
    (said,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert said.count("of 8 pictures, 98% is the least") >= len(int8.ATTEMPTS)
    assert "\n" not in said
