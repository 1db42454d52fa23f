"""model.int8.onnx: the first of a few quantised networks that answers as model.onnx does, or none.

`quantise` makes one, `compare` puts its answers beside those of model.onnx, and `write_int8` tries until one passes.
"""

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import datasets
import numpy as np
import onnx
import onnxruntime
import torch
from onnx import helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from tqdm import tqdm

from files.errors import first_line
from model_folder.folder import INT8_ONNX, ONNX, ModelFolder, ModelFolderError
from model_folder.onnx_session import ANSWERING, ONNX_ERRORS, open_onnx
from model_folder.reference_features import ReferenceFeatures, open_reference, scores_of
from train.calibration import expected_error, reliability
from train.data import LabelledImages, groups_of, read_image
from train.export import announce
from train.export.onnx_graph import quiet, raw_pixels_graph, write_parts
from train.export.reference import choose_rows
from train.intervals import group_numbers, most_share
from train.loaders import eval_transform

logger = logging.getLogger(__name__)

# What ONNX Runtime computes in int8 from end to end where everything around it is int8, too.
_KINDS = ["Conv", "Gemm", "MatMul", "Add", "Relu", "Clip", "MaxPool"]


class NotQuantisableError(ValueError):
    """A network can't be quantised; the message says why."""


@dataclass(frozen=True)
class Attempt:
    """How to quantise a network.

    Attributes:
        name: What is quantised, in words.
        float_share: The share of its convolutions, counted from the first, that stay float32, 0 to 1.
        float_convolutions: How many stay float32 at least.
    """

    name: str
    float_share: float
    float_convolutions: int


def quantise(network: onnx.ModelProto, pixels: list[np.ndarray], attempt: Attempt) -> onnx.ModelProto:
    """Quantises a network up to its features; the head, which is small, stays float32.

    Weights get a scale per channel and feature maps one each, from the mean over `pixels` of their minimum and
    maximum (Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
    Inference"). Biases are corrected by what rounding the weights adds on average (Nagel et al. 2019, "Data-Free
    Quantization Through Weight Equalization and Bias Correction"; here the means are measured).

    Args:
        network: From `write_onnx`.
        pixels: Training pictures to calibrate by, prepared, each float32 of shape (1, 3, height, width).
        attempt: What to quantise.

    Raises:
        NotQuantisableError: ONNX Runtime can't quantise it.
    """
    chosen = _nodes(network, attempt)
    if not chosen:
        raise NotQuantisableError(f"it has no {', '.join(_KINDS[:3])} before its features")
    with TemporaryDirectory() as folder:
        # Given the network itself, `quantize_static` would move its weights into a file.
        source, file = Path(folder, "network.onnx"), Path(folder, "quantised.onnx")
        try:
            onnx.save(_with_corrected_biases(network, chosen, pixels), source)
            with quiet():
                quantize_static(
                    source,
                    file,
                    _Pixels(pixels),
                    QuantFormat.QDQ,
                    op_types_to_quantize=_KINDS,
                    per_channel=True,
                    activation_type=QuantType.QUInt8,
                    weight_type=QuantType.QInt8,
                    nodes_to_quantize=[node.name for node in chosen],
                    # Without it the one picture with the largest values would set the scale.
                    extra_options={"CalibMovingAverage": True},
                )
        except (*ONNX_ERRORS, ValueError, TypeError, KeyError) as error:
            raise NotQuantisableError(f"ONNX Runtime can't ({type(error).__name__}: {first_line(error)})") from None
        return onnx.load(file)


class _Pixels(CalibrationDataReader):
    """Pictures as ONNX Runtime's calibration reads them."""

    def __init__(self, pixels: list[np.ndarray]) -> None:
        self._left = iter(pixels)

    def get_next(self) -> dict[str, np.ndarray] | None:
        pixels = next(self._left, None)
        return None if pixels is None else {"pixels": pixels}


