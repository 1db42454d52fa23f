"""Memory that is given back."""

import ctypes
import sys

_M_ARENA_MAX = -8
_ARENAS = 2


def share_memory_between_threads() -> None:
    """Lets all threads allocate from two arenas, where the C library is glibc; to be called before any are started.

    Otherwise each of dozens of threads keeps one of its own, as large as the largest picture that it has decoded.
    https://www.gnu.org/software/libc/manual/html_node/Memory-Allocation-Tunables.html
    """
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "mallopt"):
        library.mallopt(_M_ARENA_MAX, _ARENAS)
