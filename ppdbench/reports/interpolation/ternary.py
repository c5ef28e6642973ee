"""Ternary plots as a honeycomb: one cell a mixture of three rewards, coloured by a figure.

The first reward's corner is on top, the second's on the left, the third's on the right; a cell is
what lies nearer to its mixture than to any other, so nothing is shown between the mixtures that
were drawn. Elsewhere: the section (`interpolation.section`), the same on paper
(`files.draw_ternary`), the layout (`templates/interpolation.html.j2`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ppdbench.reports.scales import corners

WIDTH = 300
"""Of the drawing, in pixels where the page has room for it."""
HEAD, FOOT = 24, 26
"""Room for the names of the corners."""
WRITTEN = 40
"""Cells of at least this width have their figure written in."""
RATIO = math.sqrt(3) / 2
"""Height of a row of cells over their width."""
GAP = 0.96
"""Share of a cell that is coloured: neighbours stay apart."""

Weights = tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A mixture and what is shown of it."""

    weights: Weights
    value: float | None
    text: str
    """The figure as written into the cell."""
    said: str
    """Mixture and figure in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hexagon:
    """One cell of the honeycomb."""

    x: float
    y: float
    corners: str
    tint: float | None
    """-100 to 100: how far along the colours of falling or rising; None where nothing is known."""
    text: str
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ternary:
    """One plot."""

    title: str
    cells: tuple[Hexagon, ...]
    frame: str
    """Around the cell that is pointed out; empty where none is."""
    names: tuple[tuple[float, float, str, str], ...]
    """x, y, anchor and name of each corner."""
    size: float
    """Of the letters in the cells; 0 where they have no room."""
    width: int
    height: float


def position(weights: Weights) -> tuple[float, float]:
    """A mixture in the triangle of side 1: x to the right, y downwards from the first corner."""
    first, _, third = weights
    return third + first / 2, (1 - first) * RATIO


def ternary(
    title: str,
    names: Sequence[str],
    points: Sequence[Point],
    divisions: int,
    *,
    most: float,
    outlined: int | None = None,
) -> Ternary | None:
    """Lay out a plot; None where there are not three rewards or no figure is known.

    Args:
        title: what is shown.
        names: the three corners.
        points: the mixtures; their figures are tinted from -`most` to `most`.
        divisions: steps from a weight of 0 to one of 1.
        most: the figure of the strongest colour, above 0.
        outlined: which reward's corner is framed, if any.
    """
    if len(names) != 3 or all(point.value is None for point in points):
        return None
    width = WIDTH / (divisions + 1)
    radius = width / math.sqrt(3)
    side = width * divisions
    cells, frame = [], ""
    for point in points:
        x, y = position(point.weights)
        at = (round(width / 2 + x * side, 1), round(HEAD + radius + y * side, 1))
        outline = _outline(at, radius * GAP)
        if outlined is not None and point.weights[outlined] > 1 - 1e-9:
            frame = outline
        cells.append(
            Hexagon(
                x=at[0],
                y=at[1],
                corners=outline,
                tint=None if point.value is None else round(_tint(point.value, most), 1),
                text=point.text,
                said=point.said,
            )
        )
    bottom = HEAD + 2 * radius + side * RATIO
    return Ternary(
        title=title,
        cells=tuple(cells),
        frame=frame,
        names=(
            (WIDTH / 2, HEAD - 9, "middle", names[0]),
            (0, round(bottom + FOOT - 9, 1), "start", names[1]),
            (WIDTH, round(bottom + FOOT - 9, 1), "end", names[2]),
        ),
        size=round(min(14.0, width * 0.22), 1) if width >= WRITTEN else 0.0,
        width=WIDTH,
        height=round(bottom + FOOT, 1),
    )


def _tint(value: float, most: float) -> float:
    return 100 * min(1.0, max(-1.0, value / most))


def _outline(at: tuple[float, float], radius: float) -> str:
    """A hexagon that stands on a corner."""
    angles = (math.radians(30 + 60 * number) for number in range(6))
    return corners(
        (round(at[0] + radius * math.cos(a), 1), round(at[1] + radius * math.sin(a), 1))
        for a in angles
    )
