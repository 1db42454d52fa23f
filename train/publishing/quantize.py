"""The network of a model.onnx in whole numbers; what prepares its pictures, and its head, stay as they are."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

# First, for it says that nothing is to be reported.
from hub.onnx_model import ONNX_ERRORS
from train.errors import first_line
from train.publishing.export import quiet

# What ONNX Runtime computes in whole numbers, from end to end, where all around it does.
_KINDS = ["Conv", "Gemm", "MatMul", "Add", "Relu", "Clip", "MaxPool"]


class NotQuantisableError(ValueError):
    """A network that can't be quantised; the message says why."""


@dataclass(frozen=True)
class Attempt:
    """How to quantise a network.

    Attributes:
        name: In words, after "quantised".
        bits: Of a weight, 7 or 8. Processors without VNNI add pairs of products in 16 bits, where those of 8 bits may
            not fit and are cut off; those of 7 always fit (2 x 255 x 64 is less than 2^15).
        float_depthwise: Convolutions that look at one channel at a time, whose weights differ most from channel to
            channel, and the first one, which sees the pixels, stay as they are.
    """

    name: str
    bits: int
    float_depthwise: bool


def quantise(network: onnx.ModelProto, pixels: Iterable[np.ndarray], attempt: Attempt) -> onnx.ModelProto:
    """Quantises a network from its pixels to its features; the head, which is small, stays as it is.

    Weights get a scale per channel, maps one each, from the least and the largest number that `pixels` bring forth
    there (Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
    Inference").

    Args:
        network: From `write_onnx`.
        pixels: Training pictures to calibrate by, prepared, each float32 of shape (1, 3, height, width).
        attempt: How.

    Raises:
        NotQuantisableError: ONNX Runtime can't quantise it.
    """
    nodes = _before_features(network, attempt.float_depthwise)
    if not nodes:
        raise NotQuantisableError(f"it has no {', '.join(_KINDS[:3])} before its features")
    with TemporaryDirectory() as folder:
        # Given the network itself, it would move its weights into a file.
        source, file = Path(folder, "network.onnx"), Path(folder, "quantised.onnx")
        onnx.save(network, source)
        try:
            with quiet():
                quantize_static(
                    source,
                    file,
                    _Pixels(iter(pixels)),
                    QuantFormat.QDQ,
                    op_types_to_quantize=_KINDS,
                    per_channel=True,
                    reduce_range=attempt.bits == 7,
                    activation_type=QuantType.QUInt8,
                    weight_type=QuantType.QInt8,
                    nodes_to_quantize=nodes,
                )
        except (*ONNX_ERRORS, ValueError, TypeError, KeyError) as error:
            raise NotQuantisableError(f"ONNX Runtime can't ({type(error).__name__}: {first_line(error)})") from None
        return onnx.load(file)


class _Pixels(CalibrationDataReader):
    """Pictures as ONNX Runtime asks for them."""

    def __init__(self, left: Iterator[np.ndarray]) -> None:
        self.left = left

    def get_next(self) -> dict[str, np.ndarray] | None:
        pixels = next(self.left, None)
        return None if pixels is None else {"pixels": pixels}


def _before_features(network: onnx.ModelProto, float_depthwise: bool) -> list[str]:
    maker = {output: node for node in network.graph.node for output in node.output}
    shapes = {weights.name: weights.dims for weights in network.graph.initializer}
    names: list[str] = []
    seen: set[str] = set()
    wanted = ["features"]
    while wanted:
        name = wanted.pop()
        if name in seen or name not in maker:
            continue
        seen.add(name)
        node = maker[name]
        wanted += node.input
        delicate = node.op_type == "Conv" and (shapes[node.input[1]][1] == 1 or "pixels" in node.input)
        if node.op_type in _KINDS and not (float_depthwise and delicate):
            names.append(node.name)
    return names
