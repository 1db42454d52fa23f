"""Where a model looked, laid over the picture that it was given: whatever its crop did is undone.

The map is the class activation map (Zhou et al. 2016) of the likeliest class over the model's view. For global pooling
and a linear classifier it equals Grad-CAM at the last block.
"""

import io

import numpy as np
from PIL import Image

from model_folder.facts import Crop

# Pixels of the longer side: the browser makes it larger, as smoothly as this would be.
_SIDE = 96
_LEVELS = 255
_OUTSIDE = 255
# Inferno from its dark violet on, as in matplotlib: it grows brighter evenly, and to colour-blind eyes, too.
_COLOURS = np.array(
    [(66, 10, 104), (106, 23, 110), (147, 38, 103), (188, 55, 84), (221, 81, 58), (243, 120, 25), (252, 165, 10),
     (246, 215, 70), (252, 255, 164)]
)  # fmt: skip
# Nothing lies over what is cold, as in the report.
_STRONGEST, _RISE = 0.85, 1.25
_GREY, _GREY_ALPHA = (140, 140, 140), 0.85


def lay_over(heatmap: np.ndarray, size: tuple[int, int], crop: Crop) -> np.ndarray:
    """Spreads a heat-map over a picture.

    Args:
        heatmap: 0 to 1, float32 of shape (height, width), over the model's view.
        size: Width and height of the picture.
        crop: What the view is.

    Returns:
        0 to 1, float32 of shape (height, width) with the picture's proportions and 96 pixels at most; NaN where the
        model did not see the picture.
    """
    shrink = min(1, _SIDE / max(size))
    width, height = (max(1, round(side * shrink)) for side in size)
    left, top, right, bottom = crop.view(*size)
    rows, columns = heatmap.shape
    across, down = columns / (right - left), rows / (bottom - top)
    spread = Image.fromarray(heatmap.astype(np.float32)).transform(
        (width, height),
        Image.Transform.AFFINE,
        (across / width, 0, -left * across, 0, down / height, -top * down),
        Image.Resampling.BICUBIC,
    )
    values = np.clip(np.asarray(spread), 0, 1)
    x, y = (np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height
    seen = ((y > top) & (y < bottom))[:, None] & ((x > left) & (x < right))
    return np.where(seen, values, np.nan).astype(np.float32)


def colour(spread: np.ndarray) -> bytes:
    """Colours what `lay_over` returns, the more transparent the colder.

    Returns:
        A PNG with a palette: few bytes, for it travels with every answer.
    """
    shades = np.linspace(0, len(_COLOURS) - 1, _LEVELS)
    channels = [np.interp(shades, np.arange(len(_COLOURS)), _COLOURS[:, channel]) for channel in range(3)]
    palette = np.vstack([np.stack(channels, axis=1), _GREY]).round().astype(np.uint8)
    alpha = np.append(_STRONGEST * np.linspace(0, 1, _LEVELS) ** _RISE, _GREY_ALPHA)
    seen = ~np.isnan(spread)
    levels = np.where(seen, np.where(seen, spread, 0) * (_LEVELS - 1), _OUTSIDE).round().astype(np.uint8)
    image = Image.fromarray(levels)
    image.putpalette(palette.tobytes())
    file = io.BytesIO()
    image.save(file, "PNG", transparency=(alpha * 255).round().astype(np.uint8).tobytes())
    return file.getvalue()


def scale_bar() -> str:
    """Returns the colours from least to most, as CSS takes them in `linear-gradient`."""
    return ", ".join(f"rgb({r} {g} {b})" for r, g, b in _COLOURS)
