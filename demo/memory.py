"""Memory that is given back."""

import ctypes
import sys

# Of mallopt(3). Setting a threshold keeps it from growing with the largest picture that has been freed.
_OPTIONS = {"M_ARENA_MAX": (-8, 2), "M_MMAP_THRESHOLD": (-3, 2**20), "M_TRIM_THRESHOLD": (-1, 2**22)}


def give_memory_back() -> None:
    """Where the C library is glibc, lets freed pictures go back to the system; to be called before threads start.

    Otherwise each of dozens of threads keeps an arena of its own, and holes in it where its pictures have been.
    https://www.gnu.org/software/libc/manual/html_node/Malloc-Tunable-Parameters.html
    """
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "mallopt"):
        for option, value in _OPTIONS.values():
            library.mallopt(option, value)
