"""What a run ran on: enough to tell later why two runs differ."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

_ROOT = Path(__file__).parents[2]
_PACKAGES = (
    "accelerate", "datasets", "huggingface-hub", "numpy", "pillow", "safetensors", "timm", "torch", "torchvision",
    "transformers",
)  # fmt: skip


def system_facts(accelerator: Accelerator) -> dict[str, Any]:
    """Returns date, versions, device and the project's commit. Nothing that names a person or a machine."""
    on_gpu = accelerator.device.type == "cuda"
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in _PACKAGES},
        "platform": f"{platform.system()} {platform.machine()}",
        "device": torch.cuda.get_device_name(accelerator.device) if on_gpu else str(accelerator.device),
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "processes": accelerator.num_processes,
        "mixed_precision": str(accelerator.mixed_precision),
        "commit": _commit(),
    }


def _commit() -> str | None:
    # A copy of the project inside somebody's repository has no commit of its own.
    if not (_ROOT / ".git").exists():
        return None
    try:
        head, changes = (
            subprocess.run(
                ["git", "-C", str(_ROOT), *words], capture_output=True, encoding="utf-8", check=True
            ).stdout.strip()
            for words in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{head} with changes" if changes else head
