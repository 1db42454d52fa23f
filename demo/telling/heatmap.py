"""Where a model looked, laid over the picture that it was given: whatever its crop did is undone.

The map is the class activation map (Zhou et al. 2016) of the likeliest class over the model's view. For global pooling
and a linear classifier it equals Grad-CAM at the last block.
"""

import io
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

# Pixels of the longer side: the browser makes it larger, as smoothly as this would be.
_SIDE = 96
_LEVELS = 255
_OUTSIDE = 255
# Inferno from its dark violet on, as in matplotlib: it grows brighter evenly, and to colour-blind eyes, too.
_COLOURS = np.array(
    [(66, 10, 104), (106, 23, 110), (147, 38, 103), (188, 55, 84), (221, 81, 58), (243, 120, 25), (252, 165, 10),
     (246, 215, 70), (252, 255, 164)]
)  # fmt: skip
_FAINTEST, _STRONGEST = 0.25, 0.8
_GREY, _GREY_ALPHA = (140, 140, 140), 0.85


@dataclass(frozen=True)
class Crop:
    """What a model sees of a picture, in timm's terms.

    Attributes:
        height: Of its view, in pixels.
        width: Of its view, in pixels.
        pct: The view's share of the side to which a picture is scaled first, 0 to 1.
        mode: "squash", "border", or "center".
    """

    height: int
    width: int
    pct: float
    mode: str

    def view(self, width: int, height: int) -> tuple[float, float, float, float]:
        """Returns where the view of a picture lies: left, top, right, bottom, as shares of the picture's sides.

        Below 0 and above 1 lies the border that was put round it.
        """
        scaled = math.floor(self.width / self.pct), math.floor(self.height / self.pct)
        if self.mode == "squash":
            across, down = self.width / scaled[0], self.height / scaled[1]
        else:
            fit = min if self.mode == "border" else max
            scale = fit(scaled[0] / width, scaled[1] / height)
            across, down = self.width / (width * scale), self.height / (height * scale)
        return (1 - across) / 2, (1 - down) / 2, (1 + across) / 2, (1 + down) / 2


def read_crop(config: dict[str, Any]) -> Crop:
    """Reads a model folder's config.json, with timm's defaults where it says nothing."""
    told = config["pretrained_cfg"]
    height, width = told["input_size"][1:]
    return Crop(height, width, float(told.get("crop_pct") or 0.875), str(told.get("crop_mode") or "center"))


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
    """Colours what `lay_over` returns, half transparent.

    Returns:
        A PNG with a palette: few bytes, for it travels with every answer.
    """
    shades = np.linspace(0, len(_COLOURS) - 1, _LEVELS)
    channels = [np.interp(shades, np.arange(len(_COLOURS)), _COLOURS[:, channel]) for channel in range(3)]
    palette = np.vstack([np.stack(channels, axis=1), _GREY]).round().astype(np.uint8)
    alpha = np.append(np.linspace(_FAINTEST, _STRONGEST, _LEVELS), _GREY_ALPHA)
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
