"""In which precision a device computes by itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

from files.errors import UserError
from model_folder.malloc import trim_malloc, tune_malloc

# torch has no class of its own for main memory: this is what its allocator says.
_NO_MAIN_MEMORY = "can't allocate memory"
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
        raise OutOfMemoryError(f"the GPU's memory is full {lower}; mixed_precision=bf16 takes less") from error
    except MemoryError as error:
        raise OutOfMemoryError(f"the main memory is full {lower}") from error
    except RuntimeError as error:
        if _NO_MAIN_MEMORY in str(error):
            raise OutOfMemoryError(f"the main memory is full {lower}") from error
        if _KILLED_LOADER in str(error):
            raise OutOfMemoryError(
                f"a process that decodes pictures was killed, as systems do when memory is short {lower}; "
                "num_workers=0 needs no such process"
            ) from error
        raise


# What processors call it, by torch's names.
_OF_PROCESSORS = ("avx512_bf16", "amx_bf16")


def native_precision() -> Literal["bf16", "no"]:
    """Returns "bf16" where this process's device computes in it by itself, "no" where it would only imitate it.

    On a processor with AVX512-BF16, a ResNet34 whose colours lie innermost takes little more than half the time.
    """
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "no"
    if torch.accelerator.is_available():
        return "no"
    known = torch.cpu.get_capabilities()
    return "bf16" if any(known.get(name) for name in _OF_PROCESSORS) else "no"
