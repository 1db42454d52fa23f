import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from tests.conftest import ROOT
from train.hardware import Hardware, OutOfMemoryError, choose_hardware, plain_memory_errors
from train.model import build_model

# Leaves the process 300 MB more than it has, once everything is imported.
LITTLE = """
import resource, sys
import train.fit
from train.__main__ import main
taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + 300 * 2**20,) * 2)
main(sys.argv[1:])
"""


def test_a_batch_that_main_memory_can_not_hold(dataset_folder: Path, tmp_path: Path) -> None:
    words = [f"dataset={dataset_folder}", f"output_dir={tmp_path / 'run'}", "image_size=1024", "batch_size=48"]
    answer = subprocess.run(
        [sys.executable, "-c", LITTLE, "fit", "recipes/debug.yaml", *words], cwd=ROOT, capture_output=True, text=True
    )
    assert answer.returncode == 2, answer.stderr
    last = answer.stderr.splitlines()[-1]
    assert last.startswith(
        "error: the main memory is full (batch_size=48, image_size=1024, num_workers=0): lower batch"
    )
    assert "Traceback" not in answer.stderr


def test_a_gpu_that_is_full() -> None:
    with (
        pytest.raises(
            OutOfMemoryError,
            match=r"the GPU's memory is full \(batch_size=64, image_size=224\): lower batch_size, else image_size",
        ),
        plain_memory_errors(batch_size=64, image_size=224),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


class Deadly(Dataset[int]):
    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return index


def test_a_process_that_decodes_is_killed() -> None:
    with (
        pytest.raises(
            OutOfMemoryError, match=r"a process that decodes pictures was killed.*num_workers=0 needs no such"
        ),
        plain_memory_errors(batch_size=2),
    ):
        list(DataLoader(Deadly(), batch_size=2, num_workers=1))


def test_another_fault_passes() -> None:
    with pytest.raises(RuntimeError, match=r"^something else$"), plain_memory_errors(batch_size=2):
        raise RuntimeError("something else")


def _megabytes_left(before: str, after: str = "") -> int:
    """Returns by how much a process has grown, in MiB, after it has freed 610 MiB of tensors."""
    script = (
        "import resource, torch\n"
        "from train.hardware import freed_memory_kept, keep_freed_memory\n"
        "kept = freed_memory_kept()\n"
        "def resident():\n"
        "    return int(open('/proc/self/statm').read().split()[1]) * resource.getpagesize() // 2**20\n"
        f"{before}\n"
        "torch.ones(4_000_000)\n"
        "before = resident()\n"
        "[torch.ones(4_000_000) for _ in range(40)]\n"
        f"{after}\n"
        "print(resident() - before)"
    )
    command = [sys.executable, "-c", script]
    # Else malloc raises its threshold when the first tensor is freed, and what becomes of the others is chance.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "131072"}
    return int(subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout)


def test_freed_memory_is_kept() -> None:
    assert _megabytes_left("") < 200
    assert _megabytes_left("keep_freed_memory()") > 500
    assert _megabytes_left("kept.__enter__()") > 500


def test_kept_memory_is_given_back_at_the_end() -> None:
    assert _megabytes_left("kept.__enter__()", "kept.__exit__(None, None, None)") < 200


class _Slow(nn.Module):
    """A network that is slow in one precision or one layout."""

    def __init__(self, *slow: str) -> None:
        super().__init__()
        self.slow, self.layer = slow, nn.Conv2d(3, 4, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        now = {"bf16" if torch.is_autocast_enabled("cpu") else "no"}
        now.add("channels_last" if images.is_contiguous(memory_format=torch.channels_last) else "contiguous")
        time.sleep(0.02 if now & set(self.slow) else 0.005)
        return self.layer(images)


@pytest.mark.parametrize(
    ("slow", "precision", "channels_last"),
    [(["bf16"], "no", False), (["no"], "bf16", False), (["bf16", "contiguous"], "no", True)],
)
def test_the_faster_precision_and_layout_are_chosen_whatever_the_processor_names(
    monkeypatch: pytest.MonkeyPatch, slow: list[str], precision: str, channels_last: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    chosen = choose_hardware(_Slow(*slow), "auto", "auto", 4, 32, torch.device("cpu"))
    assert (chosen.mixed_precision, chosen.channels_last) == (precision, channels_last)
    assert len(chosen.step_seconds) == 4
    assert chosen.step_seconds["bf16, contiguous"] > 0.004


def test_bf16_is_not_tried_where_a_processor_would_imitate_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_f": True, "avx512_bf16": False})
    assert choose_hardware(_Slow("no"), "auto", False, 4, 32, torch.device("cpu")) == Hardware("no", False)


def test_what_the_recipe_says_is_taken_and_not_measured() -> None:
    chosen = choose_hardware(_Slow("bf16", "channels_last"), "bf16", True, 4, 32, torch.device("cpu"))
    assert chosen == Hardware("bf16", True, {})


def test_measuring_leaves_the_model_and_what_is_random_as_they_were() -> None:
    model = build_model("test_resnet", 8, 64, False, None, 0.2)
    before, state = {n: t.clone() for n, t in model.state_dict().items()}, torch.get_rng_state()
    chosen = choose_hardware(model, "no", "auto", 8, 64, torch.device("cpu"))
    assert set(chosen.step_seconds) == {"no, contiguous", "no, channels_last"}
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert model.conv1[0].weight.is_contiguous()
