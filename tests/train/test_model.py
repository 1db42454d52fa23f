import pickle
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

from model_folder.folder import ModelFolder
from train.calibration import fold_temperature
from train.hardware import OutOfMemoryError, plain_memory_errors
from train.model import (
    Classifier,
    FrozenBackbone,
    FrozenError,
    ModelError,
    WeightsError,
    build_model,
    checkpoint_gradients,
    classifier_names,
    freeze_backbone,
    load_previous,
    model_data_config,
    rescale,
    set_training_mode,
    try_model,
    unfreeze,
    zero_classifier,
)
from train.optim import layer_groups, make_optimizer
from train.predict import gives_features

# BatchNorm before the linear layer, in one classifier or two.
NORMED = ["iformer_t", "levit_128s", "repvit_m0_9"]
NAMES = [f"dance {number}" for number in range(8)]


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


def test_another_implementations_names_are_matched_by_order(tmp_path: Path) -> None:
    state, path = timm.create_model("test_resnet", num_classes=5).state_dict(), tmp_path / "weights.pth"
    renamed = {f"_blocks.{number}.{name.rpartition('.')[2]}": t for number, (name, t) in enumerate(state.items())}
    torch.save(renamed, path)
    model = build_model("test_resnet", 8, 64, False, path, 0.0)
    own = model.state_dict()
    assert all(torch.equal(own[name], state[name]) for name in state if not name.startswith("fc."))
    torch.save(state, path)
    own = build_model("test_resnet", 8, 64, False, path, 0.0).state_dict()
    assert all(torch.equal(own[name], state[name]) for name in state if not name.startswith("fc."))
    # In timm's names the order means nothing.
    torch.save(dict(reversed(state.items())), path)
    own = build_model("test_resnet", 8, 64, False, path, 0.0).state_dict()
    assert all(torch.equal(own[name], state[name]) for name in state if not name.startswith("fc."))
    # Scale and shift have one shape: only their names tell them apart.
    swapped = {
        name.replace("weight", "?").replace("bias", "weight").replace("?", "bias"): renamed[name] for name in renamed
    }
    torch.save(swapped, path)
    with pytest.raises(WeightsError, match=r"does not fit test_resnet \(missing: "):
        build_model("test_resnet", 8, 64, False, path, 0.0)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("w.safetensors", None, "can't be read"),
        ("w.safetensors", b"pickle", "is no safetensors or PyTorch file of tensors"),
        ("w.pth", None, "can't be read"),
        ("w.pth", b"pickle", "is no safetensors or PyTorch file of tensors"),
        ("w.pth", pickle.dumps(Path, 2), "is no safetensors or PyTorch file of tensors"),
        *(
            ("w.pth", damaged, "is no safetensors or PyTorch file of tensors")
            for damaged in (b"\x80\x02j\x01\0\0\0.", b"\x80\x02X\x02", b"\x80\x02.", pickle.dumps({1: 2}, 2))
        ),
    ],
)
def test_files_without_weights(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    path = tmp_path / name
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


def _try(model: Any, *sides: int, names: list[str] = NAMES, batch_size: int = 4, freezes: bool = True) -> None:
    try_model(model, names, sides or (64,), batch_size, freezes=freezes, unfreezes=True)


@pytest.mark.parametrize("architecture", ["test_resnet", "test_vit", "efficientformerv2_s0", *NORMED])
def test_a_trial_changes_nothing(architecture: str) -> None:
    side = 224 if architecture == "efficientformerv2_s0" else 64
    model = build_model(architecture, 8, side, False, None, 0.2)
    freeze_backbone(model)
    before, learning = {n: t.clone() for n, t in model.state_dict().items()}, _learning(model)
    random = torch.get_rng_state()
    _try(model, side)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert _learning(model) == learning
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(module.training for module in model.modules())


def _learning(model: nn.Module) -> list[bool]:
    return [parameter.requires_grad for parameter in model.parameters()]


def test_a_size_that_the_patches_do_not_divide_is_refused() -> None:
    with pytest.raises(ModelError, match=r"test_vit can't take pictures of 100 x 100 pixels \(Input height .*size"):
        _try(build_model("test_vit", 8, 100, False, None, 0.0), 96, 100)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a", "", "c"], r"label_names must be a list of names of at most 200 characters"),
        (["a", "b" * 201], r"of at most 200 characters"),
        (["a", "a"], r"2 label_names, some perhaps alike"),
        ([f"{number}" for number in range(10_001)], r"10001 label_names.*: 2 to 10,000"),
    ],
)
def test_labels_that_no_model_folder_may_hold_are_refused(names: list[str], message: str) -> None:
    with pytest.raises(ModelError, match=rf"the dataset's labels don't fit into a model folder \(.*{message}"):
        _try(build_model("test_resnet", 3, 64, False, None, 0.0), names=names)


