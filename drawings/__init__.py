"""Drawn dancers that stand in for photographs: `draw_picture(dance, seed, number)` for each of `DANCES`."""

from drawings.picture import DANCES, draw_picture

__all__ = ["DANCES", "draw_picture"]
