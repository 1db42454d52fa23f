"""How much of the machine there is to use."""

import math
import os
from pathlib import Path


def usable_cores(limit: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """Returns how many cores this process can keep busy.

    Args:
        limit: Where Linux says what a container may use, often less than the machine has: two numbers, microseconds of
            processor time and of the clock.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        used, of = limit.read_text(encoding="ascii").split()
        return max(1, min(cores, math.ceil(int(used) / int(of))))
    except (OSError, ValueError):
        # No container, or one without a limit, which says "max".
        return cores
