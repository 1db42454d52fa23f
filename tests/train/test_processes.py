"""Two processes on this machine's CPUs, as torchrun starts them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from timm.layers import BatchNormAct2d
from torch import nn

from tests.conftest import ROOT
from train.processes import synchronise_batchnorm


def _launch(script: str, folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    (folder / "script.py").write_text(script)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    return subprocess.run(
        [*launch, folder / "script.py", *map(str, words)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )


# torchrun starts Python unbuffered and a print is several writes, so two processes would write into each other's
# lines: each has a file of its own.
PATIENT = """
import sys, time
from pathlib import Path
from datetime import timedelta
from accelerate.utils import InitProcessGroupKwargs
from train.processes import from_main, make_accelerator, once_per_node
accelerator = make_accelerator("no", kwargs_handlers=[InitProcessGroupKwargs(timeout=timedelta(seconds=2))])
with (Path(sys.argv[1]) / str(accelerator.process_index)).open("w") as file:
    for work in (from_main, once_per_node):
        print(work(lambda: time.sleep(5) or "done"), file=file)
accelerator.end_training()
"""


def test_the_others_wait_longer_than_their_groups_timeout(tmp_path: Path) -> None:
    answer = _launch(PATIENT, tmp_path, tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert [(tmp_path / process).read_text() for process in "01"] == ["done\ndone\n"] * 2


FAULT = """
import sys
from files.errors import UserError, one_line_exit
from train.processes import everywhere, make_accelerator
accelerator = make_accelerator("no")
def work():
    if accelerator.process_index == 1:
        raise UserError("no memory here")
with one_line_exit():
    everywhere(work)
    print("went on")
"""


def test_what_one_can_not_do_ends_all_in_one_line(tmp_path: Path) -> None:
    answer = _launch(FAULT, tmp_path)
    assert answer.returncode != 0
    assert answer.stdout == ""
    assert answer.stderr.count("error: no memory here") == 1


# Each of two processes has half of the batch; the first one writes what came out.
HALF = """
import sys, torch
from accelerate.utils import gather
from tests.train.test_processes import make, run
from train.processes import make_accelerator, synchronise_batchnorm
accelerator = make_accelerator("no")
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
KINDS = {"plain": nn.BatchNorm2d, "act": BatchNormAct2d, "classifier": nn.BatchNorm1d}


def make(kind: str) -> tuple[nn.Module, torch.Tensor]:
    """Returns a layer, all of whose weights matter, and pictures that differ much between the batch's halves."""
    torch.manual_seed(0)
    norm = KINDS[kind](3)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    images = torch.randn(4, 3, 5, 5) * torch.tensor([1.0, 1.0, 9.0, 9.0]).view(4, 1, 1, 1)
    return nn.Sequential(norm), images[..., 0, 0] if kind == "classifier" else images


def run(layer: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Runs a layer forwards and backwards."""
    out = layer(images)
    (out**3).sum().backward()
    return out


@pytest.mark.parametrize("kind", KINDS)
def test_two_halves_are_normalised_as_the_whole(kind: str, tmp_path: Path) -> None:
    layer, images = make(kind)
    images.requires_grad_()
    out = run(layer, images)
    grads = [parameter.grad for parameter in layer.parameters()]
    expected = [out.detach(), images.grad, *grads, *layer.buffers()]
    answer = _launch(HALF, tmp_path, kind, tmp_path / "result")
    assert answer.returncode == 0, answer.stderr
    for one, other in zip(torch.load(tmp_path / "result"), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_a_process_alone_keeps_its_layers() -> None:
    layer = nn.BatchNorm2d(3)
    assert type(synchronise_batchnorm(layer)) is nn.BatchNorm2d
