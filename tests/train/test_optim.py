import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from train.model import build_model, freeze_backbone
from train.optim import (
    Objective,
    layer_groups,
    make_one_cycle,
    make_optimizer,
    momentum_of,
    optimizer_names,
    rareness,
)


@pytest.fixture
def model() -> torch.nn.Module:
    return build_model("resnet34", 8, 64, False, None, 0.0)


def test_a_resnet_has_six_groups_from_stem_to_classifier(model: torch.nn.Module) -> None:
    groups = [{name.split(".")[0] for name, _ in group} for group in layer_groups(model)]
    assert groups == [{"conv1", "bn1"}, {"layer1"}, {"layer2"}, {"layer3"}, {"layer4"}, {"fc"}]


def test_discriminative_rates(model: torch.nn.Module) -> None:
    optimizer = make_optimizer(model, max_lr=1.0, lr_mult=0.5, weight_decay=0.1)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    rate, decay = {}, {}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            rate[names[id(parameter)]], decay[names[id(parameter)]] = group["lr"], group["weight_decay"]
    assert set(rate) == set(names.values())
    assert (rate["fc.weight"], rate["layer4.0.conv1.weight"], rate["conv1.weight"]) == (1.0, 0.5, 0.5**5)
    assert (decay["fc.weight"], decay["fc.bias"], decay["layer1.0.bn1.weight"]) == (0.1, 0.0, 0.0)


@pytest.mark.parametrize(
    ("architecture", "groups", "classifier"), [("test_vit", 8, "head"), ("test_convnext", 6, "head.fc")]
)
def test_other_architectures_have_groups_too(architecture: str, groups: int, classifier: str) -> None:
    model = build_model(architecture, 8, 64, False, None, 0.0)
    found = layer_groups(model)
    assert len(found) == groups
    assert any(name == f"{classifier}.weight" for name, _ in found[-1])
    assert {name for group in found for name, _ in group} == {name for name, _ in model.named_parameters()}


def test_position_embeddings_do_not_decay() -> None:
    model = build_model("test_vit", 8, 64, False, None, 0.0)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    optimizer = make_optimizer(model, 1.0, 0.5, 0.1)
    still = {names[id(p)] for group in optimizer.param_groups if not group["weight_decay"] for p in group["params"]}
    assert "pos_embed" in still
    assert "blocks.0.attn.qkv.weight" not in still


def test_only_what_learns_has_optimizer_state(model: torch.nn.Module) -> None:
    freeze_backbone(model)
    optimizer = make_optimizer(model, 1e-2, 0.5, 0.1)
    assert sum(p.numel() for group in optimizer.param_groups for p in group["params"]) == 512 * 8 + 8


def test_one_cycle_rises_falls_and_cycles_momentum_against_the_rate(model: torch.nn.Module) -> None:
    optimizer = make_optimizer(model, max_lr=1.0, lr_mult=0.5, weight_decay=0.1)
    scheduler = make_one_cycle(optimizer, total_steps=100, pct_start=0.25, div_factor=25, final_div_factor=1e4)
    rates, momenta = [], []
    for _ in range(100):
        rates.append([group["lr"] for group in optimizer.param_groups])
        momenta.append(optimizer.param_groups[0]["betas"][0])
        optimizer.step()
        scheduler.step()
    top = [rate[-1] for rate in rates]
    assert math.isclose(top[0], 1 / 25)
    assert max(top) == top[24] == pytest.approx(1.0)
    assert top[-1] == pytest.approx(1 / 25 / 1e4)
    assert momenta[24] == min(momenta) == pytest.approx(0.85)
    # Each group keeps its share of the rate throughout.
    assert all(rate[0] == pytest.approx(rate[-1] * 0.5**5) for rate in rates)