def test_logits_that_are_not_linear_are_refused() -> None:
    model: Any = build_model("test_resnet", 8, 64, False, None, 0.0)
    model.fc = nn.Sequential(model.fc, nn.Softmax(1))
    with pytest.raises(ModelError, match=r"the logits of test_resnet don't come out of a linear layer"):
        _try(model, freezes=False)


def test_a_full_batch_that_does_not_fit_is_found_before_any_work() -> None:
    model = build_model("test_resnet", 8, 64, False, None, 0.0)
    with (
        pytest.raises(OutOfMemoryError, match=r"the main memory is full \(batch_size=1000000000\): lower batch_size"),
        plain_memory_errors(batch_size=10**9),
    ):
        _try(model, batch_size=10**9)


@pytest.mark.parametrize("architecture", ["test_resnet", *NORMED])
def test_the_temperature_divides_the_logits(architecture: str) -> None:
    model = build_model(architecture, 8, 64, False, None, 0.0).eval()
    images = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        logits = model(images)
        fold_temperature(model, 3.0)
        torch.testing.assert_close(model(images), logits / 3)


@pytest.mark.parametrize("architecture", ["test_resnet", *NORMED])
def test_features_and_layer_groups_are_had_of_every_classifier(architecture: str) -> None:
    model = build_model(architecture, 8, 64, False, None, 0.0).eval()
    assert gives_features(model, SIZE)
    learning = {name for name, _ in model.named_parameters()}
    assert {name for name, _ in layer_groups(model)[-1]} == classifier_names(model) & learning


@pytest.mark.parametrize("architecture", ["test_resnet", *NORMED])
def test_a_classifier_that_begins_with_zeros_learns(architecture: str) -> None:
    backbone = _frozen(architecture)
    zero_classifier(backbone.model)
    images = torch.rand(4, *SIZE)
    assert not backbone(images).any()
    optimizer = make_optimizer(backbone.model, 1e-2, 1.0, 0.0)
    for _ in range(2):
        optimizer.zero_grad()
        F.cross_entropy(backbone(images), torch.arange(4)).backward()
        optimizer.step()
    # In the first step a BatchNorm before zeros has no gradient; in the second everything has.
    gradients = [parameter.grad for parameter in backbone.get_classifier().parameters()]
    assert all(gradient is not None and gradient.any() for gradient in gradients)


def test_a_classifiers_own_statistics_move_where_those_of_the_backbone_stay() -> None:
    model = build_model("repvit_m0_9", 8, 64, False, None, 0.0)
    freeze_backbone(model)
    set_training_mode(model, freeze_statistics=True)
    before = {name: tensor.clone() for name, tensor in model.named_buffers()}
    model(torch.rand(4, *SIZE))
    moved = {name for name, tensor in model.named_buffers() if not torch.equal(tensor, before[name])}
    assert {name.split(".")[0] for name in moved} == {"head"}
    assert len(moved) == 6


