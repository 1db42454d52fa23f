"""model.onnx: one file from raw pixels to probabilities, features and a heat-map, for ONNX Runtime on any system."""

import json
import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import compose, helper, parser
from onnx_ir.passes.common import ClearMetadataAndDocStringPass
from torch import nn
from torch.onnx import OnnxExporterError

from files.errors import first_line

OPSET = 18
_IR_VERSION = 10
# What protobuf can write at once, less room for all that is not weights.
_LARGEST = 2**31 - 2**24


class NoGraphError(ValueError):
    """A network, or the preparation of its pictures, can't be exported to ONNX; the message says which."""


def write_onnx(file: Path, model: Any, data_config: dict[str, Any], properties: dict[str, Any]) -> onnx.ModelProto:
    """Writes a model, and the preparation of its pictures, as one file.

    Its input is `image`, uint8 of shape (height, width, 3), of any size. Its outputs are `probs`, float32 of shape
    (classes,); `features`, what the classifier sees, float32 of shape (features,); and, for architectures that average
    a map and classify that linearly, `heatmap`, 0 to 1, float32 of the map's shape (height, width), and that map as
    `maps`, float32 of shape (height, width, features): whoever has another classifier makes its heat-map of it.

    Args:
        file: Where to write it.
        model: A timm model in evaluation mode.
        data_config: How its pictures are prepared, in timm's terms.
        properties: Metadata of the file; each value is kept as JSON.

    Returns:
        The network alone, from `pixels`, float32 of shape (1, 3, height, width), to the same outputs.

    Raises:
        NoGraphError: The architecture, or the preparation of its pictures, can't be exported.
    """
    size = sum(tensor.nbytes for tensor in model.state_dict().values())
    if size > _LARGEST:
        raise NoGraphError(f"its weights are {size / 2**30:.1f} GB, and one ONNX file holds less than 2")
    pixels = torch.randn(1, *data_config["input_size"], generator=torch.Generator().manual_seed(0))
    preparation = raw_pixels_graph(data_config)
    network = _network_graph(_Outputs(model, map_places(model, pixels)), pixels)
    write_parts(file, preparation, network, properties)
    return network


def write_parts(
    file: Path, preparation: onnx.ModelProto, network: onnx.ModelProto, properties: dict[str, Any]
) -> None:
    """Writes the preparation of pictures, from `raw_pixels_graph`, and the network behind it as one file."""
    # Their inner names must not collide.
    preparation = compose.add_prefix(preparation, "raw/", rename_inputs=False, rename_outputs=False)
    whole = compose.merge_models(preparation, network, [("pixels", "pixels")])
    helper.set_model_props(whole, {key: json.dumps(value, ensure_ascii=False) for key, value in properties.items()})
    file.write_bytes(whole.SerializeToString(deterministic=True))


# ONNX Runtime resizes uint8 as Pillow does: in integers, first the width, then the height, rounded after each.
# Pillow's filters end at the edge of the picture; without `exclude_outside` these would repeat its last pixels.
_FILTERS = {
    "bicubic": 'mode = "cubic", cubic_coeff_a = -0.5, antialias = 1, exclude_outside = 1',
    "bilinear": 'mode = "linear", antialias = 1, exclude_outside = 1',
}

# `size`, (height, width), becomes `new_size`: what the whole picture is brought to.
_NEW_SIZES = {
    "squash": """new_size = Identity (scaled)""",
    # torchvision's Resize: the shorter side as wanted, the longer one rounded down.
    "center": """shorter = ReduceMin (size)
    size_by_scaled = Mul (size, scaled)
    new_size = Div (size_by_scaled, shorter)""",
    # timm's ResizeKeepRatio: the longer side as wanted; double precision, halves to the even number. Where timm would
    # leave no pixel of the shorter side, and fail, one stays.
    "border": """exact_size = Cast <to = 11> (size)
    exact_scaled = Cast <to = 11> (scaled)
    ratios = Div (exact_size, exact_scaled)
    ratio = ReduceMax (ratios)
    exact_new_size = Div (exact_size, ratio)
    rounded_size = Round (exact_new_size)
    whole_size = Cast <to = 7> (rounded_size)
    new_size = Max (whole_size, one)""",
}

# The colour of `fill` on both sides; where they differ by a pixel, bottom and right have more.
_PAD = """levels = Cast <to = 1> (resized)
    lacking = Sub (side, new_size)
    missing = Max (lacking, zero)
    before = Div (missing, two)
    after = Sub (missing, before)
    pads = Concat <axis = 0> (before, after)
    above_fill = Sub (levels, fill)
    padded_above_fill = Pad (above_fill, pads, , places)
    padded = Add (padded_above_fill, fill)"""

# The middle; halves go to the even number.
_CROP = """whole_shape = Shape <start = 2> (padded)
    surplus = Sub (whole_shape, side)
    exact_surplus = Cast <to = 1> (surplus)
    exact_start = Mul (exact_surplus, half)
    rounded_start = Round (exact_start)
    start = Cast <to = 7> (rounded_start)
    end = Add (start, side)
    view = Slice (padded, start, end, places)"""


