import pytest
import timm
import torch
import torch.nn.functional as F
from torch import nn

from train.model import Classifier, FrozenBackbone, FrozenError, build_model, freeze_backbone, rescale
from train.optim import make_optimizer

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


@pytest.mark.parametrize("architecture", [*timm.list_models("test_*"), "dla46x_c", "mobilenetv3_small_050"])
def test_the_halves_do_what_the_whole_does(architecture: str) -> None:
    backbone = FrozenBackbone(timm.create_model(architecture, num_classes=8), 0.0, (3, 160, 160)).eval()
    images = torch.randn(2, 3, 160, 160)
    with torch.inference_mode():
        torch.testing.assert_close(backbone(images), backbone.model(images))


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        (
            "efficientformerv2_s0",
            r"efficientformerv2_s0 has several classifiers, which can't learn alone: set freeze_epochs=0",
        ),
        ("sequencer2d_s", r"classifier of sequencer2d_s can't learn alone \(.+\): set freeze_epochs=0"),
    ],
)
def test_a_classifier_that_cannot_be_split_off_is_refused(architecture: str, message: str) -> None:
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
