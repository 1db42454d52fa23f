from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from train.model import (
    ModelError,
    WeightsError,
    build_model,
    freeze_backbone,
    model_data_config,
    set_training_mode,
    unfreeze,
)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(3)
    state = timm.create_model("test_resnet", num_classes=5).state_dict()
    path = tmp_path / "weights.safetensors"
    save_file({name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state.items()}, path)
    return path


def test_a_file_fills_the_backbone_and_leaves_the_classifier(weights: Path) -> None:
    torch.manual_seed(4)
    fresh = build_model("test_resnet", 8, 64, False, None, 0.0)
    torch.manual_seed(4)
    model = build_model("test_resnet", 8, 64, True, weights, 0.0)
    torch.manual_seed(3)
    source = timm.create_model("test_resnet", num_classes=5)
    torch.testing.assert_close(model.layer1[0].conv1.weight, source.layer1[0].conv1.weight, atol=1e-3, rtol=0)
    assert model.layer1[0].conv1.weight.dtype == torch.float32
    assert torch.equal(model.get_classifier().weight, fresh.get_classifier().weight)


def test_weights_of_another_architecture_are_named(weights: Path) -> None:
    with pytest.raises(WeightsError, match=r"does not fit resnet18 \(missing: .* and \d+ more; .*other shape"):
        build_model("resnet18", 8, 64, False, weights, 0.0)


@pytest.mark.parametrize(("content", "message"), [(None, "can't be read"), (b"pickle", "is no safetensors file")])
def test_files_without_weights(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "w.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(WeightsError, match=message):
        build_model("test_resnet", 8, 64, False, path, 0.0)


def test_weights_out_of_reach_name_both_ways_out() -> None:
    # The tests run offline.
    with pytest.raises(
        WeightsError, match=r"weights of resnet34 can't be fetched .*weights=FILE, or .*pretrained=false"
    ):
        build_model("resnet34", 8, 64, True, None, 0.0)


def test_an_unknown_architecture_gets_suggestions() -> None:
    with pytest.raises(ModelError, match=r"no model 'resnet43'; similar: .*resnet"):
        build_model("resnet43", 8, 64, False, None, 0.0)


def test_frozen_means_frozen() -> None:
    model = build_model("test_resnet", 8, 64, False, None, 0.0)
    freeze_backbone(model)
    set_training_mode(model, freeze_statistics=False)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model(torch.randn(4, 3, 64, 64)).sum().backward()
    # BatchNorm's statistics would move in training mode, although no weight learns.
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert {name for name, p in model.named_parameters() if p.grad is not None} == {"fc.weight", "fc.bias"}
    unfreeze(model)
    set_training_mode(model, freeze_statistics=False)
    assert all(module.training for module in model.modules())


def test_statistics_can_stay_while_weights_learn() -> None:
    model = build_model("test_resnet", 8, 64, False, None, 0.0)
    set_training_mode(model, freeze_statistics=True)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model(torch.randn(4, 3, 64, 64)).sum().backward()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is not None for parameter in model.parameters())
    set_training_mode(model, freeze_statistics=False)
    model(torch.randn(4, 3, 64, 64))
    assert any(not torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_pictures_are_prepared_as_the_weights_ask_for() -> None:
    model = build_model("test_resnet", 8, 64, False, None, 0.0)
    config = model_data_config(model, 96, "squash")
    assert (config["input_size"], config["crop_mode"], config["crop_pct"]) == ((3, 96, 96), "squash", 1.0)
    assert config["mean"] == (0.5, 0.5, 0.5)


def test_a_vision_transformer_learns_its_size() -> None:
    model = build_model("vit_tiny_patch16_224", 8, 64, False, None, 0.0)
    assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 8)


def test_counters_that_no_result_depends_on_may_be_missing(tmp_path: Path) -> None:
    state = timm.create_model("test_resnet", num_classes=5).state_dict()
    path = tmp_path / "weights.safetensors"
    save_file({name: tensor for name, tensor in state.items() if "num_batches_tracked" not in name}, path)
    build_model("test_resnet", 8, 64, False, path, 0.0)
