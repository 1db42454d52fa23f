"""The two sides of a comparison: the same pictures for both, each in a process of its own, watched from outside."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import datasets
import psutil

ROOT = Path(__file__).parents[1]
FASTAI = ROOT / "build" / "fastai-venv"
REQUIREMENTS = ROOT / "benchmarks" / "requirements-fastai.txt"
# A look at the memory of gigabytes holds up whoever allocates.
SECONDS_BETWEEN_LOOKS = 1.0


def fastai_python() -> Path:
    """Returns the interpreter of fastai's environment, which is made or renewed when its requirements changed."""
    python, stamp = FASTAI / "bin" / "python", FASTAI / "requirements.txt"
    if not stamp.exists() or stamp.read_text() != REQUIREMENTS.read_text():
        subprocess.run([sys.executable, "-m", "venv", "--clear", FASTAI], check=True)
        install = [python, "-m", "pip", "install", "--disable-pip-version-check", "--quiet", "--progress-bar", "on"]
        subprocess.run([*install, "-r", REQUIREMENTS], check=True)
        stamp.write_text(REQUIREMENTS.read_text())
    return python


def export_images(rows: datasets.Dataset, folder: Path) -> None:
    """Writes the files of a split to `folder/LABEL/`, byte for byte, for who reads no parquet."""
    names = rows.features["label"].names
    for number, row in enumerate(rows.cast_column("image", datasets.Image(decode=False))):
        place = folder / names[row["label"]]
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number:05d}{Path(row['image']['path']).suffix}").write_bytes(row["image"]["bytes"])


def run_side(command: list[str | Path], log: Path) -> dict[str, Any]:
    """Runs one side and watches its memory.

    Args:
        command: Prints a JSON object as its last line.
        log: Everything else that it says.

    Returns:
        That object, and `peak_mb`: the highest sum, over the process and those it started, of the memory that
        each holds alone plus its share of what is held together (PSS).

    Raises:
        SystemExit: It failed; shows the end of the log.
    """
    began = time.time()
    environment = {**os.environ, "BENCH_BEGAN": str(began), "HF_HUB_OFFLINE": "1"}
    peak = 0
    with (
        log.open("w") as said,
        subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=said, text=True
        ) as process,
    ):
        while process.poll() is None:
            peak = max(peak, memory(process.pid))
            time.sleep(SECONDS_BETWEEN_LOOKS)
        assert process.stdout is not None
        answer = process.stdout.read()
    if process.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} ended with {process.returncode}:\n{log.read_text()[-3000:]}")
    return {**json.loads(answer.strip().splitlines()[-1]), "peak_mb": peak / 2**20}


def memory(pid: int) -> int:
    """Returns the memory of a process and of those it started, shared pages shared out (PSS), in bytes."""
    total = 0
    try:
        parent = psutil.Process(pid)
        for process in [parent, *parent.children(recursive=True)]:
            total += process.memory_full_info().pss
    except psutil.NoSuchProcess:
        # A loader's process that ended between two looks.
        pass
    return total
