"""Figures by matplotlib without a global backend: none is set, and one that the environment names is not asked.

Every shell of a notebook has MPLBACKEND=module://matplotlib_inline.backend_inline, also for environments that have no
such module; there matplotlib can't even be imported.
"""

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
from matplotlib.figure import Figure  # noqa: E402

__all__ = ["mpl", "subplots"]


def subplots(rows: int = 1, columns: int = 1, *, figsize: tuple[float, float], **options: Any) -> tuple[Figure, Any]:
    """Makes a figure and its axes, as `pyplot.subplots` does, that pyplot knows nothing of: it need not be closed."""
    figure = Figure(figsize=figsize)
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, **options)
