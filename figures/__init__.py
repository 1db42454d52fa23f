"""Figures by matplotlib without a global backend: none is set, and one that the environment names is not asked.

Every shell of a notebook has MPLBACKEND=module://matplotlib_inline.backend_inline, also for environments that have no
such module; there matplotlib can't even be imported.
"""

import io
import os
import sys
from contextlib import suppress
from typing import Any

_backend = None if "matplotlib" in sys.modules else os.environ.pop("MPLBACKEND", None)

import matplotlib as mpl  # noqa: E402

if _backend:
    # As matplotlib does itself, but for one that can't be had.
    with suppress(ValueError):
        mpl.rcParams["backend"] = _backend
        os.environ["MPLBACKEND"] = _backend

from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: E402
from matplotlib.figure import Figure as _Figure  # noqa: E402

__all__ = ["Figure", "mpl", "subplots"]


class Figure(_Figure):
    """A figure that pyplot knows nothing of, so that it need not be closed; a notebook shows it inline.

    It is always drawn in the style in which it was made: matplotlib makes tick labels as late as that.
    """

    def __init__(self, figsize: tuple[float, float]) -> None:
        """Makes an empty figure, `figsize` inches wide and high."""
        super().__init__(figsize=figsize)
        FigureCanvasAgg(self)
        self._style: Any = {key: value for key, value in mpl.rcParams.copy().items() if "backend" not in key}

    def draw(self, renderer: Any) -> None:
        """Draws the figure, as matplotlib asks for."""
        with mpl.rc_context(self._style):
            super().draw(renderer)

    def _repr_png_(self) -> bytes:
        """Returns the figure as PNG, for IPython."""
        file = io.BytesIO()
        self.savefig(file, format="png")
        return file.getvalue()


def subplots(rows: int = 1, columns: int = 1, *, figsize: tuple[float, float], **options: Any) -> tuple[Figure, Any]:
    """Makes a figure and its axes, as `pyplot.subplots` does."""
    figure = Figure(figsize)
    return figure, figure.subplots(rows, columns, **options)
