import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from timm.layers import BatchNormAct2d
from torch import nn

from tests.conftest import ROOT
from train.model import synchronise_batchnorm

# Each of two processes has half of the batch; the first one writes what came out.
HALF = """
import sys, torch
from accelerate import Accelerator
from accelerate.utils import gather
from tests.train.test_batchnorm import make, run
from train.model import synchronise_batchnorm
accelerator = Accelerator(cpu=True)
layer, images = make(sys.argv[1])
layer = synchronise_batchnorm(layer)
mine = images.chunk(2)[accelerator.process_index].clone().requires_grad_()
out = run(layer, mine)
grads = [accelerator.reduce(parameter.grad) for parameter in layer.parameters()]
result = [gather(out.detach()), gather(mine.grad), *grads, *layer.buffers()]
if accelerator.is_main_process:
    torch.save(result, sys.argv[2])
accelerator.end_training()
"""


def make(kind: str) -> tuple[nn.Module, torch.Tensor]:
    """Returns a layer, all of whose weights matter, and pictures that differ much between the batch's halves."""
    torch.manual_seed(0)
    norm = BatchNormAct2d(3) if kind == "act" else nn.BatchNorm2d(3)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    return nn.Sequential(norm), torch.randn(4, 3, 5, 5) * torch.tensor([1.0, 1.0, 9.0, 9.0]).view(4, 1, 1, 1)


def run(layer: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Runs a layer forwards and backwards."""
    out = layer(images)
    (out**3).sum().backward()
    return out


@pytest.mark.parametrize("kind", ["plain", "act"])
def test_two_halves_are_normalised_as_the_whole(kind: str, tmp_path: Path) -> None:
    layer, images = make(kind)
    images.requires_grad_()
    out = run(layer, images)
    grads = [parameter.grad for parameter in layer.parameters()]
    expected = [out.detach(), images.grad, *grads, *layer.buffers()]
    (tmp_path / "half.py").write_text(HALF)
    words = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", tmp_path / "half.py"]
    answer = subprocess.run(
        [sys.executable, *words, kind, tmp_path / "result"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
    for one, other in zip(torch.load(tmp_path / "result"), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_a_process_alone_keeps_its_layers() -> None:
    layer = nn.BatchNorm2d(3)
    assert type(synchronise_batchnorm(layer)) is nn.BatchNorm2d
