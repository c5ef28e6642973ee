"""Where a value lies on an axis of a drawing of the page, and round numbers to write beside it.

Coordinates are those of an SVG. A root axis is drawn by the square root of its values: it begins at
0, where a logarithm has no place, and keeps small values apart from each other. Elsewhere: the
drawings (`interpolation.weight_steps`, `tradeoff.divergence_plot`), equally spaced places
(`curves`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ppdbench.reports.figures import MINUS, is_number

ROUND = (1.0, 2.0, 2.5, 5.0, 10.0)
"""Steps between ticks, times a power of ten."""
ROUND_ROOTS = (1.0, 2.0, 5.0, 10.0)
"""Ticks of a root axis, times a power of ten."""
MARGIN = 0.06
"""Room beyond the outermost values, as a share of their range."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """One axis: values from `low` to `high` at coordinates from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float
    root: bool = False

    def __call__(self, value: float) -> float:
        """The coordinate of a value, held within the axis."""
        low, high, at = (
            (math.sqrt(max(0.0, v)) if self.root else v) for v in (self.low, self.high, value)
        )
        share = (min(high, max(low, at)) - low) / (high - low)
        return round(self.start + share * (self.end - self.start), 1)


def around(values: Iterable[float | None], *, zero: bool = True) -> tuple[float, float]:
    """Ends of an axis that shows all of these numbers, and 0 unless told otherwise.

    Args:
        values: what must be seen; what is no number counts for nothing.
        zero: whether 0 must be seen, too.

    Returns:
        Two different numbers, the lower one first.
    """
    known = [float(value) for value in values if is_number(value)] + [0.0] * zero
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    room = MARGIN * (high - low) or 0.5
    return low - room, high + room


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers between two ends, equally spaced, as many as there is room for."""
    raw = (high - low) / max(1, most)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * part for part in ROUND if power * part >= raw * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def root_ticks(high: float, least: float = 0.11) -> list[float]:
    """Round numbers from 0 for a root axis, none nearer to the next one than a share of its length.

    Args:
        high: the axis' end; it starts at 0.
        least: the share of the axis that two ticks are apart at least.
    """
    top = math.floor(math.log10(high)) if high > 0 else 0
    offered = [10.0**power * part for power in (top, top - 1, top - 2) for part in ROUND_ROOTS]
    kept: list[float] = []
    for value in sorted({round(v, 12) for v in offered if v <= high}, reverse=True):
        room = math.sqrt(kept[-1]) - math.sqrt(value) if kept else math.inf
        if room >= least * math.sqrt(high) and math.sqrt(value) >= least * math.sqrt(high):
            kept.append(value)
    return [0.0, *reversed(kept)]


def labels(values: Sequence[float], *, plus: bool = False) -> list[str]:
    """Ticks as printed: as many decimals as the finest of them needs."""
    decimals = max((_decimals(value) for value in values), default=0)
    signs = [MINUS if value < 0 else "+" if plus and value > 0 else "" for value in values]
    return [
        f"{sign}{abs(value):.{decimals if value else 0}f}"
        for sign, value in zip(signs, values, strict=True)
    ]


def corners(places: Iterable[tuple[float, float]]) -> str:
    """Corners as an SVG's `points` are written."""
    return " ".join(f"{x:g},{y:g}" for x, y in places)


def _decimals(value: float) -> int:
    text = f"{value:.10f}".rstrip("0")
    return len(text.partition(".")[2])
