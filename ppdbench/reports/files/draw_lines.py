"""Lines over a numeric axis, with bands of intervals: curves over shots, K, checkpoints, weights.

Reads the columns `panel`, `series` (colour, mark and dash), `x`, `value`, `ci_low`, `ci_high`; and
where they are there `x_ci_low`, `x_ci_high` (the point then has a cross of two intervals in place
of a band), `x_label` (what stands below the place x, in place of numbers) and `label` (a word
beside the point). Points of a series are joined in the order of the rows. Elsewhere: the contract
(`files.figure`), looks (`files.style`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ppdbench.reports.files.figure import Figure, Row
from ppdbench.reports.files.style import (
    SOFT,
    WIDTH,
    Hand,
    clean,
    hands,
    panels,
    scale,
    value_of,
    wrapped,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

ACROSS = 2
MARKED = 12
"""Curves of more points than this have no marks."""


def draw(figure: Figure, canvas: Canvas) -> None:
    """Draw the panels on an empty canvas and set its size."""
    found, looks = panels(figure.rows), hands(figure.rows)
    across = min(ACROSS, len(found))
    down = -(-len(found) // across)
    canvas.set_size_inches(WIDTH, down * (3.3 if across == 1 else 2.6))
    grid = canvas.subplots(down, across, squeeze=False)
    for number, (title, rows) in enumerate(found.items()):
        axes = grid[number // across][number % across]
        _panel(axes, rows, looks)
        axes.set_title(wrapped(title, 46))
        axes.grid(visible=True)
        _places(axes, rows)
        scale(axes, figure.x, "x")
        scale(axes, figure.y, "y")
    for number in range(len(found), down * across):
        grid[number // across][number % across].set_visible(False)


def _panel(axes: Axes, rows: Sequence[Row], looks: Mapping[str, Hand]) -> None:
    series: dict[str, list[tuple[float, float, Row]]] = {}
    for row in rows:
        if (x := value_of(row, "x")) is not None and (y := value_of(row, "value")) is not None:
            series.setdefault(str(row.get("series") or ""), []).append((x, y, row))
    for name, own in series.items():
        look = looks[name]
        axes.plot(
            [x for x, _, _ in own],
            [y for _, y, _ in own],
            color=look.colour,
            linestyle=look.dash,
            linewidth=1.8,
            marker=look.mark if len(own) <= MARKED else "",
            markersize=5,
            markerfacecolor="white",
            markeredgewidth=1.5,
            zorder=3,
        )
        _intervals(axes, [row for _, _, row in own], look)
        for x, y, row in own:
            if row.get("label"):
                axes.annotate(
                    clean(str(row["label"])),
                    (x, y),
                    xytext=(5, 4),
                    textcoords="offset points",
                    fontsize=7,
                    color=SOFT,
                )


def _intervals(axes: Axes, rows: Sequence[Row], look: Hand) -> None:
    """A band where x is exact, else a cross a point."""
    bounds = [
        (x, low, high)
        for row in rows
        if (x := value_of(row, "x")) is not None
        and (low := value_of(row, "ci_low")) is not None
        and (high := value_of(row, "ci_high")) is not None
    ]
    crossed = any(value_of(row, "x_ci_low") is not None for row in rows)
    if not crossed and len(bounds) > 1:
        places, lows, highs = zip(*bounds, strict=True)
        axes.fill_between(places, lows, highs, color=look.colour, alpha=0.16, linewidth=0)
        return
    axes.vlines(
        [x for x, _, _ in bounds],
        [low for _, low, _ in bounds],
        [high for _, _, high in bounds],
        color=look.colour,
        linewidth=1.2,
    )
    for row in rows:
        low, high, y = (value_of(row, key) for key in ("x_ci_low", "x_ci_high", "value"))
        if low is not None and high is not None and y is not None:
            axes.hlines([y], [low], [high], color=look.colour, linewidth=1.2)


def _places(axes: Axes, rows: Sequence[Row]) -> None:
    """Words below places, where the rows give them."""
    words = {
        x: clean(str(row["x_label"]))
        for row in rows
        if (x := value_of(row, "x")) is not None and row.get("x_label") not in (None, "")
    }
    if words:
        axes.set_xticks(list(words), list(words.values()))