def test_classes_of_an_earlier_model_are_matched_by_name(tmp_path: Path) -> None:
    source = build_model("repvit_m0_9", 3, 64, False, None, 0.0)
    save_file(source.state_dict(), tmp_path / "model.safetensors")
    config = {"label_names": ["a", "b", "c"], "pretrained_cfg": {"input_size": [3, 64, 64]}}
    model = build_model("repvit_m0_9", 2, 64, False, None, 0.0)
    load_previous(model, ModelFolder("earlier", tmp_path, config), ["c", "a"])
    images = torch.rand(2, *SIZE)
    with torch.inference_mode():
        torch.testing.assert_close(model.eval()(images), source.eval()(images)[:, [2, 0]])


def test_stochastic_depth_acts_and_is_refused_where_there_is_none() -> None:
    images = torch.rand(2, *SIZE)
    answers = []
    for rate in (0.0, 0.9):
        torch.manual_seed(0)
        model = build_model("test_vit", 8, 64, False, None, 0.0, drop_path_rate=rate).train()
        answers.append(torch.equal(model(images), model(images)))
    assert answers == [True, False]
    with pytest.raises(ModelError, match="vgg11 has no stochastic depth: leave drop_path_rate away"):
        build_model("vgg11", 8, 64, False, None, 0.0, drop_path_rate=0.1)


def test_gradient_checkpointing_keeps_less_and_gives_the_same_gradients() -> None:
    model = build_model("test_vit", 8, 64, False, None, 0.0, drop_path_rate=0.2).train()
    images = torch.rand(2, *SIZE)
    gradients, kept = [], []
    for checkpointing in (False, True):
        if checkpointing:
            checkpoint_gradients(model, freeze_batchnorm=False)
        saved: list[torch.Tensor] = []
        torch.manual_seed(0)
        with torch.autograd.graph.saved_tensors_hooks(
            lambda tensor, saved=saved: saved.append(tensor) or tensor, lambda tensor: tensor
        ):
            loss = F.cross_entropy(model(images), torch.tensor([1, 2]))
        loss.backward()
        gradients.append({name: parameter.grad for name, parameter in model.named_parameters()})
        kept.append(len(saved))
        model.zero_grad()
    assert kept[1] < kept[0] / 2
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, msg=name)


def test_gradient_checkpointing_is_refused_where_it_would_do_harm() -> None:
    with pytest.raises(ModelError, match="vgg11 has no gradient checkpointing: leave gradient_checkpointing away"):
        checkpoint_gradients(build_model("vgg11", 8, 64, False, None, 0.0), freeze_batchnorm=False)
    model = build_model("test_resnet", 8, 64, False, None, 0.0)
    with pytest.raises(ModelError, match=r"test_resnet would see every batch twice: set freeze_batchnorm=true"):
        checkpoint_gradients(model, freeze_batchnorm=False)
    checkpoint_gradients(model, freeze_batchnorm=True)


SIZE = (3, 64, 64)


def _frozen(architecture: str = "test_resnet", drop_rate: float = 0.0) -> FrozenBackbone:
    torch.manual_seed(0)
    backbone = FrozenBackbone(build_model(architecture, 8, 64, False, None, drop_rate), drop_rate, SIZE)
    freeze_backbone(backbone.model)
    backbone.train()
    return backbone


def _step(backbone: FrozenBackbone) -> torch.optim.Optimizer:
    optimizer = make_optimizer(backbone.model, 1e-2, 1.0, 1e-2)
    F.cross_entropy(backbone(torch.randn(4, *SIZE)), torch.arange(4)).backward()
    optimizer.step()
    return optimizer


def test_no_activation_of_the_backbone_is_kept() -> None:
    backbone = _frozen()
    kept: list[torch.Tensor] = []
    # Autograd hands over here whatever it keeps for the way back.
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        logits = backbone(torch.randn(4, *SIZE))
    assert logits.requires_grad
    assert {tuple(tensor.shape) for tensor in kept} == {(4, backbone.num_features)}
    assert backbone.features(torch.randn(4, *SIZE)).grad_fn is None


