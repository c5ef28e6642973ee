"""Line plots as points of an SVG: drawn by the page in its own colours, so that no image is needed.

Coordinates are within a fixed box, x to the right and y downwards. Elsewhere: bars (`plots`), the
layout (`templates/`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 560, 260
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 12, 34
"""Room around the plot for its labels."""


_Scale = Callable[[float], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One curve: its corners, its band where it has intervals, and a dot a value."""

    name: str
    kind: str
    """A class of the style sheet."""
    points: str
    band: str
    dots: tuple[tuple[float, float, str], ...]
    """x, y and what the dot says when asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """Curves over common axes."""

    lines: tuple[Line, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    bottom: int = HEIGHT - BOTTOM


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One curve's values."""

    name: str
    kind: str
    values: Sequence[tuple[float, float, float | None, float | None]]
    """x, rate, and its interval or None; x is a place on the axis, not its label."""


def plot(series: Sequence[Series], labels: Sequence[str], *, low: float = 0.0) -> Plot | None:
    """Lay out rates over equally spaced places.

    Args:
        series: the curves; x counts places from 0.
        labels: what stands below each place.
        low: the lowest rate shown; the highest is 1.

    Returns:
        None where no curve has a value.
    """
    if len(labels) < 2 or not any(one.values for one in series):
        return None

    def across(x: float) -> float:
        return round(LEFT + x / (len(labels) - 1) * (WIDTH - LEFT - RIGHT), 1)

    def down(y: float) -> float:
        share = (min(1.0, max(low, y)) - low) / (1 - low)
        return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)

    steps = [low + (1 - low) * step / 4 for step in range(5)]
    return Plot(
        lines=tuple(_line(one, across, down) for one in series if one.values),
        x_ticks=tuple((across(place), label) for place, label in enumerate(labels)),
        y_ticks=tuple((down(step), f"{100 * step:.0f}%") for step in steps),
    )


def _line(one: Series, across: _Scale, down: _Scale) -> Line:
    edges = [(x, a, b) for x, _, a, b in one.values if a is not None and b is not None]
    upper = [(across(x), down(high)) for x, _, high in edges]
    lower = [(across(x), down(low)) for x, low, _ in reversed(edges)]
    return Line(
        name=one.name,
        kind=one.kind,
        points=_joined((across(x), down(y)) for x, y, _, _ in one.values),
        band=_joined([*upper, *lower]),
        dots=tuple(
            (across(x), down(y), f"{one.name}: {100 * y:.1f}%") for x, y, _, _ in one.values
        ),
    )


def _joined(corners: Iterable[tuple[float, float]]) -> str:
    """Corners as an SVG's `points` are written."""
    return " ".join(f"{x:g},{y:g}" for x, y in corners)
