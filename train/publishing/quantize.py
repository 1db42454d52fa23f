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
        float_share: Which part of its convolutions stay as they are, 0 to 1: the first ones.
        float_convolutions: How many of them at least.
    """

    name: str
    float_share: float
    float_convolutions: int


def quantise(network: onnx.ModelProto, pixels: Iterable[np.ndarray], attempt: Attempt) -> onnx.ModelProto:
    """Quantises a network up to its features; the head, which is small, stays as it is.

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
    nodes = _nodes(network, attempt)
    if not nodes:
        raise NotQuantisableError(f"it has no {', '.join(_KINDS[:3])} for that before its features")
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


def _nodes(network: onnx.ModelProto, attempt: Attempt) -> list[str]:
    """Returns the names of the nodes that are quantised."""
    maker = {output: node for node in network.graph.node for output in node.output}
    needed: set[str] = set()
    wanted = ["features"]
    while wanted:
        name = wanted.pop()
        if name not in needed and name in maker:
            needed.update(maker[name].output)
            wanted += maker[name].input
    # They come in an order in which they can be computed.
    before = [node for node in network.graph.node if needed.intersection(node.output)]
    convolutions = [place for place, node in enumerate(before) if node.op_type == "Conv"]
    left = max(attempt.float_convolutions, round(attempt.float_share * len(convolutions)))
    if left > 0:
        # What follows a convolution, such as its ReLU, belongs to it.
        before = before[convolutions[left] :] if left < len(convolutions) else []
    return [node.name for node in before if node.op_type in _KINDS]
