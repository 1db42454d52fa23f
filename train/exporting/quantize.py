"""The network of a model.onnx in whole numbers; what prepares its pictures, and its head, stay as they are."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from files.errors import first_line

# First, for it says that nothing is to be reported.
from model_folder.onnx_session import ONNX_ERRORS
from train.exporting.export import quiet

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


def quantise(network: onnx.ModelProto, pixels: list[np.ndarray], attempt: Attempt) -> onnx.ModelProto:
    """Quantises a network up to its features; the head, which is small, stays as it is.

    Weights get a scale per channel, maps one each, from the least and the largest number that a picture brings forth
    there, on average over `pixels` (Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient
    Integer-Arithmetic-Only Inference"). Biases make up for what rounding the weights changes on average (Nagel et al.
    2019, "Data-Free Quantization Through Weight Equalization and Bias Correction"; here the averages are measured).

    Args:
        network: From `write_onnx`.
        pixels: Training pictures to calibrate by, prepared, each float32 of shape (1, 3, height, width).
        attempt: How.

    Raises:
        NotQuantisableError: ONNX Runtime can't quantise it.
    """
    chosen = _nodes(network, attempt)
    if not chosen:
        raise NotQuantisableError(f"it has no {', '.join(_KINDS[:3])} for that before its features")
    with TemporaryDirectory() as folder:
        # Given the network itself, it would move its weights into a file.
        source, file = Path(folder, "network.onnx"), Path(folder, "quantised.onnx")
        try:
            onnx.save(_with_corrected_biases(network, chosen, pixels), source)
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
                    nodes_to_quantize=[node.name for node in chosen],
                    # Of the extremes of all pictures, the worst one would decide.
                    extra_options={"CalibMovingAverage": True},
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


def _nodes(network: onnx.ModelProto, attempt: Attempt) -> list[onnx.NodeProto]:
    """Returns what is quantised."""
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
    return [node for node in before if node.op_type in _KINDS]


def _with_corrected_biases(
    network: onnx.ModelProto, chosen: list[onnx.NodeProto], pixels: list[np.ndarray]
) -> onnx.ModelProto:
    """Returns the network, its biases less what rounding the weights of convolutions adds to a map on average.

    An EfficientNet-Lite0's features came three times as close to what they were.
    """
    corrected = onnx.ModelProto()
    corrected.CopyFrom(network)
    weights = {tensor.name: tensor for tensor in corrected.graph.initializer}
    # The exporter has folded BatchNorm into weights and biases.
    convolutions = [
        node
        for node in chosen
        if node.op_type == "Conv" and len(node.input) == 3 and {*node.input[1:]} <= weights.keys()
    ]
    means = _channel_means(network, sorted({node.input[0] for node in convolutions}), pixels)
    for node in convolutions:
        kernel, bias = (numpy_helper.to_array(weights[name]) for name in node.input[1:])
        change = (_rounded(kernel) - kernel).sum((2, 3))
        # A group of channels out sees a group of channels in.
        seen = means[node.input[0]].reshape(-1, kernel.shape[1])
        added = np.einsum("goi,gi->go", change.reshape(len(seen), -1, kernel.shape[1]), seen).ravel()
        weights[node.input[2]].CopyFrom(numpy_helper.from_array(bias - added, node.input[2]))
    return corrected


def _rounded(kernel: np.ndarray) -> np.ndarray:
    """Returns weights, whose first axis is the channels out, as they are with 8 bits and a scale per channel."""
    scale = np.abs(kernel).max((1, 2, 3), keepdims=True) / 127
    return np.round(kernel / np.maximum(scale, np.finfo(np.float32).tiny)) * scale


def _channel_means(network: onnx.ModelProto, names: list[str], pixels: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Returns what each channel of some maps is on average, of shape (channels,), over places and pictures."""
    if not names:
        return {}
    watched = onnx.ModelProto()
    watched.CopyFrom(network)
    graph = watched.graph
    del graph.output[:]
    graph.initializer.append(numpy_helper.from_array(np.array([0, 2, 3]), "places"))
    for name in names:
        graph.node.append(helper.make_node("ReduceMean", [name, "places"], [f"{name}/mean"], keepdims=0))
        graph.output.append(helper.make_tensor_value_info(f"{name}/mean", onnx.TensorProto.FLOAT, None))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(watched.SerializeToString(), options, providers=["CPUExecutionProvider"])
    told = [session.run(None, {"pixels": picture}) for picture in pixels]
    return {name: np.mean(of, axis=0) for name, of in zip(names, zip(*told, strict=True), strict=True)}
