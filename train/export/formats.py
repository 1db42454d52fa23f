"""How large a model folder's files are, and how fast each answers where it was made: formats.json."""

import json
import platform
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import timm
import torch
from PIL import Image

from model_folder.folder import INT8_ONNX, ONNX, WEIGHTS, ModelFolder
from model_folder.onnx_session import ANSWERING, open_onnx
from train.data import LabelledImages, read_image
from train.loaders import eval_transform

FORMATS = "formats.json"
_PICTURES, _ROUNDS = 8, 3
# A machine that is busy makes some answers last for seconds.
_MOST_SECONDS = 5.0
_CPU_INFO = Path("/proc/cpuinfo")


def write_formats(
    folder: ModelFolder, data_config: dict[str, Any], images: LabelledImages, int8: dict[str, Any] | None
) -> None:
    """Measures and writes what the card tells of a model folder's files.

    Each answers one decoded picture at a time, in turns, from its pixels to its probabilities, on the CPU.

    Args:
        folder: A model folder.
        data_config: How pictures are prepared for it.
        images: Up to eight validation pictures are classified, up to three times each.
        int8: How model.int8.onnx compares with model.onnx, where there is one.
    """
    rows = images.split("validation")
    chosen = np.unique(np.linspace(0, len(rows) - 1, _PICTURES).astype(int)).tolist()
    pictures = [read_image(rows, index) for index in chosen]
    answering = {WEIGHTS: _through_timm(folder, data_config)}
    answering |= {name: _through_onnx(folder, name) for name in (ONNX, INT8_ONNX) if (folder.path / name).is_file()}
    seconds: dict[str, list[float]] = {name: [] for name in answering}
    for answer in answering.values():
        # The first answer makes room for all others.
        answer(pictures[0])
    start = time.perf_counter()
    for number, picture in enumerate(pictures * _ROUNDS):
        if number and time.perf_counter() - start > _MOST_SECONDS:
            break
        for name, answer in answering.items():
            begun = time.perf_counter()
            answer(picture)
            seconds[name].append(time.perf_counter() - begun)
    told = {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "pictures": min(len(pictures), len(seconds[WEIGHTS])),
        "answers": len(seconds[WEIGHTS]),
        "files": {
            name: {"bytes": (folder.path / name).stat().st_size, "milliseconds": round(1000 * median(of), 2)}
            for name, of in seconds.items()
        },
        "int8": int8,
    }
    (folder.path / FORMATS).write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def _through_timm(folder: ModelFolder, data_config: dict[str, Any]) -> Callable[[Image.Image], Any]:
    model, transform = (
        timm.create_model(f"local-dir:{folder.path}", pretrained=True).eval(),
        eval_transform(data_config),
    )

    @torch.inference_mode()
    def answer(picture: Image.Image) -> Any:
        return model(transform(picture).unsqueeze(0)).softmax(1)

    return answer


def _through_onnx(folder: ModelFolder, name: str) -> Callable[[Image.Image], Any]:
    session = open_onnx(folder, torch.get_num_threads(), name)
    return lambda picture: session.run(["probs"], {"image": np.asarray(picture)}, ANSWERING)


def _processor() -> str:
    """Returns the processor's name; its kind where the system does not tell more."""
    if _CPU_INFO.is_file():
        for line in _CPU_INFO.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
