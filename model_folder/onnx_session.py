"""model.onnx of a model folder, checked before anything in it is trusted, and opened."""

import json
import os
import re
from typing import Any

# Read when it is imported: it reports to its makers unless told not to.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as runtime

from model_folder.folder import ONNX, ModelFolder, ModelFolderError
from model_folder.malloc import trim_malloc

# They have no base of their own.
ONNX_ERRORS = (
    runtime.EngineError, runtime.EPFail, runtime.Fail, runtime.InvalidArgument, runtime.InvalidGraph,
    runtime.InvalidProtobuf, runtime.NoModel, runtime.NotFound, runtime.NotImplemented, runtime.RuntimeException,
    RuntimeError,
)  # fmt: skip
"""What ONNX Runtime raises when it opens or runs a file."""

ANSWERING = onnxruntime.RunOptions()
"""For `run`: memory beyond `_KEPT` that a large picture needed goes back to the system after its answer."""
ANSWERING.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
# Bytes for feature maps that are kept from answer to answer; pages that were never written to take no memory.
# Requesting them from the system for every answer would make it a tenth slower.
_KEPT = 2**25

# An entry with this key, as protobuf writes it, refers to weights in another file or somewhere in memory; the bytes
# before the key may be padded.
_ELSEWHERE = re.compile(rb"(?:\x0a|\x8a\x80*\x00)(?:\x08|\x88\x80*\x00)location")
# Files of before have a heat-map without the maps that it is made of.
_OUTPUTS = (["probs", "features"], ["probs", "features", "heatmap"], ["probs", "features", "heatmap", "maps"])
_RANKS = {"probs": 1, "features": 1, "heatmap": 2, "maps": 3}


def open_onnx(folder: ModelFolder, threads: int, name: str = ONNX) -> onnxruntime.InferenceSession:
    """Opens a model folder's model.onnx; what becomes of the file afterwards does no harm.

    Args:
        folder: One that has it.
        threads: How many compute an answer.
        name: The file: model.onnx or model.int8.onnx.

    Raises:
        ModelFolderError: It is damaged or hostile, or does not belong to the folder's config.json.
    """
    file = folder.path / name
    if _takes_from_elsewhere(file.read_bytes()):
        raise ModelFolderError(f"{folder.name} is not to be trusted: {name} takes weights from elsewhere")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Threads that spin while they wait take time from those that compute.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Otherwise a file may declare itself to be of ONNX Runtime's other format, which is not checked here.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    # Processors without VNNI add pairs of int8 products in 16 bits, which may overflow; with this they do not, and a
    # file that was checked on one processor answers alike on all.
    options.add_session_config_entry("session.x64quantprecision", "1")
    _keep_memory_for_maps()
    options.add_session_config_entry("session.use_env_allocators", "1")
    # Weights stay; among feature maps they would keep the memory around them from being given back.
    options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    except ONNX_ERRORS as error:
        raise ModelFolderError(f"{folder.name} has a damaged {name} ({_one_line(error)})") from None
    if fault := _fault(session, folder.label_names):
        raise ModelFolderError(f"{folder.name} is not to be trusted: {name} {fault}")
    # Loading has used and freed memory: 130 MB for a ResNet34.
    trim_malloc()
    return session


def _keep_memory_for_maps() -> None:
    """Sets how the CPU's memory is kept, for all sessions of this process that follow.

    https://onnxruntime.ai/docs/get-started/with-c.html, "Share allocator(s) between sessions" and "Memory arena
    shrinkage": the arena's first piece is never given back, where it grows by doubling (strategy 0).
    """
    place = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    kept = {"max_mem": 0, "arena_extend_strategy": 0, "initial_chunk_size_bytes": _KEPT}
    onnxruntime.create_and_register_allocator(place, onnxruntime.OrtArenaCfg(kept))


def _takes_from_elsewhere(content: bytes) -> bool:
    # The first test is fast, and False nearly always.
    return b"location" in content and _ELSEWHERE.search(content) is not None


def _fault(session: onnxruntime.InferenceSession, label_names: list[str]) -> str | None:
    try:
        names = json.loads(session.get_modelmeta().custom_metadata_map["label_names"])
    except (KeyError, ValueError):
        return "does not tell its label_names"
    if names != label_names:
        return f"has other label_names than config.json: {str(names)[:60]}"
    inputs = [(value.name, value.type, len(value.shape), value.shape[-1:]) for value in session.get_inputs()]
    if inputs != [("image", "tensor(uint8)", 3, [3])]:
        return f"takes {_described(session.get_inputs())}: image, uint8 of shape (height, width, 3), is allowed"
    outputs = session.get_outputs()
    if (
        [value.name for value in outputs] not in _OUTPUTS
        or any((value.type, len(value.shape)) != ("tensor(float)", _RANKS[value.name]) for value in outputs)
        or outputs[0].shape != [len(label_names)]
    ):
        return f"gives {_described(outputs)}: probs of {len(label_names)} classes, features, heatmap, maps are allowed"
    return None


def _described(values: list[Any]) -> str:
    return ", ".join(f"{value.name} {value.type} {value.shape}"[:60] for value in values[:4]) or "nothing"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:160]
