"""A heat map with its numbers written in: one thing against another.

Reads the columns `panel`, `row`, `column`, `value`, `ci_low`, `ci_high`, and `outlined` (true draws
a frame around the field). The x axis' unit, ends and line say how numbers read, where the colours
end and where they turn; its label names the columns, the y axis' label the rows. Elsewhere: the
contract (`files.figure`), looks (`files.style`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ppdbench.reports.figures import EN_DASH
from ppdbench.reports.files.figure import Axis, Figure, Row
from ppdbench.reports.files.style import INK, WIDTH, in_unit, panels, value_of, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

COLOURS = "PuOr"
"""Diverging, and told apart by colour-blind readers; light in the middle."""
ACROSS = 2


def draw(figure: Figure, canvas: Canvas) -> None:
    """Draw the panels on an empty canvas and set its size."""
    found = panels(figure.rows)
    across = min(ACROSS, len(found))
    down = -(-len(found) // across)
    lines = max(len({row["row"] for row in rows}) for rows in found.values())
    canvas.set_size_inches(min(WIDTH, 5.6 * across), down * (0.85 + 0.52 * lines))
    grid = canvas.subplots(down, across, squeeze=False)
    for number, (title, rows) in enumerate(found.items()):
        axes = grid[number // across][number % across]
        axes.set_title(wrapped(title, 46))
        _panel(axes, rows, figure.x)
        axes.set_xlabel(wrapped(figure.x.label, 60))
        axes.set_ylabel(wrapped(figure.y.label, 30))
    for number in range(len(found), down * across):
        grid[number // across][number % across].set_visible(False)


def _panel(axes: Axes, rows: Sequence[Row], axis: Axis) -> None:
    from matplotlib import colormaps
    from matplotlib.colors import TwoSlopeNorm
    from matplotlib.patches import Rectangle

    lines = list(dict.fromkeys(str(row["row"]) for row in rows))
    columns = list(dict.fromkeys(str(row["column"]) for row in rows))
    low, high = axis.low or 0.0, 1.0 if axis.high is None else axis.high
    middle = (low + high) / 2 if axis.line is None else axis.line
    norm, colours = TwoSlopeNorm(middle, low, high), colormaps[COLOURS]
    for row in rows:
        x, y = columns.index(str(row["column"])), lines.index(str(row["row"]))
        value = value_of(row, "value")
        # The ends of the map are too dark to be written on: its middle is used.
        shade = 0.2 + 0.6 * float(norm(value)) if value is not None else 0.5
        axes.add_patch(
            Rectangle(
                (x - 0.48, y - 0.46),
                0.96,
                0.92,
                facecolor=colours(shade) if value is not None else "white",
                edgecolor=INK if row.get("outlined") is True else "none",
                linewidth=1.6,
            )
        )
        axes.text(x, y, _said(row, value, axis), ha="center", va="center", fontsize=8.5)
    axes.set_xlim(-0.52, len(columns) - 0.48)
    axes.set_ylim(len(lines) - 0.48, -0.52)
    axes.set_xticks(range(len(columns)), [wrapped(name, 16) for name in columns])
    axes.set_yticks(range(len(lines)), [wrapped(name, 20) for name in lines])
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _said(row: Row, value: float | None, axis: Axis) -> str:
    if value is None:
        return "not measured"
    decimals = 1 if axis.unit else None
    low, high = value_of(row, "ci_low"), value_of(row, "ci_high")
    if low is None or high is None:
        return in_unit(value, axis, decimals)
    ends = EN_DASH.join(in_unit(end, axis, decimals).removesuffix("%") for end in (low, high))
    return f"{in_unit(value, axis, decimals)}\n{ends}"