def _nodes(network: onnx.ModelProto, attempt: Attempt) -> list[onnx.NodeProto]:
    """Returns the nodes to quantise."""
    needed = {"features"}
    before: list[onnx.NodeProto] = []
    # A graph lists its nodes in topological order.
    for node in reversed(network.graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            before.insert(0, node)
    convolutions = [place for place, node in enumerate(before) if node.op_type == "Conv"]
    left = max(attempt.float_convolutions, round(attempt.float_share * len(convolutions)))
    if left > 0:
        # What follows a convolution, such as its ReLU, belongs to it.
        before = before[convolutions[left] :] if left < len(convolutions) else []
    return [node for node in before if node.op_type in _KINDS]


def _with_corrected_biases(
    network: onnx.ModelProto, chosen: list[onnx.NodeProto], pixels: list[np.ndarray]
) -> onnx.ModelProto:
    """Returns the network with biases from which the mean effect of rounding the convolutions' weights is subtracted.

    The features of an EfficientNet-Lite0 came three times as close to those in float32.
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
        # Each group of output channels reads one group of input channels.
        inputs = means[node.input[0]].reshape(-1, kernel.shape[1])
        added = np.einsum("goi,gi->go", change.reshape(len(inputs), -1, kernel.shape[1]), inputs).ravel()
        weights[node.input[2]].CopyFrom(numpy_helper.from_array(bias - added, node.input[2]))
    return corrected


def _rounded(kernel: np.ndarray) -> np.ndarray:
    """Returns weights, whose first axis is the output channels, rounded to 8 bits with a scale per channel."""
    scale = np.abs(kernel).max((1, 2, 3), keepdims=True) / 127
    return np.round(kernel / np.maximum(scale, np.finfo(np.float32).tiny)) * scale


def _channel_means(network: onnx.ModelProto, names: list[str], pixels: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the mean of each channel of some feature maps, of shape (channels,), over places and pictures."""
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
    means = [session.run(None, {"pixels": picture}) for picture in pixels]
    return {name: np.mean(values, axis=0) for name, values in zip(names, zip(*means, strict=True), strict=True)}


# A MobileNet's first convolutions have few weights per channel, and rounding them changes all that follows: the first
# depthwise one alone caused two thirds of the error of an EfficientNet-Lite0's features.
ATTEMPTS = (
    Attempt("all of the network", 0, 0),
    Attempt("all but the first two convolutions", 0, 2),
    Attempt("all but the first half of the convolutions", 0.5, 2),
)
SAME_ANSWER, MOST_CHANGED, LARGEST_SHIFT = 0.98, 0.05, 0.02
# Of a verdict whose threshold lies where one in twenty pictures is.
SAME_OOD = 0.95
_CONFIDENCE = 0.95
_CALIBRATION_PICTURES, _JUDGED_PICTURES = 64, 1000
SPLIT = "validation"


@dataclass(frozen=True)
class Answers:
    """What an ONNX file says of a split.

    Attributes:
        probs: float32 of shape (pictures, classes).
        distances: Mean cosine distance to the nearest training features, of shape (pictures,); None without `ood`.
    """

    probs: np.ndarray
    distances: np.ndarray | None


@dataclass(frozen=True)
class Comparison:
    """A quantised model beside the one it was made of, on the same pictures.

    Attributes:
        pictures: How many.
        groups: In how many groups of near-duplicates.
        same_answer: The share of pictures whose likeliest class is the same.
        most_changed: With 95 % confidence the answer changes in at most this share of groups (one-sided
            Clopper-Pearson bound; one changed answer counts its whole group).
        same_ood: The share of which both say alike whether they are ood, but for the one that the threshold was read
            off: it lies on it.
        accuracy: Of the quantised one, 0 to 1.
        float_accuracy: Of the other.
        ece: Expected calibration error of the quantised one, 0 to 1.
        float_ece: Of the other.
        shift: How much higher the quantised one's highest probability is on average, -1 to 1. Unlike a difference of
            calibration errors it does not jump where one picture of few crosses the edge of a bin.
    """

    pictures: int
    groups: int
    same_answer: float
    most_changed: float
    same_ood: float
    accuracy: float
    float_accuracy: float
    ece: float
    float_ece: float
    shift: float

    @property
    def faults(self) -> list[str]:
        """The bounds that it misses, each with by how much."""
        faults = []
        for share, least, what in (
            (self.same_answer, SAME_ANSWER, "the same answer"),
            (self.same_ood, SAME_OOD, "the same verdict on ood"),
        ):
            if share < least:
                faults.append(f"{what} on {share:.1%} of {self.pictures} pictures, {least:.0%} is the least")
        # Of fewer pictures than 59 not even one without a change would show it: then the card states what they show.
        if self.most_changed > MOST_CHANGED >= most_share(0, self.groups, _CONFIDENCE):
            faults.append(
                f"another answer to up to {self.most_changed:.1%} of pictures ({_CONFIDENCE:.0%} confidence), "
                f"{MOST_CHANGED:.0%} is the most"
            )
        if abs(self.shift) > LARGEST_SHIFT:
            faults.append(f"probabilities of its answers off by {self.shift:+.3f}, {LARGEST_SHIFT} is the most")
        return faults

    def as_record(self) -> dict[str, Any]:
        """Returns it for a JSON file."""
        return asdict(self)


def compare(
    original: Answers, quantised: Answers, labels: np.ndarray, groups: list[str] | None, threshold: float | None
) -> Comparison:
    """Compares the answers of two models to the same pictures.

    Args:
        original: Of the model as it was.
        quantised: Of the quantised one.
        labels: True classes, of shape (pictures,).
        groups: The group of near-duplicates of every picture, where that is known.
        threshold: The distance from which on a picture is ood, where there is one.
    """
    before, after = original.probs.argmax(1), quantised.probs.argmax(1)
    group_of = group_numbers(groups, len(labels))
    count, changed = len(np.unique(group_of)), len(np.unique(group_of[before != after]))
    ece, float_ece = (expected_error(reliability(answers.probs, labels)) for answers in (quantised, original))
    same_ood = 1.0
    if threshold is not None and original.distances is not None and quantised.distances is not None:
        others = np.argsort(np.abs(original.distances - threshold))[1:]
        same_ood = float(((original.distances > threshold) == (quantised.distances > threshold))[others].mean())
    return Comparison(
        len(labels),
        count,
        float((before == after).mean()),
        most_share(changed, count, _CONFIDENCE),
        same_ood,
        float((after == labels).mean()),
        float((before == labels).mean()),
        ece,
        float_ece,
        float((quantised.probs.max(1) - original.probs.max(1)).mean()),
    )


def write_int8(
    folder: ModelFolder, network: onnx.ModelProto, data_config: dict[str, Any], images: LabelledImages
) -> dict[str, Any] | None:
    """Writes model.int8.onnx of a model folder, or warns why there is none.

    Args:
        folder: It has its model.onnx and, where it compares with training pictures, its reference.
        network: The network of model.onnx.
        data_config: How pictures are prepared for it.
        images: Up to 64 training pictures calibrate, up to 1,000 validation pictures judge.

    Returns:
        The attempt that passed and how it did, or None.

    Raises:
        ModelFolderError: model.onnx can't be opened or run.
    """
    if images.stream is not None:
        logger.warning("no %s: the training pictures are streamed, and quantising would fetch them again", INT8_ONNX)
        return None
    rows, transform = images.split("train"), eval_transform(data_config)
    chosen = choose_rows(np.array(rows["label"]), _CALIBRATION_PICTURES).tolist()
    pixels = [transform(read_image(rows, index)).unsqueeze(0).numpy() for index in chosen]
    judged = images.split(SPLIT)
    judged = judged.select(np.sort(np.random.default_rng(8).permutation(len(judged))[:_JUDGED_PICTURES]))
    labels, groups, reference = np.array(judged["label"]), groups_of(judged), open_reference(folder)
    properties = {entry.key: json.loads(entry.value) for entry in onnx.load(folder.path / ONNX).metadata_props}
    before = answers_of(folder, ONNX, judged, reference)
    file = folder.path / INT8_ONNX
    missed: list[str] = []
    for number, attempt in enumerate(ATTEMPTS, start=1):
        announce(f"quantising: attempt {number} of {len(ATTEMPTS)}, {attempt.name}")
        try:
            write_parts(file, raw_pixels_graph(data_config), quantise(network, pixels, attempt), properties)
            answers = answers_of(folder, INT8_ONNX, judged, reference)
        except (NotQuantisableError, ModelFolderError) as error:
            missed.append(f"{attempt.name}: {error}")
        else:
            found = compare(before, answers, labels, groups, reference.threshold if reference else None)
            if not found.faults:
                return {"attempt": attempt.name, "calibrated_on": len(chosen), "split": SPLIT, **found.as_record()}
            missed.append(f"{attempt.name}: {', '.join(found.faults)}")
        file.unlink(missing_ok=True)
    logger.warning(
        "no %s: on %s, no quantised network answers as the model does: %s", INT8_ONNX, SPLIT, "; ".join(missed)
    )
    return None


def answers_of(folder: ModelFolder, name: str, rows: datasets.Dataset, reference: ReferenceFeatures | None) -> Answers:
    """Runs one of a model folder's ONNX files on pictures, as the demo does.

    Raises:
        ModelFolderError: ONNX Runtime can't open or run it.
    """
    session = open_onnx(folder, torch.get_num_threads(), name)
    probs, features = [], []
    for number in tqdm(range(len(rows)), desc=f"Running {name}", unit="picture", leave=False, delay=1, disable=None):
        image = np.asarray(read_image(rows, number))
        try:
            outputs = session.run(["probs", "features"], {"image": image}, ANSWERING)
        except ONNX_ERRORS as error:
            raise ModelFolderError(f"ONNX Runtime can't run it ({first_line(error)})") from None
        probs.append(outputs[0])
        features.append(outputs[1])
    nearest = reference.nearest(np.stack(features)) if reference else None
    return Answers(np.stack(probs), scores_of(nearest) if nearest else None)
