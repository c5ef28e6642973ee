"""Means of bounded values whose intervals do not depend on which side one takes.

Resampling is seeded and depends on the order of clusters, so that renaming users, or naming the
other system "ours", would move an interval by its Monte Carlo error. Here clusters are ordered by
what they hold and a mean is always taken from its higher side: mirrored values (v -> low + high -
v) give mirrored figures, and renamed clusters the same ones, to the last bit.

Elsewhere: the intervals themselves (`intervals`, `top_k.hit_rate`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ppdbench.statistics.clusters import Clusters, cluster_totals
from ppdbench.statistics.intervals import Interval, cluster_bootstrap_mean
from ppdbench.statistics.top_k import hit_rate


def mirrored_mean(
    values: ArrayLike,
    clusters: Clusters,
    *,
    bounds: tuple[float, float] | None,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Interval:
    """`cluster_bootstrap_mean`, equal from both sides and under any names of the clusters.

    Args:
        values: shape (N,), finite, within `bounds`.
        clusters: cluster of each value, shape (N,).
        bounds: smallest and largest value possible: (0, 1) for a rate, (-1, 1) for a difference of
            rates; None of a quantity without any, which is mirrored at 0.
        confidence: two-sided coverage.
        resamples: bootstrap resamples.
        seed: seeds them.

    Raises:
        ValueError: shapes differ, a value is not finite, or one lies outside `bounds`.
    """

    def find(array: NDArray[np.float64], labels: NDArray[np.int64]) -> Interval:
        return cluster_bootstrap_mean(
            array, labels, confidence=confidence, resamples=resamples, seed=seed, bounds=bounds
        )

    return _mirrored(values, clusters, sum(bounds) if bounds else 0.0, find)


def mirrored_rate(
    values: ArrayLike,
    clusters: Clusters,
    *,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Interval:
    """`hit_rate` likewise: of values in [0, 1], Wilson's interval with one a cluster.

    Raises:
        ValueError: shapes differ, or a value is outside [0, 1].
    """

    def find(array: NDArray[np.float64], labels: NDArray[np.int64]) -> Interval:
        return hit_rate(array, labels, confidence=confidence, resamples=resamples, seed=seed)

    return _mirrored(values, clusters, 1.0, find)


def share(k: float, n: int) -> float:
    """Give k / n, n > 0, such that the share of n - k is 1 less this to the last bit."""
    # 1 - x is exact for x in [1/2, 1] and only there, so the larger share is the one divided.
    return k / n if 2 * k >= n else 1.0 - (n - k) / n


def sorted_totals(clusters: Clusters, values: ArrayLike) -> NDArray[np.float64]:
    """Totals of the clusters, (G,), by magnitude: one order under any names and for -values."""
    totals = cluster_totals(clusters, values)[:, 0]
    return np.asarray(totals[np.argsort(np.abs(totals), kind="stable")])


def _mirrored(
    values: ArrayLike,
    clusters: Clusters,
    middle: float,
    find: Callable[[NDArray[np.float64], NDArray[np.int64]], Interval],
) -> Interval:
    """`find` on the side with the higher mean; `middle` is the sum of both bounds."""
    array, labels = np.asarray(values, dtype=np.float64), np.asarray(clusters)
    rows = cluster_totals(labels, array)
    if not len(rows):
        return find(array, np.zeros(0, dtype=np.int64))
    order, key = _by_content(rows)
    other = np.column_stack([middle * rows[:, 1] - rows[:, 0], rows[:, 1]])
    other_order, other_key = _by_content(other)
    excess = float(2 * rows[:, 0].sum() - middle * rows[:, 1].sum())
    flip = excess < 0 or (excess == 0 and other_key > key)
    rank = np.empty(len(rows), dtype=np.int64)
    rank[other_order if flip else order] = np.arange(len(rows))
    _, group = np.unique(labels, return_inverse=True)
    found = find(middle - array if flip else array, rank[group])

    def seen(value: float | None) -> float | None:
        """From the side asked for, on the grid of numbers that survive mirroring."""
        if value is None:
            return None
        return middle - value if flip else middle - (middle - value)

    low, high = seen(found.ci_low), seen(found.ci_high)
    low, high = (high, low) if flip else (low, high)
    return replace(found, estimate=seen(found.estimate), ci_low=low, ci_high=high)


def _by_content(rows: NDArray[np.float64]) -> tuple[NDArray[np.intp], list[list[float]]]:
    """The order of rows by what they hold, and the rows in that order, to compare."""
    order = np.lexsort(rows.T)
    return order, rows[order].tolist()
