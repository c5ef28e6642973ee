"""Ternary plots on paper: a honeycomb a panel, one cell a mixture of three rewards.

Reads the columns `panel`, `value`, and three whose names begin with `WEIGHT`, in the order of the
corners: top, left, right. The x axis' unit, ends and line say how numbers read, where the colours
end and where they turn, as in a heat map; a cell has its number written in where it has room.
Elsewhere: the same on the page (`interpolation.ternary`), the contract (`files.figure`), looks
(`files.style`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ppdbench.reports.figures import MINUS
from ppdbench.reports.files.draw_heat import COLOURS
from ppdbench.reports.files.figure import Axis, Figure, Row
from ppdbench.reports.files.style import INK, LINE, SOFT, WIDTH, panels, value_of, wrapped
from ppdbench.reports.interpolation.ternary import RATIO, position

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure as Canvas

WEIGHT = "weight of "
"""A column of weights is called by this and the corner's name."""
ACROSS = 3
FINEST = 8
"""Steps along an edge up to which numbers have room in their cells."""


def draw(figure: Figure, canvas: Canvas) -> None:
    """Draw the panels on an empty canvas, with one scale of colours below, and set its size."""
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, TwoSlopeNorm

    found = panels(figure.rows)
    across = min(ACROSS, len(found))
    down = -(-len(found) // across)
    side = WIDTH / ACROSS
    canvas.set_size_inches(side * across, down * side + 0.55)
    # The ends of the map are nearly black in print: three quarters of it are used.
    shades = [colormaps[COLOURS](0.125 + 0.75 * step / 255) for step in range(256)]
    low, high = _ends(figure.x)
    middle = (low + high) / 2 if figure.x.line is None else figure.x.line
    tints = ScalarMappable(
        TwoSlopeNorm(middle, low, high), LinearSegmentedColormap.from_list("", shades)
    )
    grid = canvas.subplots(down, across, squeeze=False)
    for number, (title, rows) in enumerate(found.items()):
        axes = grid[number // across][number % across]
        axes.set_title(wrapped(title, 28))
        _panel(axes, rows, tints, figure.x)
    for number in range(len(found), down * across):
        grid[number // across][number % across].set_visible(False)
    bar = canvas.colorbar(
        tints, ax=list(grid.ravel()), orientation="horizontal", fraction=0.05, pad=0.03, aspect=40
    )
    bar.set_label(wrapped(figure.x.label, 90))
    bar.outline.set_visible(False)


def _ends(axis: Axis) -> tuple[float, float]:
    low = -1.0 if axis.low is None else axis.low
    return low, max(low + 1e-9, 1.0 if axis.high is None else axis.high)


def _panel(axes: Axes, rows: Sequence[Row], tints: ScalarMappable, axis: Axis) -> None:
    from matplotlib.patches import RegularPolygon

    names = [name for name in rows[0] if name.startswith(WEIGHT)]
    weights = [tuple(value_of(row, name) or 0.0 for name in names) for row in rows]
    step = min((w for row in weights for w in row if w > 0), default=1.0)
    radius = step / math.sqrt(3)
    for row, (first, second, third) in zip(rows, weights, strict=True):
        x, y = position((first, second, third))
        value = value_of(row, "value")
        known = value is not None
        red, green, blue, _ = tints.to_rgba(np.array([value if known else 0.0]))[0]
        colour = (float(red), float(green), float(blue))
        axes.add_patch(
            RegularPolygon(
                (x, -y),
                6,
                radius=0.96 * radius,
                facecolor=colour if known else "white",
                edgecolor="none" if known else LINE,
            )
        )
        if value is not None and round(1 / step) <= FINEST:
            axes.text(
                x,
                -y,
                _said(value, axis),
                ha="center",
                va="center",
                fontsize=_letters(step),
                color=_ink(colour),
            )
    corners = (0.5, radius * 1.15, "bottom"), (0.0, -RATIO - radius * 1.15, "top")
    for name, (x, y, side) in zip(names, (*corners, (1.0, corners[1][1], "top")), strict=True):
        said = wrapped(name.removeprefix(WEIGHT), 18)
        axes.text(x, y, said, ha="center", va=side, fontsize=7.5, color=SOFT)
    axes.set_xlim(-radius - 0.06, 1 + radius + 0.06)
    axes.set_ylim(-RATIO - 2.4 * radius, 2.4 * radius)
    axes.set_aspect("equal")
    axes.set_axis_off()
    axes.title.set_color(INK)


def _ink(colour: tuple[float, float, float]) -> str:
    """Dark letters on a light cell, light ones on a dark one."""
    red, green, blue = colour
    return INK if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"


def _letters(step: float) -> float:
    return min(8.0, 26 * step)


def _said(value: float, axis: Axis) -> str:
    """A number as a cell holds it: a rate in whole percent, anything else with two decimals."""
    text = f"{100 * value:.0f}" if axis.unit == "%" else f"{value:+.2f}"
    return text.replace("-", MINUS)
