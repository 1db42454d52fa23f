"""timm's evaluation transform as an ONNX graph: pixels of any size in, what the network sees out."""

import math
from typing import Any

import onnx
from onnx import parser

OPSET = 18
_IR_VERSION = 10


class NoGraphError(ValueError):
    """A network, or a way to prepare pictures for it, that can't be had as ONNX; the message says which."""


# ONNX Runtime resizes uint8 as Pillow does: in whole numbers, first the width, then the height, rounded after each.
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
        NoGraphError: An interpolation that ONNX does not have.
    """
    interpolation, mode, side = data_config["interpolation"], data_config["crop_mode"], data_config["input_size"][1]
    if interpolation not in _FILTERS:
        raise NoGraphError(f"ONNX has no {interpolation} interpolation: {' and '.join(_FILTERS)} can be had")
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
    # Every session would complain about numbers that this mode does not need.
    needed = {name for node in model.graph.node for name in node.input}
    for numbers in [numbers for numbers in model.graph.initializer if numbers.name not in needed]:
        model.graph.initializer.remove(numbers)
    return model


def _numbers(values: Any) -> str:
    return "{" + ", ".join(f"{float(value)!r}" for value in values) + "}"
