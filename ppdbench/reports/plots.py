"""Where marks lie: bars, whiskers and reference lines as percent of their track.

The page draws them with CSS in its own colours, so they follow its theme and width, scale with
its text and need no image. Elsewhere: the numbers beside them (`figures`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ppdbench.reports.figures import Cell, is_number

Axis = tuple[float, float]
"""The values at the left and right ends of a track."""

RATE_AXIS: Axis = (0.0, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bar with its whisker; all in percent of the track's width, within [0, 100]."""

    left: float
    width: float
    middle: float
    """Where the value lies."""
    low: float | None
    """Where the whisker starts; None without an interval."""
    span: float | None
    clipped: bool
    """Whether the interval runs out of the axis."""


def bar(cell: Cell | None, key: str, axis: Axis = RATE_AXIS) -> Bar | None:
    """The bar of a cell, from 0 to its value; None where the value is undefined."""
    if cell is None or not is_number(cell.get(key)):
        return None
    zero, middle = position(0.0, axis), position(cell[key], axis)
    low = high = None
    clipped = False
    if is_number(cell.get("ci_low")) and is_number(cell.get("ci_high")):
        low, high = position(cell["ci_low"], axis), position(cell["ci_high"], axis)
        clipped = cell["ci_low"] < axis[0] or cell["ci_high"] > axis[1]
    return Bar(
        left=min(zero, middle),
        width=round(abs(middle - zero), 2),
        middle=middle,
        low=low,
        span=None if low is None or high is None else round(high - low, 2),
        clipped=clipped,
    )


def position(value: float, axis: Axis) -> float:
    """A value's place on a track in percent, held within it."""
    share = (value - axis[0]) / (axis[1] - axis[0])
    return round(100 * min(1.0, max(0.0, share)), 2)


def ratio_axis(cells: Iterable[Cell | None], key: str, *, widest: float = 2.0) -> Axis:
    """An axis for ratios that shows 0 and 1 and every interval, up to `widest` either way."""
    ends = [0.0, 1.1]
    for cell in cells:
        for name in (key, "ci_low", "ci_high"):
            value = (cell or {}).get(name)
            if is_number(value):
                ends.append(1.04 * value)
    return max(-widest, min(ends)), min(widest, max(ends))


def tint(cell: Cell | None, key: str = "win_rate") -> float | None:
    """A heat map's colour: -100 at a rate of 0, 0 at 50%, 100 at 1; None where undefined."""
    value = (cell or {}).get(key)
    return round(200 * (min(1.0, max(0.0, value)) - 0.5), 1) if is_number(value) else None