def test_the_backbone_computes_without_gradients_and_in_evaluation_mode() -> None:
    backbone = _frozen()
    seen = []
    for name, module in backbone.model.named_modules():
        if isinstance(module, nn.BatchNorm2d | nn.Conv2d):
            module.register_forward_hook(
                lambda module, _, output, name=name: seen.append(
                    (name, module.training, torch.is_grad_enabled(), output.requires_grad)
                )
            )
    backbone(torch.randn(4, *SIZE))
    assert len(seen) > 10
    assert {rest for _, *state in seen for rest in state} == {False}
    assert backbone.classifier.training


def test_a_step_moves_the_classifier_and_nothing_else() -> None:
    backbone = _frozen()
    before = {name: tensor.clone() for name, tensor in backbone.model.state_dict().items()}
    _step(backbone)
    after = backbone.model.state_dict()
    assert {name for name in before if not torch.equal(before[name], after[name])} == {"fc.weight", "fc.bias"}


def test_only_the_classifier_has_optimizer_state() -> None:
    backbone = _frozen()
    optimizer = _step(backbone)
    assert {id(parameter) for parameter in optimizer.state} == {
        id(parameter) for parameter in backbone.model.get_classifier().parameters()
    }


def test_dropout_acts_on_what_the_classifier_learns_from_and_on_no_judgement() -> None:
    backbone = _frozen(drop_rate=0.5)
    images = torch.randn(4, *SIZE)
    assert not torch.equal(backbone(images), backbone(images))
    backbone.eval()
    assert torch.equal(backbone(images), backbone(images))


@pytest.mark.parametrize("architecture", [*timm.list_models("test_*"), "dla46x_c", "mobilenetv3_small_050", *NORMED])
def test_the_halves_do_what_the_whole_does(architecture: str) -> None:
    backbone = FrozenBackbone(build_model(architecture, 8, 160, False, None, 0.0), 0.0, (3, 160, 160)).eval()
    images = torch.randn(2, 3, 160, 160)
    with torch.inference_mode():
        torch.testing.assert_close(backbone(images), backbone.model(images))


@pytest.mark.parametrize("architecture", ["sequencer2d_s", "deit_tiny_distilled_patch16_224"])
def test_a_classifier_that_cannot_be_split_off_is_refused(architecture: str) -> None:
    message = rf"classifier of {architecture} can't learn alone \(.+\): set freeze_epochs=0"
    with pytest.raises(FrozenError, match=message):
        FrozenBackbone(timm.create_model(architecture, num_classes=8), 0.0, (3, 224, 224))


@pytest.mark.parametrize("architecture", ["test_resnet", "mobilenetv4_conv_small"])
def test_a_rescaled_classifier_says_the_same_of_features_that_are_divided(architecture: str) -> None:
    backbone = _frozen(architecture)
    features = torch.rand(4, backbone.num_features)
    scale = 2.0 ** torch.randint(-9, 9, (backbone.num_features,))
    plain = Classifier(backbone.model, 0.0)(features)
    weight = backbone.model.get_classifier().weight
    before = weight.detach().clone()
    with torch.no_grad():
        weight.copy_(rescale(weight, scale))
        torch.testing.assert_close(Classifier(backbone.model, 0.0, scale)(features), plain)
        # Powers of two: nothing is rounded on the way there and back.
        assert torch.equal(rescale(weight, 1 / scale), before)


def test_the_classifier_computes_in_full_precision_whatever_the_backbone_does() -> None:
    backbone = _frozen()
    images = torch.randn(4, *SIZE)
    with torch.autocast("cpu", torch.bfloat16):
        features = backbone.features(images)
        logits = backbone(images)
    assert logits.dtype == torch.float32
    assert torch.equal(logits, backbone.classifier(features.float()))
    # In bf16 the same features give other logits.
    with torch.autocast("cpu", torch.bfloat16):
        assert not torch.equal(backbone.model.get_classifier()(features).float(), logits)
