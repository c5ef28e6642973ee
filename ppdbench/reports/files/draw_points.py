"""Points with intervals, a line a thing: the drawing of win rates, means and differences.

Reads the columns `panel`, `row` (what the line is), `series` (colour and mark), `value`, `ci_low`,
`ci_high`, and `reason` where there is no value. Values lie along x; the y axis' label is not used.
Elsewhere: the contract (`files.figure`), looks (`files.style`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ppdbench.reports.files.figure import Axis, Figure, Row
from ppdbench.reports.files.style import (
    SOFT,
    WIDTH,
    Hand,
    hands,
    in_unit,
    panels,
    scale,
    value_of,
    wrapped,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

ACROSS = 3
"""Panels beside each other at most."""
LETTERS = 22
"""Letters of a line's name before it is broken."""
SPREAD = 0.62
"""Share of a line's height over which its series lie."""


def draw(figure: Figure, canvas: Canvas) -> None:
    """Draw the panels on an empty canvas, all in one order of lines, and set its size."""
    found, looks = panels(figure.rows), hands(figure.rows)
    lines = list(dict.fromkeys(str(row["row"]) for row in figure.rows))
    across = min(ACROSS, len(found))
    down = -(-len(found) // across)
    per_line = 0.24 + 0.14 * (len(looks) - 1)
    canvas.set_size_inches(WIDTH, down * (0.62 + per_line * len(lines)) + 0.15)
    grid = canvas.subplots(down, across, squeeze=False, sharey=True)
    for number, (title, rows) in enumerate(found.items()):
        axes = grid[number // across][number % across]
        _panel(axes, rows, lines, looks, figure.x)
        axes.set_title(wrapped(title, 30 if across > 2 else 46))
        last = number + across >= len(found)
        scale(axes, figure.x, "x")
        if not last:
            axes.set_xlabel("")
    for number in range(len(found), down * across):
        grid[number // across][number % across].set_visible(False)


def _panel(
    axes: Axes, rows: Sequence[Row], lines: Sequence[str], looks: Mapping[str, Hand], axis: Axis
) -> None:
    places = {name: place for place, name in enumerate(lines)}
    order = {name: number for number, name in enumerate(looks)}
    step = SPREAD / max(1, len(looks))
    for row in rows:
        series = str(row.get("series") or "")
        place = places[str(row["row"])] + step * (order[series] - (len(looks) - 1) / 2)
        _point(axes, row, place, looks[series], axis)
    axes.set_yticks(range(len(lines)), [wrapped(name, LETTERS) for name in lines])
    axes.set_ylim(len(lines) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(visible=True, axis="x")


def _point(axes: Axes, row: Row, place: float, look: Hand, axis: Axis) -> None:
    value, low, high = (value_of(row, key) for key in ("value", "ci_low", "ci_high"))
    if value is None:
        said = wrapped(str(row.get("reason") or "not measured"), 44)
        _words(axes, 0.02, place, said, "left")
        return
    if low is not None and high is not None:
        axes.plot([low, high], [place, place], color=look.colour, linewidth=1.8)
    beyond = (axis.high is not None and value > axis.high) - (
        axis.low is not None and value < axis.low
    )
    if beyond:  # said in words at the end that it lies beyond
        arrow = "\N{RIGHTWARDS ARROW}" if beyond > 0 else "\N{LEFTWARDS ARROW}"
        _words(
            axes,
            0.98 if beyond > 0 else 0.02,
            place - 0.22,
            f"{in_unit(value, axis)} {arrow}",
            "right" if beyond > 0 else "left",
        )
        return
    axes.plot(
        [value],
        [place],
        marker=look.mark,
        markersize=5,
        markerfacecolor="white",
        markeredgecolor=look.colour,
        markeredgewidth=1.6,
        linestyle="none",
        clip_on=False,  # a mark at the very end is whole
        zorder=4,
    )


def _words(axes: Axes, across: float, place: float, said: str, side: str) -> None:
    axes.text(
        across,
        place,
        said,
        transform=axes.get_yaxis_transform(),
        ha=side,
        va="center",
        color=SOFT,
        fontstyle="italic",
        fontsize=7,
    )
