import math

import pytest
import torch

from train.model import build_model, freeze_backbone
from train.optim import layer_groups, make_one_cycle, make_optimizer


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
