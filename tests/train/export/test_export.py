import json
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn

from pictures.decoding import decode
from tests.conftest import SHARED
from train.data import load_images, read_image
from train.export.model_folder import add_onnx
from train.export.onnx_graph import NoGraphError, quiet, write_onnx
from train.loaders import eval_transform
from train.model import model_data_config
from train.report.grad_cam import grad_cam

CLASSES = 5


def _picture() -> Image.Image:
    noise = np.random.default_rng(8).integers(0, 256, (12, 9, 3), np.uint8)
    return Image.fromarray(noise).resize((150, 200), Image.Resampling.BICUBIC)


def _model(architecture: str) -> Any:
    torch.manual_seed(8)
    return timm.create_model(architecture, num_classes=CLASSES).eval()


def _answers(file: Path, picture: Image.Image) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(file)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"image": np.asarray(picture)}), strict=True))


# Pooling and a linear layer; a convolution before the pooling; one after it; a norm after it; tokens; channels last.
@pytest.mark.parametrize(
    ("architecture", "side", "heatmap"),
    [
        ("test_resnet", 64, (2, 2)),
        ("test_efficientnet", 64, (2, 2)),
        ("mobilenetv3_small_050", 64, None),
        ("test_convnext", 64, None),
        ("test_vit", 160, None),
        ("test_mambaout", 160, None),
        # Classifiers that normalise first, and two that answer together.
        ("repvit_m0_9", 64, None),
        ("levit_128s", 224, None),
    ],
)
def test_architectures(architecture: str, side: int, heatmap: tuple[int, int] | None, tmp_path: Path) -> None:
    model = _model(architecture)
    data_config = model_data_config(model, side, "squash")
    write_onnx(tmp_path / "model.onnx", model, data_config, {})
    answers = _answers(tmp_path / "model.onnx", _picture())
    with torch.inference_mode():
        maps = model.forward_features(eval_transform(data_config)(_picture()).unsqueeze(0))
        probs, features = model.forward_head(maps).softmax(1)[0], model.forward_head(maps, pre_logits=True)[0]
    np.testing.assert_allclose(answers["probs"], probs, atol=1e-4)
    np.testing.assert_allclose(answers["features"], features, rtol=1e-2, atol=1e-2)
    assert answers.get("heatmap", np.array(None)).shape == (heatmap or ())
    assert ("maps" in answers) == (heatmap is not None)
    if heatmap:
        # What another classifier says of them can be laid over the picture, too.
        np.testing.assert_allclose(answers["maps"].mean((0, 1)), answers["features"], rtol=1e-3, atol=1e-4)
    assert list(tmp_path.iterdir()) == [tmp_path / "model.onnx"]


def test_the_heatmap_is_grad_cam_of_the_likeliest_class(tmp_path: Path) -> None:
    model = _model("resnet10t")
    data_config = model_data_config(model, 160, "squash")
    write_onnx(tmp_path / "model.onnx", model, data_config, {})
    answers = _answers(tmp_path / "model.onnx", _picture())
    pixels = eval_transform(data_config)(_picture()).unsqueeze(0)
    expected = grad_cam(model, pixels, torch.tensor([int(answers["probs"].argmax())]))[0]
    heat = torch.from_numpy(answers["heatmap"])
    assert heat.shape == (5, 5)
    assert (float(heat.min()), float(heat.max())) == (pytest.approx(0.5, abs=0.5), 1)
    large = torch.nn.functional.interpolate(heat[None, None], (160, 160), mode="bicubic", align_corners=False)
    large = large[0, 0].clamp(min=0)
    np.testing.assert_allclose(large / large.max(), expected, atol=0.01)


def test_one_file_says_whose_it_is_and_nothing_of_this_machine(model_folder: Path, dataset_folder: Path) -> None:
    model = onnx.load(model_folder / "model.onnx", load_external_data=False)
    assert {entry.domain: entry.version for entry in model.opset_import} == {"": 18}
    assert not any(tensor.external_data for tensor in model.graph.initializer)
    config = json.loads((model_folder / "config.json").read_text())
    told = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert told == {
        "label_names": config["label_names"],
        "architecture": "test_resnet",
        "reject_threshold": config["reject_threshold"],
        "prediction_set": config["prediction_set"],
        "dataset": {"name": "Dances", "id": None, "fingerprint": config["training_data"]["fingerprint"]},
        "model_card": {"name": "test_resnet for Dances", "license": "apache-2.0"},
    }
    text = (model_folder / "model.onnx").read_bytes()
    assert b".py" not in text
    assert b"site-packages" not in text
    [image] = model.graph.input
    assert [dim.dim_value or dim.dim_param for dim in image.type.tensor_type.shape.dim] == ["height", "width", 3]
    assert [output.name for output in model.graph.output] == ["probs", "features", "heatmap", "maps"]


def test_the_same_model_gives_the_same_bytes(model_folder: Path, tmp_path: Path) -> None:
    for file in ("one.onnx", "two.onnx"):
        model = timm.create_model(f"local-dir:{model_folder}", pretrained=True).eval()
        write_onnx(tmp_path / file, model, timm.data.resolve_model_data_config(model), {"b": 1, "a": 2})
    assert (tmp_path / "one.onnx").read_bytes() == (tmp_path / "two.onnx").read_bytes()


class _Undecided(nn.Module):
    """A network that looks at its pixels before it decides what to do."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def get_classifier(self) -> nn.Module:
        return self.model.get_classifier()

    def forward_features(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.model.forward_features(pixels if pixels.sum() > 0 else -pixels)

    def forward_head(self, maps: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        return self.model.forward_head(maps, pre_logits=pre_logits)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.forward_head(self.forward_features(pixels))


class _Sharper(_Undecided):
    """A network whose answer is not that of its head."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(pixels)


