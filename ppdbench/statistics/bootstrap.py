"""The BCa bootstrap over clusters, on totals only, vectorised.

Every statistic here is a function of totals over clusters (a mean is sum / count), so a resample
is one vector of totals. Where clusters repeat (wins, ties and losses) a resample is a single
multinomial draw; elsewhere rows are gathered in blocks that fit the cache.

Source: Efron (1987), "Better bootstrap confidence intervals", JASA 82, 171-185.
Elsewhere: when a bootstrap is trusted, and what stands in for it (`intervals`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Statistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Totals (B, K) -> statistic (B,)."""

DISTINCT_ROWS = 64
"""Up to this many distinct clusters a multinomial draw is the cheaper way to resample."""
BLOCK = 1 << 18
"""Rows gathered at once: about 2 MiB a column."""


def resampled_totals(rows: NDArray[np.float64], resamples: int, seed: int) -> NDArray[np.float64]:
    """Draw clusters with replacement and sum them.

    Args:
        rows: totals a cluster, shape (G, K), G >= 1.
        resamples: B, how often G clusters are drawn.
        seed: seeds the draws.

    Returns:
        Totals a resample, shape (B, K).
    """
    rng = np.random.default_rng(seed)
    size = len(rows)
    distinct, counts = np.unique(rows, axis=0, return_counts=True)
    if len(distinct) <= DISTINCT_ROWS:
        drawn = rng.multinomial(size, counts / size, size=resamples)
        return np.asarray(drawn @ distinct, dtype=np.float64)
    totals = np.empty((resamples, rows.shape[1]))
    fixed = (rows == rows[0]).all(axis=0)  # equal cluster sizes: nothing to gather
    totals[:, fixed] = rows[0, fixed] * size
    columns = [(k, np.ascontiguousarray(rows[:, k])) for k in np.flatnonzero(~fixed)]
    dtype = np.uint16 if size <= 1 << 16 else np.uint32
    block = max(1, BLOCK // size)
    for start in range(0, resamples, block):
        stop = min(start + block, resamples)
        drawn = rng.integers(0, size, size=(stop - start, size), dtype=dtype).astype(np.intp)
        for k, column in columns:
            totals[start:stop, k] = column.take(drawn).sum(axis=1)
    return totals


def bca_bounds(
    rows: NDArray[np.float64],
    statistic: Statistic,
    *,
    confidence: float,
    resamples: int,
    seed: int,
) -> tuple[float, float] | None:
    """The bias-corrected and accelerated interval of a statistic of cluster totals.

    Args:
        rows: totals a cluster, shape (G, K), G >= 2.
        statistic: totals (B, K) -> (B,).
        confidence: two-sided coverage, such as 0.95.
        resamples: bootstrap resamples.
        seed: seeds them.

    Returns:
        (low, high), or None where the bootstrap says nothing: no spread among the resamples, or a
        statistic that is undefined in some of them.
    """
    whole = rows.sum(axis=0, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        estimate = float(statistic(whole)[0])
        draws = statistic(resampled_totals(rows, resamples, seed))
        left_out = statistic(whole - rows)  # the jackknife: each cluster absent once
    if not (np.isfinite(draws).all() and np.isfinite(left_out).all() and np.isfinite(estimate)):
        return None
    scale = max(1.0, abs(estimate)) * 1e-12
    if np.ptp(draws) <= scale:
        return None
    levels = bca_levels(estimate, draws, left_out, confidence)
    low, high = np.quantile(draws, levels)
    return float(low), float(high)


def bca_levels(
    estimate: float,
    draws: NDArray[np.float64],
    left_out: NDArray[np.float64],
    confidence: float,
) -> NDArray[np.float64]:
    """Which quantiles of the draws are the BCa bounds: (low, high), each in [0, 1].

    Args:
        estimate: the statistic of the whole.
        draws: of each resample, shape (B,), finite and not all equal.
        left_out: of the whole without each cluster, shape (G,), finite.
        confidence: two-sided coverage, such as 0.95.
    """
    scale = max(1.0, abs(estimate)) * 1e-12
    below = (np.mean(draws < estimate - scale) + np.mean(draws <= estimate + scale)) / 2
    edge = 0.5 / len(draws)  # keeps the bias finite when every draw lies on one side
    bias = stats.norm.ppf(np.clip(below, edge, 1 - edge))
    influence = left_out.mean() - left_out
    spread = np.sum(influence**2)
    acceleration = np.sum(influence**3) / (6 * spread**1.5) if spread > 0 else 0.0
    tail = (1 - confidence) / 2
    z = bias + stats.norm.ppf([tail, 1 - tail])
    denominator = 1 - acceleration * z
    if np.any(denominator <= 0):  # the correction has no meaning there: plain percentiles
        return np.array([tail, 1 - tail])
    return np.asarray(stats.norm.cdf(bias + z / denominator))
