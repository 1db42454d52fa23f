"""What this machine computes fast, and how much fits into its memory."""

import copy
import itertools
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import nn

from files.errors import UserError
from model_folder.malloc import trim_malloc, tune_malloc

# torch has no class of its own for main memory: this is what its allocator says.
NO_MAIN_MEMORY = "can't allocate memory"
_KILLED_LOADER = "DataLoader worker (pid"
# The most that glibc allows.
_LARGEST_TRIM, _LARGEST_MMAP = 2**31 - 1, 32 * 2**20
_DEFAULT = 128 * 2**10


class OutOfMemoryError(UserError):
    """A batch that doesn't fit into memory."""


def keep_freed_memory() -> None:
    """Lets this process keep the memory that it frees, which the next step asks for again; glibc only.

    By default every large tensor is given back to the system and got anew, page by page: on two cores a tenth of the
    time of a ResNet34's step.
    """
    tune_malloc(_LARGEST_TRIM, _LARGEST_MMAP)


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Keeps what the block frees until its end, then gives it back to the system; glibc only."""
    keep_freed_memory()
    try:
        yield
    finally:
        tune_malloc(_DEFAULT, _DEFAULT)
        trim_malloc()


@contextmanager
def plain_memory_errors(**settings: int) -> Iterator[None]:
    """Turns what is raised in the block for want of memory, on a GPU or in main memory, into one line.

    Args:
        settings: What takes memory, by name, what to lower first coming first.

    Raises:
        OutOfMemoryError: Says which settings to lower.
    """
    listed = ", ".join(f"{name}={value}" for name, value in settings.items())
    lower = f"({listed}): lower {', else '.join(settings)}"
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise OutOfMemoryError(
            f"the GPU's memory is full {lower}; mixed_precision=bf16 and gradient_checkpointing=true take less"
        ) from error
    except MemoryError as error:
        raise OutOfMemoryError(f"the main memory is full {lower}") from error
    except RuntimeError as error:
        if NO_MAIN_MEMORY in str(error):
            raise OutOfMemoryError(f"the main memory is full {lower}") from error
        if _KILLED_LOADER in str(error):
            raise OutOfMemoryError(
                f"a process that decodes pictures was killed, as systems do when memory is short {lower}; "
                "num_workers=0 needs no such process"
            ) from error
        raise


@dataclass(frozen=True)
class Hardware:
    """How a run computes, as chosen on the machine that it began on.

    Attributes:
        mixed_precision: "no", "bf16" or "fp16".
        channels_last: Whether colours lie innermost in memory.
        step_seconds: Of one step, by precision and layout; empty where there was nothing to choose.
    """

    mixed_precision: str
    channels_last: bool
    step_seconds: dict[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        """Names the precision and, where it is not the usual one, the layout."""
        precision = {"no": "float32"}.get(self.mixed_precision, self.mixed_precision)
        return f"{precision}{', channels last' if self.channels_last else ''}"


def choose_hardware(
    model: nn.Module,
    mixed_precision: str,
    channels_last: bool | Literal["auto"],
    batch_size: int,
    image_size: int,
    device: torch.device,
) -> Hardware:
    """Takes what the recipe says of precision and layout and, for "auto", the fastest by measurement.

    A processor's flags don't tell: of two that name AVX512-BF16, one took half the time of float32, the other 1.6
    times as much.

    It takes about four seconds, or as long as training on 40 pictures where a step on four takes longer than 0.3 s.

    Args:
        model: A timm model; a copy of it is timed, forwards and backwards, with everything learning.
        mixed_precision: "no", "bf16", "fp16" or "auto". bf16 is tried only where the device computes in it by itself.
        channels_last: Or "auto".
        batch_size: Pictures that this process gets at once; fewer are taken where a step is slow.
        image_size: Their side in pixels.
        device: Where to measure.
    """
    precisions = [mixed_precision]
    if mixed_precision == "auto":
        precisions = ["no", "bf16"] if computes_bf16(device) else ["no"]
    layouts = [False, True] if channels_last == "auto" else [channels_last]
    choices = list(itertools.product(precisions, layouts))
    if len(choices) == 1:
        return Hardware(*choices[0])
    with forked_rng(device):
        trial = copy.deepcopy(model).to(device).requires_grad_(True).train()
        images = torch.rand(batch_size, 3, image_size, image_size, device=device)
        alone = _step_seconds(trial, images[:_FEW], 1, *choices[0])
        images = images[: max(_FEW, int(_FEW * _STEP_SECONDS / alone))]
        steps = 2 if alone < _STEP_SECONDS else 1
        seconds = {choice: _step_seconds(trial, images, steps, *choice) for choice in choices}
    # The first that is about as fast as the fastest: two runs should seldom differ by chance.
    chosen = next(choice for choice in choices if _GAIN * seconds[choice] <= min(seconds.values()))
    names = {choice: f"{choice[0]}, {'channels_last' if choice[1] else 'contiguous'}" for choice in choices}
    return Hardware(*chosen, {names[choice]: round(value, 5) for choice, value in seconds.items()})


# Pictures of the smallest step, how long a larger one may take, and the share of the time that counts as faster.
_FEW, _STEP_SECONDS, _GAIN = 4, 0.3, 0.9


def _step_seconds(model: nn.Module, images: torch.Tensor, steps: int, precision: str, channels_last: bool) -> float:
    """Returns the shortest time of some steps, after one that is not counted."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    model, images = model.to(memory_format=layout), images.contiguous(memory_format=layout)
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
    times = []
    for _ in range(1 + steps):
        _synchronise(images.device)
        began = time.perf_counter()
        with torch.autocast(images.device.type, dtype, enabled=dtype is not None):
            logits = model(images)
        logits.float().square().mean().backward()
        model.zero_grad()
        _synchronise(images.device)
        times.append(time.perf_counter() - began)
    return min(times[1:])


def _synchronise(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def forked_rng(device: torch.device) -> AbstractContextManager[None]:
    """Keeps what the block draws at random from changing torch's generators."""
    return torch.random.fork_rng([device] if device.type == "cuda" else [])


def computes_bf16(device: torch.device) -> bool:
    """Tells whether a device computes in bf16 by itself, as it says; whether that is faster is another matter."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and any(torch.cpu.get_capabilities().get(name) for name in ("avx512_bf16", "amx_bf16"))
