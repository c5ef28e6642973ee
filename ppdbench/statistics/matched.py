"""A curve's height where its abscissa has a given value: linear between two measured points.

Abscissa, heights and the value itself are all means over the same clusters, and a resample moves
them together. One that moves the value out of the segment takes the segment's nearer end: nothing
is said of what lies beyond two points. Elsewhere: the draws (`same_draws`), which two points
(whoever knows the curve).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ppdbench.statistics.intervals import FEW_CLUSTERS, Interval
from ppdbench.statistics.same_draws import SameDraws

Values = NDArray[np.float64]
"""One value a cluster, (G,); NaN is a cluster without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """Where a curve stands at another's abscissa."""

    height: Interval
    difference: Interval
    """The other's own height there, less the curve's."""


def matched(
    draws: SameDraws,
    *,
    at: Values,
    ours: Values,
    low: tuple[Values, Values],
    high: tuple[Values, Values],
) -> Matched:
    """Interpolate between two points of a curve, over the clusters that have all of it.

    height = y_low + w (y_high - y_low), w = (at - x_low) / (x_high - x_low) within 0 and 1, of
    means over clusters.

    Args:
        draws: resamples of the clusters.
        at: the abscissa that is matched.
        ours: the height there of what is compared with the curve.
        low: abscissa and height at one point of the curve.
        high: the same at its neighbour.
    """
    table = np.column_stack([at, *low, *high, ours])
    there = np.isnan(table).sum(axis=1) == 0
    columns = np.column_stack([np.where(there[:, None], table, 0.0), there])
    n = int(there.sum())
    if not n:
        blank = _interval(None, None, 0, draws.confidence, "no observations that both have")
        return Matched(height=blank, difference=blank)
    estimates = _heights(columns.sum(axis=0, keepdims=True))[0]
    reason = None
    if n < FEW_CLUSTERS:
        reason = f"{n} clusters: too few for the interval of an interpolation"
    height, difference = (
        _interval(float(estimate), bounds, n, draws.confidence, reason)
        for estimate, bounds in zip(estimates, draws.bounds(columns, _heights), strict=True)
    )
    return Matched(height=height, difference=difference)


def _heights(totals: NDArray[np.float64]) -> NDArray[np.float64]:
    """The curve's height and the difference, (B, 2), of totals (B, 7)."""
    at, x_low, y_low, x_high, y_high, ours = (totals[:, :6] / totals[:, 6:]).T
    width = x_high - x_low
    flat = width == 0
    share = np.where(flat, 0.0, (at - x_low) / np.where(flat, 1.0, width)).clip(0, 1)
    height = y_low + share * (y_high - y_low)
    return np.column_stack([height, ours - height])


def _interval(
    estimate: float | None,
    bounds: tuple[float, float] | None,
    n: int,
    confidence: float,
    reason: str | None,
) -> Interval:
    if bounds is None and reason is None:
        reason = "it is the same in every resample: how far it may be off cannot be known"
    return Interval.of(estimate, bounds, n=n, n_clusters=n, confidence=confidence, reason=reason)
