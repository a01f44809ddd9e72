"""Figures of matplotlib as pixels."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plotted"]


def plotted(figure: "Figure") -> np.ndarray:
    """A figure as uint8 (3, h, w), for `run.picture.save_picture`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].transpose(2, 0, 1)
