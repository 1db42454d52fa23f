"""The C library's memory: when what is freed goes back to the system. glibc on Linux; elsewhere nothing is done.

https://www.gnu.org/software/libc/manual/html_node/Malloc-Tunable-Parameters.html
"""

import ctypes
import sys

# Of malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8


def tune_malloc(trim_threshold: int, mmap_threshold: int, arena_max: int | None = None) -> None:
    """Sets when freed memory is given back; setting a threshold also keeps it from growing by itself.

    Args:
        trim_threshold: Bytes that may lie free at the end of the heap; below 2 GiB.
        mmap_threshold: From so many bytes on a piece is had from the system by itself, and goes back to it when it is
            freed; 32 MiB at most.
        arena_max: Heaps that threads share among them; to be given before threads start.
    """
    if mallopt := _function("mallopt"):
        mallopt(_TRIM_THRESHOLD, trim_threshold)
        mallopt(_MMAP_THRESHOLD, mmap_threshold)
        if arena_max is not None:
            mallopt(_ARENA_MAX, arena_max)


def trim_malloc() -> None:
    """Gives what is free now back to the system."""
    if trim := _function("malloc_trim"):
        trim(0)


def _function(name: str) -> "ctypes._FuncPointer | None":
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