def raw_pixels_graph(data_config: dict[str, Any]) -> onnx.ModelProto:
    """Returns what timm's evaluation transform does, as a graph.

    Args:
        data_config: `input_size`, `interpolation`, `crop_pct`, `crop_mode`, `mean`, `std`, as timm has them; pictures
            are square for the network.

    Returns:
        A model from `image`, uint8 of shape (height, width, 3), to `pixels`, float32 of shape (1, 3, side, side).

    Raises:
        NoGraphError: ONNX does not have the interpolation.
    """
    interpolation, mode, side = data_config["interpolation"], data_config["crop_mode"], data_config["input_size"][1]
    if interpolation not in _FILTERS:
        raise NoGraphError(f"ONNX has no {interpolation} interpolation, only {' and '.join(_FILTERS)}")
    scaled = math.floor(side / data_config["crop_pct"])
    mean = data_config["mean"]
    fill = [round(255 * value) for value in mean]
    pad = _PAD if mode == "border" else ""
    # The last step changes no shape. Without it ONNX Runtime 1.32 does not open a quantised network behind this:
    # "Number of elements of input 'sizes' (0)". Perhaps it moves `planes` through Resize.
    text = f"""
<ir_version: {_IR_VERSION}, opset_import: ["": {OPSET}]>
raw_pixels (uint8[height, width, 3] image) => (float[1, 3, {side}, {side}] pixels)
<
    int64[1] zero = {{0}}, int64[1] one = {{1}}, int64[1] two = {{2}}, float half = {{0.5}}, float highest = {{255.0}},
    int64[4] batch = {{1, 3, {side}, {side}}},
    int64[2] scaled = {{{scaled}, {scaled}}}, int64[2] side = {{{side}, {side}}}, int64[2] places = {{2, 3}},
    float[1, 3, 1, 1] mean = {_numbers(mean)}, float[1, 3, 1, 1] std = {_numbers(data_config["std"])},
    float[1, 3, 1, 1] fill = {_numbers(fill)}
>
{{
    planes = Transpose <perm = [2, 0, 1]> (image)
    picture = Unsqueeze (planes, zero)
    size = Shape <end = 2> (image)
    {_NEW_SIZES[mode]}
    {"resized" if pad else "padded"} = Resize <axes = [2, 3], {_FILTERS[interpolation]}> (picture, , , new_size)
    {pad}
    {_CROP}
    view_levels = Cast <to = 1> (view)
    share = Div (view_levels, highest)
    centred = Sub (share, mean)
    normalised = Div (centred, std)
    pixels = Reshape (normalised, batch)
}}"""
    model = parser.parse_model(text)
    # Every session would warn of constants that this mode does not need.
    needed = {name for node in model.graph.node for name in node.input}
    for constant in [constant for constant in model.graph.initializer if constant.name not in needed]:
        model.graph.initializer.remove(constant)
    return model


def _numbers(values: Any) -> str:
    return "{" + ", ".join(f"{float(value)!r}" for value in values) + "}"


@torch.no_grad()
def map_places(model: Any, pixels: torch.Tensor) -> tuple[int, int] | None:
    """Tests whether a model averages a feature map and classifies the averages by one linear layer.

    Only then is a class activation map (Zhou et al. 2016) exactly what its answer is made of. Classifiers that
    normalise first, such as RepViT's and LeViT's, have none.

    Args:
        model: A timm model in evaluation mode.
        pixels: Some picture, prepared, of shape (1, 3, height, width).

    Returns:
        Which dimensions of the last feature map are height and width, or None where there is no such map.

    Raises:
        NoGraphError: Its logits are not what its head makes of its features.
    """
    classifier, maps = model.get_classifier(), model.forward_features(pixels)
    logits = model.forward_head(maps)
    if not torch.allclose(model(pixels), logits, 1e-3, 1e-4):
        raise NoGraphError("its answer is more than its head makes of its features")
    if not isinstance(classifier, nn.Linear) or not isinstance(maps, torch.Tensor) or maps.ndim != 4:
        return None
    for places in ((2, 3), (1, 2)):
        means = maps.mean(places)
        if means.shape[1] == classifier.in_features and torch.allclose(classifier(means), logits, 1e-3, 1e-4):
            return places
    return None


class _Outputs(nn.Module):
    """Turns prepared pixels of shape (1, 3, height, width) into the outputs of model.onnx."""

    def __init__(self, model: Any, places: tuple[int, int] | None) -> None:
        super().__init__()
        self.model = model
        self.channels = None if places is None else ({1, 2, 3} - set(places)).pop()

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        maps = self.model.forward_features(pixels)
        features = self.model.forward_head(maps, pre_logits=True)[0]
        probs = self.model.forward_head(maps)[0].softmax(0)
        if self.channels is None:
            return probs, features
        weights, maps = self.model.get_classifier().weight[probs.argmax()], maps.movedim(self.channels, 3)[0]
        heat = (maps @ weights).relu()
        return probs, features, heat / heat.max().clamp(min=torch.finfo(heat.dtype).tiny), maps


def _network_graph(outputs: _Outputs, pixels: torch.Tensor) -> onnx.ModelProto:
    names = ["probs", "features", *(["heatmap", "maps"] if outputs.channels is not None else [])]
    try:
        with quiet():
            program = torch.onnx.export(
                outputs.eval(),
                (pixels,),
                input_names=["pixels"],
                output_names=names,
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
    except OnnxExporterError as error:
        # Its own message is advice for the author of the network.
        cause = error.__cause__ or error
        raise NoGraphError(f"torch can't export this network ({type(cause).__name__}: {first_line(cause)})") from None
    assert program is not None, "the dynamo exporter returns a program"
    # Paths of this machine's source code must not be published, and differ from machine to machine.
    ClearMetadataAndDocStringPass()(program.model)
    return program.model_proto


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps the many messages of ONNX's exporter and quantiser off the terminal."""
    disabled, handlers = logging.root.manager.disable, logging.root.handlers[:]
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        # Where there was none, `logging.info` has added one that writes to the redirected standard error.
        logging.root.handlers[:] = handlers
