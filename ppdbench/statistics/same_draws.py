"""Many figures of the same few clusters, with intervals from one set of resamples.

Where hundreds of figures rest on the same captions, the draws are made once; figures then move
together from resample to resample, and a resample costs a matrix product. It keeps as many numbers
as there are clusters times resamples, so it is for hundreds of clusters, not for thousands.
Elsewhere: one figure at a time (`intervals`), BCa levels (`bootstrap`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ppdbench.statistics.bootstrap import bca_levels
from ppdbench.statistics.intervals import FEW_CLUSTERS, Interval, cluster_bootstrap_mean

Statistics = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Totals (B, K) -> statistics (B, S)."""


class SameDraws:
    """Resamples of G clusters, drawn once."""

    def __init__(
        self, clusters: int, *, confidence: float = 0.95, resamples: int = 10_000, seed: int = 0
    ) -> None:
        """`clusters`: G; what is asked for later has one row for each, in the same order."""
        self.confidence = confidence
        self._clusters, self._resamples, self._seed = clusters, resamples, seed
        self._counts = np.zeros((resamples, clusters))
        if clusters:
            rng = np.random.default_rng(seed)
            even = np.full(clusters, 1 / clusters)
            self._counts[:] = rng.multinomial(clusters, even, size=resamples)

    def bounds(
        self, columns: NDArray[np.float64], statistics: Statistics
    ) -> list[tuple[float, float] | None]:
        """BCa bounds of S statistics of the columns' totals, in order.

        None where the bootstrap says nothing: fewer than `FEW_CLUSTERS` clusters in any column, no
        spread, or a statistic that is undefined in some resample.

        Args:
            columns: (G, K), finite; 0 for a cluster that is absent.
            statistics: of totals.
        """
        if np.count_nonzero(columns.any(axis=1)) < FEW_CLUSTERS:
            return [None] * statistics(columns.sum(axis=0, keepdims=True)).shape[1]
        whole = columns.sum(axis=0, keepdims=True)
        with np.errstate(divide="ignore", invalid="ignore"):
            estimates = statistics(whole)[0]
            draws = statistics(self._counts @ columns)
            left_out = statistics((whole - columns)[columns.any(axis=1)])
        return [
            _bounds(float(estimate), draws[:, s], left_out[:, s], self.confidence)
            for s, estimate in enumerate(estimates)
        ]

    def mean(self, values: ArrayLike) -> Interval:
        """Mean of one value a cluster, (G,); NaN is a cluster without one.

        Few clusters, and those that all agree, are treated as by `cluster_bootstrap_mean`.

        Raises:
            ValueError: another number of values, or one is infinite.
        """
        array = np.asarray(values, dtype=np.float64)
        if array.shape != (self._clusters,) or np.isinf(array).any():
            raise ValueError(f"{self._clusters} finite values are asked for, or NaN")
        there = ~np.isnan(array)
        columns = np.column_stack([np.where(there, array, 0.0), there])
        n = int(there.sum())
        found = self.bounds(columns, _means)[0] if n else None
        if found is None:
            return cluster_bootstrap_mean(
                array[there],
                np.flatnonzero(there),
                confidence=self.confidence,
                resamples=self._resamples,
                seed=self._seed,
            )
        mean = float(array[there].mean())
        return Interval.of(mean, found, n=n, n_clusters=n, confidence=self.confidence)


def _means(totals: NDArray[np.float64]) -> NDArray[np.float64]:
    return totals[:, :1] / totals[:, 1:]


def _bounds(
    estimate: float, draws: NDArray[np.float64], left_out: NDArray[np.float64], confidence: float
) -> tuple[float, float] | None:
    if not (np.isfinite(draws).all() and np.isfinite(left_out).all() and np.isfinite(estimate)):
        return None
    if np.ptp(draws) <= max(1.0, abs(estimate)) * 1e-12:
        return None
    low, high = np.quantile(draws, bca_levels(estimate, draws, left_out, confidence))
    return float(low), float(high)
