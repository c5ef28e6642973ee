"""Lines over a root axis: what is gained against a divergence.

As `files.draw_lines`, whose columns it reads; x goes by the square root of its values, so that the
reference at 0 has its place. Elsewhere: the page's own (`tradeoff.divergence_plot`), the contract
(`files.figure`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ppdbench.reports.files import draw_lines
from ppdbench.reports.files.figure import Figure
from ppdbench.reports.files.style import panels, value_of
from ppdbench.reports.scales import MARGIN, root_ticks

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas


def draw(figure: Figure, canvas: Canvas) -> None:
    """Draw the panels on an empty canvas and set its size."""
    draw_lines.draw(figure, canvas)
    found = panels(figure.rows)
    for axes, rows in zip(canvas.axes[: len(found)], found.values(), strict=True):
        ends = (value_of(row, key) for row in rows for key in ("x", "x_ci_high"))
        furthest = max((end for end in ends if end is not None), default=0.0) or 1.0
        high = furthest * (1 + MARGIN) ** 2
        marks = root_ticks(high)
        axes.set_xscale(
            "function",
            functions=(lambda x: np.sqrt(np.maximum(x, 0.0)), lambda x: np.square(x)),
        )
        axes.set_xlim(0.0, high)
        axes.set_xticks(marks, [f"{mark:g}" for mark in marks])
        axes.minorticks_off()