def test_a_network_that_is_more_than_features_and_head_is_one_line(tmp_path: Path) -> None:
    model = _model("test_resnet")
    with pytest.raises(NoGraphError, match="more than its head makes of its features"):
        write_onnx(tmp_path / "model.onnx", _Sharper(model).eval(), model_data_config(model, 64, "squash"), {})


def test_a_network_that_can_not_be_exported_is_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model = _model("test_resnet")
    with pytest.raises(NoGraphError) as error:
        write_onnx(tmp_path / "model.onnx", _Undecided(model).eval(), model_data_config(model, 64, "squash"), {})
    assert str(error.value).startswith("torch can't export this network (")
    assert len(str(error.value).splitlines()) == 1
    assert "\x1b" not in str(error.value)
    assert tuple(capfd.readouterr()) == ("", "")
    assert list(tmp_path.iterdir()) == []


def test_a_network_too_large_for_one_file_is_one_line(tmp_path: Path) -> None:
    model = nn.Linear(30_000, 30_000, device="meta")
    with pytest.raises(NoGraphError, match=r"its weights are 3\.4 GB, and one ONNX file holds less than 2"):
        write_onnx(tmp_path / "model.onnx", model, model_data_config(_model("test_resnet"), 64, "squash"), {})


def test_without_it_a_folder_is_still_written_and_the_log_says_so(
    model_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = shutil.copytree(model_folder, tmp_path / "model")
    (folder / "model.onnx").unlink()
    data_config = {**json.loads((folder / "config.json").read_text())["pretrained_cfg"], "interpolation": "lanczos"}
    add_onnx(folder, data_config)
    assert caplog.messages == [
        "no model.onnx, so that app.py needs torch for this model: ONNX has no lanczos interpolation, only bicubic "
        "and bilinear"
    ]
    assert not (folder / "model.onnx").exists()


def test_the_exporter_keeps_quiet(
    model_folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    folder = shutil.copytree(model_folder, tmp_path / "model")
    add_onnx(folder, json.loads((folder / "config.json").read_text())["pretrained_cfg"])
    assert tuple(capfd.readouterr()) == ("", "")
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_what_is_said_afterwards_is_heard(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    # As in a run of `fit`, in which nobody has asked for logs.
    monkeypatch.setattr(logging.root, "handlers", [])
    with quiet():
        logging.warning("a word of the exporter's")
    logging.getLogger("train").warning("a word of ours")
    assert capsys.readouterr().err == "a word of ours\n"


def test_it_answers_about_what_it_was_made_for(model_folder: Path, dataset_folder: Path) -> None:
    picture = read_image(load_images(str(dataset_folder)).split("test"), 0)
    probs = _answers(model_folder / "model.onnx", picture)["probs"]
    assert probs.sum() == pytest.approx(1)


def _trained_on_photographs(pictures: list[Image.Image], labels: np.ndarray) -> Any:
    """EfficientNet-Lite0 with ImageNet weights, and a classifier by the nearest mean of its features."""
    model = timm.create_model("tf_efficientnet_lite0", num_classes=8).eval()
    state = load_file(SHARED / "pretrained" / "tf_efficientnet_lite0-imagenet.safetensors")
    model.load_state_dict({n: t.float() if t.is_floating_point() else t for n, t in state.items()}, strict=False)
    transform = eval_transform(model_data_config(model, 224, "squash"))
    with torch.inference_mode():
        features = torch.stack(
            [model.forward_head(model.forward_features(transform(p)[None]), pre_logits=True)[0] for p in pictures]
        )
        means = torch.stack([features[labels == label].mean(0) for label in range(8)])
        spread = (features - means[labels]).square().mean() * 30
        model.classifier.weight.copy_(means / spread)
        model.classifier.bias.copy_(-means.square().sum(1) / spread / 2)
        sure = model.classifier(features).softmax(1).max(1).values.mean()
    # Neither all at one class nor all alike, where no difference would show.
    assert 0.3 < sure < 0.95
    return model


@pytest.mark.shared
def test_photographs_and_odd_sizes_are_answered_as_timm_answers(tmp_path: Path) -> None:
    files = sorted((SHARED / "data" / "dances").rglob("*.jpg"))[::2]
    assert len(files) >= 100
    pictures = [decode(file.read_bytes()).image for file in files]
    labels = np.unique([file.parent.name for file in files], return_inverse=True)[1]
    model = _trained_on_photographs(pictures, labels)
    for crop_mode in ("squash", "center", "border"):
        data_config = model_data_config(model, 224, crop_mode)
        write_onnx(tmp_path / "model.onnx", model, data_config, {})
        session, transform = onnxruntime.InferenceSession(tmp_path / "model.onnx"), eval_transform(data_config)
        line = 5 if crop_mode == "border" else 1
        odd = [pictures[0].resize(size) for size in ((1000, line), (line, 1000), (6000, 4000), (90, 70))]
        differences = []
        for picture in [*pictures, *odd]:
            probs = session.run(["probs"], {"image": np.asarray(picture)})[0]
            with torch.inference_mode():
                differences.append(np.abs(probs - model(transform(picture).unsqueeze(0)).softmax(1)[0].numpy()))
        print(crop_mode, np.median(differences), np.max(differences))
        assert np.median(differences) <= 2e-4
        assert np.max(differences) <= 2e-3
