from typing import Any, ClassVar

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from torch import nn

from train.report.grad_cam import NoMapError, grad_cam, overlay

# Convolutions; another convolution after the last block; channels last inside; a class token; two; one that attends at
# the end; the mean of all tokens; channels last throughout.
ARCHITECTURES = [
    "test_resnet",
    "test_efficientnet",
    "test_convnext",
    "test_vit",
    "deit_tiny_distilled_patch16_224",
    "cait_xxs24_224",
    "vit_relpos_small_patch16_224",
    "swin_tiny_patch4_window7_224",
]


def _model(name: str, **options: Any) -> Any:
    torch.manual_seed(8)
    return timm.create_model(name, num_classes=3, **options).eval()


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_any_architecture_of_timm_has_a_map(name: str) -> None:
    model = _model(name)
    side = model.default_cfg["input_size"][1]
    pixel_values = torch.randn(2, 3, side, side)
    before = model(pixel_values)
    # Random weights may speak against a class everywhere; then they speak for another one.
    maps = np.concatenate([grad_cam(model, pixel_values, torch.tensor([number] * 2)) for number in range(3)])
    assert maps.shape == (6, side, side)
    assert maps.dtype == np.float32
    assert maps.min() >= 0
    assert maps.max() == 1
    # Neither all over nor nowhere.
    assert any(0.001 < (heat > 0.5).mean() < 0.999 for heat in maps)
    torch.testing.assert_close(model(pixel_values), before)


class Brightness(nn.Module):
    """Class 1 is what is bright anywhere; the last layer gives channels first, last, or tokens after a class token."""

    feature_info: ClassVar = [{"module": "last", "num_chs": 4, "reduction": 16}]

    def __init__(self, layout: str) -> None:
        super().__init__()
        self.layout, self.last = layout, nn.Identity()
        self.weights = nn.Parameter(torch.ones(4))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        places = nn.functional.avg_pool2d(images, 16).mean(1, keepdim=True).expand(-1, 4, -1, -1)
        if self.layout == "first":
            bright = self.last(places).mean((2, 3)) @ self.weights
        elif self.layout == "last":
            bright = self.last(places.permute(0, 2, 3, 1)).mean((1, 2)) @ self.weights
        else:
            tokens = places.flatten(2).transpose(1, 2)
            bright = self.last(torch.cat([tokens[:, :1] * 9, tokens], 1))[:, 1:].mean(1) @ self.weights
        return torch.stack([torch.zeros_like(bright), bright], 1)


@pytest.mark.parametrize("layout", ["first", "last", "tokens"])
def test_the_map_is_bright_where_the_evidence_is(layout: str) -> None:
    picture = torch.zeros(1, 3, 96, 160)
    picture[:, :, 16:32, 112:128] = 1
    heat = grad_cam(Brightness(layout), picture, torch.tensor([1]))[0]
    assert heat.shape == (96, 160)
    assert np.unravel_index(heat.argmax(), heat.shape)[0] in range(16, 32)
    assert np.unravel_index(heat.argmax(), heat.shape)[1] in range(112, 128)
    assert heat[:, :90].max() < 0.05
    assert heat[56:].max() < 0.05


def test_a_layer_that_is_no_map_is_said_and_leaves_no_hook() -> None:
    model = _model("test_resnet")
    model.feature_info = [{"module": "global_pool", "num_chs": 96, "reduction": 32}]
    with pytest.raises(NoMapError, match=r"the last layer gives \(1, 96\), no map of 2 x 2 cells"):
        grad_cam(model, torch.randn(1, 3, 64, 64), torch.tensor([0]))
    assert not model.global_pool._forward_hooks


def test_cold_parts_lose_their_colours_and_hot_ones_glow() -> None:
    heat = np.zeros((2, 2), np.float32)
    heat[0, 1] = 1
    laid = np.asarray(overlay(Image.new("RGB", (90, 60), (40, 160, 60)), heat), int)
    assert laid.shape == (60, 90, 3)
    cold, hot = laid[-1, 0], laid[0, -1]
    assert cold.max() - cold.min() <= 2
    assert hot[0] > hot[2] + 100
