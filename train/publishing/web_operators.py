"""Whether ONNX Runtime Web can run a model, found out before a visitor does."""

from pathlib import Path

import onnx
from onnx import TensorProto

from files.errors import UserError
from train.publishing.web_runtime import VERSION

# Of the 1,884 models that onnx 1.23.2 tests single operators with, these tell apart all that onnxruntime 1.32.0 opens
# and the WebAssembly of onnxruntime-web 1.30.0 does not, but for Attention over a window and Where of int8, which no
# network for pictures has: operator sets that are newer, and types that JavaScript has no numbers for.
_NEWEST = {"": 26, "ai.onnx.ml": 5, "com.microsoft": 1}
_UNKNOWN_TYPES = {
    TensorProto.BFLOAT16, TensorProto.FLOAT8E4M3FN, TensorProto.FLOAT8E4M3FNUZ, TensorProto.FLOAT8E5M2,
    TensorProto.FLOAT8E5M2FNUZ, TensorProto.INT2, TensorProto.UINT2, TensorProto.COMPLEX64, TensorProto.COMPLEX128,
}  # fmt: skip


class WebOperatorsError(UserError):
    """A model that runs here and would not run in a browser."""


def check_operators(file: Path) -> None:
    """Looks through a model that ONNX Runtime opens for what its build for browsers lacks.

    Raises:
        WebOperatorsError: Says what, and what to do.
    """
    model = onnx.load(file)
    used = {node.domain if node.domain != "ai.onnx" else "" for node in model.graph.node}
    faults = [
        f"operator set {entry.domain or 'ai.onnx'} {entry.version}"
        for entry in model.opset_import
        if entry.domain in used and entry.version > _NEWEST.get(entry.domain, 0)
    ]
    faults += sorted(f"numbers of type {TensorProto.DataType.Name(code)}" for code in _types(model) & _UNKNOWN_TYPES)
    if faults:
        lacking = ", ".join(dict.fromkeys(faults))
        raise WebOperatorsError(
            f"{file} can't run in a browser: onnxruntime-web {VERSION} lacks {lacking}. Fit the model again"
        )


def _types(model: onnx.ModelProto) -> set[int]:
    tensors = {tensor.data_type for tensor in model.graph.initializer}
    casts = {entry.i for node in model.graph.node if node.op_type == "Cast" for entry in node.attribute}
    values = (*model.graph.input, *model.graph.output, *model.graph.value_info)
    return tensors | casts | {value.type.tensor_type.elem_type for value in values}