@pytest.mark.parametrize("total_steps", [1, 2, 3, 4, 5, 8])
def test_the_shortest_cycles_work(model: torch.nn.Module, total_steps: int) -> None:
    optimizer = make_optimizer(model, 1.0, 0.5, 0.1)
    scheduler = make_one_cycle(optimizer, total_steps, pct_start=0.25, div_factor=25, final_div_factor=1e4)
    for _ in range(total_steps):
        assert all(math.isfinite(group["lr"]) for group in optimizer.param_groups)
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize("name", ["sgd", "lamb", "lion", "adafactor", "muon", "adan", "rmsprop", "adagrad"])
def test_optimizers_of_timm_move_what_learns_under_a_one_cycle(name: str) -> None:
    model = build_model("test_resnet", 8, 64, False, None, 0.0)
    freeze_backbone(model)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    optimizer = make_optimizer(model, 1e-2, 0.5, 0.1, name=name)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.1, 0.0]
    scheduler = make_one_cycle(optimizer, 8, pct_start=0.25, div_factor=25, final_div_factor=1e4)
    momenta = []
    for step in range(4):
        torch.manual_seed(step)
        momenta.append(momentum_of(optimizer.param_groups[0]))
        F.cross_entropy(model.eval()(torch.rand(4, 3, 64, 64)), torch.arange(4)).backward()
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
    assert {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])} == {
        "fc.weight", "fc.bias"
    }  # fmt: skip
    cycles = name not in ("adafactor", "adagrad")
    assert (min(momenta) < max(momenta)) is cycles
    assert math.isclose(min(momenta), 0.85 if cycles else 0.0)


def test_a_penalised_loss_keeps_adam_whatever_the_recipe_says() -> None:
    model = build_model("test_resnet", 8, 64, False, None, 0.0)
    assert isinstance(make_optimizer(model, 1e-2, 1.0, 0.1, decoupled=False, name="sgd"), torch.optim.Adam)


def test_optimizers_that_no_run_could_resume_are_not_offered() -> None:
    assert not {"kron", "adahessian"} & set(optimizer_names())
    assert {"adamw", "sgd", "lamb"} <= set(optimizer_names())


LABELS = torch.tensor([0, 1, 2, 2, 1, 0])


class _Mean(torch.nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean((2, 3))


def _images() -> torch.Tensor:
    return torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def test_without_settings_it_is_cross_entropy() -> None:
    images = _images()
    answer = Objective(3)(_Mean(), images, LABELS, seed=0)
    logits = _Mean()(images)
    assert answer.loss == F.cross_entropy(logits, LABELS)
    assert (answer.right, answer.pictures) == (int((logits.argmax(1) == LABELS).sum()), 6)


@pytest.mark.parametrize("settings", [{"mixup": 0.4}, {"cutmix": 1.0}, {"mixup": 0.4, "cutmix": 1.0}])
def test_mixing_follows_from_the_seed(settings: dict[str, float]) -> None:
    objective = Objective(3, **settings)
    seen = []
    for seed, elsewhere in ((1, 5), (1, 6), (2, 5)):
        np.random.seed(elsewhere)
        images = _images()
        targets = objective.targets(images, LABELS, seed)
        torch.testing.assert_close(targets.sum(1), torch.ones(6))
        seen.append((images, targets))
    assert torch.equal(seen[0][0], seen[1][0])
    assert torch.equal(seen[0][1], seen[1][1])
    assert not torch.equal(seen[0][0], seen[2][0])


def test_mixed_targets_are_the_pictures_shares() -> None:
    images = torch.stack([torch.full((3, 8, 8), float(label)) for label in (0, 1)])
    targets = Objective(2, mixup=0.8).targets(images, torch.tensor([0, 1]), seed=3)
    torch.testing.assert_close(images[:, 0, 0, 0], targets[:, 1])
    assert 0 < targets[0, 1] < 1


def test_of_an_odd_number_the_last_stays_as_it_is() -> None:
    images, before = _images()[:5], _images()
    targets = Objective(3, mixup=0.8).targets(images, LABELS[:5], seed=3)
    assert torch.equal(images[4], before[4])
    assert targets[4].tolist() == [0, 1, 0]
    assert not torch.equal(images[0], before[0])


def test_rare_classes_weigh_more() -> None:
    weights = rareness([0, 0, 0, 1], 2)
    torch.testing.assert_close(weights, torch.tensor([2 / 3, 2.0]))
    images, labels = _images()[:4, :2], torch.tensor([0, 0, 0, 1])
    weighted = Objective(2, class_weights=weights)(_Mean(), images, labels, seed=0).loss
    losses = F.cross_entropy(_Mean()(images), labels, reduction="none")
    torch.testing.assert_close(weighted, (losses[:3].mean() + losses[3]) / 2)


def test_smoothing_acts_on_mixed_targets_too() -> None:
    losses = [
        Objective(3, label_smoothing=smoothing, mixup=0.4)(_Mean(), _images(), LABELS, seed=1).loss
        for smoothing in (0.0, 0.2)
    ]
    assert losses[0] != losses[1]
