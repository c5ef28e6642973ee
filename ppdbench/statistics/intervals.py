"""Intervals of rates, of means and of ratios of means, that stay honest when data are few.

A bootstrap needs clusters that differ and enough of them. Below `FEW_CLUSTERS`, or where all
agree (ten wins of ten), a Wilson interval with one observation a cluster stands in for quantities
with known bounds, Student's t for those without; and where nothing honest can be said, the bounds
are `None` and `reason` says why. Clusters of unequal size count there as fewer (Kish 1965, Survey
Sampling, section 11.7): one that holds most of the observations is most of the mean.
Elsewhere: resampling itself (`bootstrap`), tests (`permutation`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from ppdbench.statistics.bootstrap import bca_bounds
from ppdbench.statistics.clusters import Clusters, cluster_totals

FEW_CLUSTERS = 10
"""Below this many clusters a bootstrap interval is too narrow to print."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """An estimate between two bounds; what is unknown is None, and `reason` says why."""

    estimate: float | None
    ci_low: float | None
    ci_high: float | None
    n: int
    """Observations."""
    n_clusters: int
    confidence: float
    method: str
    """How the bounds were found; "none" where there are none."""
    reason: str | None = None

    @classmethod
    def of(
        cls,
        estimate: float | None,
        bounds: tuple[float, float] | None,
        *,
        n: int,
        n_clusters: int,
        confidence: float,
        method: str = "BCa cluster bootstrap",
        reason: str | None = None,
    ) -> Interval:
        """An estimate with its bounds; without bounds no method found any."""
        low, high = bounds or (None, None)
        return cls(
            estimate=estimate,
            ci_low=low,
            ci_high=high,
            n=n,
            n_clusters=n_clusters,
            confidence=confidence,
            method=method if bounds else "none",
            reason=reason,
        )

    def fields(self, name: str) -> dict[str, float | None]:
        """The estimate under a name and its bounds beside it, as files hold them."""
        return {
            name: self.estimate,
            f"{name}_ci_low": self.ci_low,
            f"{name}_ci_high": self.ci_high,
        }


def wilson(k: float, n: int, *, confidence: float = 0.95) -> Interval:
    """Wilson's score interval of k successes in n independent trials; k may count half ties.

    Source: Wilson (1927), JASA 22, 209-212; without continuity correction.

    Raises:
        ValueError: not 0 <= k <= n.
    """
    if not 0 <= k <= n:
        raise ValueError(f"{k} successes in {n} trials")
    if n == 0:
        return _refuse(None, 0, 0, confidence, "no observations")
    return _interval(k / n, _wilson_bounds(k, n, confidence), n, n, confidence, "Wilson")


def exact(k: int, n: int, *, confidence: float = 0.95) -> Interval:
    """Clopper and Pearson's interval of k successes in n independent trials; never too narrow.

    Source: Clopper and Pearson (1934), Biometrika 26, 404-413, by `scipy.stats.binomtest`. It
    covers at least what it says, mostly more: Wilson's is the one whose coverage is right on
    average. It counts whole successes; half ties need `wilson`.

    Raises:
        ValueError: not 0 <= k <= n, or not whole numbers.
    """
    if not 0 <= k <= n or k != int(k) or n != int(n):
        raise ValueError(f"{k} successes in {n} trials")
    if n == 0:
        return _refuse(None, 0, 0, confidence, "no observations")
    found = stats.binomtest(int(k), int(n)).proportion_ci(confidence, method="exact")
    bounds = (float(found.low), float(found.high))
    return _interval(k / n, bounds, n, n, confidence, "Clopper-Pearson")


def cluster_bootstrap_mean(
    values: ArrayLike,
    clusters: Clusters,
    *,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
    bounds: tuple[float, float] | None = None,
) -> Interval:
    """Mean of the values with a BCa interval that resamples whole clusters.

    Args:
        values: shape (N,), finite.
        clusters: cluster of each value, shape (N,).
        confidence: two-sided coverage.
        resamples: bootstrap resamples.
        seed: seeds them.
        bounds: the smallest and largest value possible, such as (0, 1) for a rate and (-1, 1) for
            a difference of rates: gives an honest interval also where all values are equal.

    Raises:
        ValueError: shapes differ, a value is not finite, or one lies outside `bounds`.
    """
    rows = cluster_totals(clusters, values)
    n, size = int(rows[:, -1].sum()), len(rows)
    if n == 0:
        return _refuse(None, 0, 0, confidence, "no observations")
    mean = float(rows[:, 0].sum() / n)
    if bounds is not None:
        array = np.asarray(values, dtype=np.float64)
        if array.min() < bounds[0] or array.max() > bounds[1]:
            raise ValueError(f"values outside their bounds {bounds}")
    if size >= FEW_CLUSTERS:
        found = bca_bounds(rows, _mean, confidence=confidence, resamples=resamples, seed=seed)
        if found is not None:
            method = "BCa cluster bootstrap"
            return _interval(mean, found, n, size, confidence, method)
    means = rows[:, 0] / rows[:, -1]
    equal = np.ptp(means) <= 1e-12 * max(1.0, abs(mean))
    if bounds is not None:
        found = (_unanimous if equal else _scaled_wilson)(mean, rows[:, -1], confidence, bounds)
        method = "Wilson on clusters that disagree" if equal else "Wilson, one trial a cluster"
        return _interval(mean, found, n, size, confidence, method)
    if size == 1:
        return _refuse(mean, n, 1, confidence, "one cluster only: its spread cannot be known")
    if equal:
        reason = "all clusters have the same mean: how far it may be off cannot be known"
        return _refuse(mean, n, size, confidence, reason)
    # Linearised for unequal clusters: each contributes its residual total.
    residuals = size * (rows[:, 0] - mean * rows[:, -1]) / n
    half = float(stats.t.ppf((1 + confidence) / 2, size - 1) * stats.sem(residuals))
    return _interval(mean, (mean - half, mean + half), n, size, confidence, "Student t on clusters")


def ratio_of_means_interval(
    numerator: ArrayLike,
    denominator: ArrayLike,
    clusters: Clusters,
    *,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Interval:
    """mean(numerator) / mean(denominator) with a BCa interval that resamples whole clusters.

    Both are paired: row i of each belongs to the same item. A ratio whose denominator cannot be
    told from 0 is refused: its interval has no ends.

    Args:
        numerator: shape (N,), such as a model's gain an item.
        denominator: shape (N,), such as the upper bound's gain on the same item.
        clusters: cluster of each item, shape (N,).
        confidence: two-sided coverage.
        resamples: bootstrap resamples.
        seed: seeds them.

    Raises:
        ValueError: shapes differ, or a number is not finite.
    """
    rows = cluster_totals(clusters, numerator, denominator)
    n, size = int(rows[:, -1].sum()), len(rows)
    if n == 0:
        return _refuse(None, 0, 0, confidence, "no observations")
    below = cluster_bootstrap_mean(
        denominator, clusters, confidence=confidence, resamples=resamples, seed=seed
    )
    mean = below.estimate or 0.0
    if abs(mean) <= 1e-12 * float(np.abs(np.asarray(denominator, dtype=np.float64)).max()):
        return _refuse(None, n, size, confidence, "the denominator's mean is 0")
    if (
        below.ci_low is not None
        and below.ci_high is not None
        and (below.ci_low <= 0 <= below.ci_high)
    ):
        return _refuse(
            None,
            n,
            size,
            confidence,
            f"the denominator's mean {mean:.3g} cannot be told from 0 "
            f"({confidence:.0%} interval {below.ci_low:.3g} to {below.ci_high:.3g})",
        )
    estimate = float(rows[:, 0].sum() / rows[:, 1].sum())
    if size < FEW_CLUSTERS:
        reason = f"{size} clusters: too few for the interval of a ratio"
        return _refuse(estimate, n, size, confidence, reason)
    found = bca_bounds(rows, _ratio, confidence=confidence, resamples=resamples, seed=seed)
    if found is None:
        reason = "the ratio is the same in every resample: how far it may be off cannot be known"
        return _refuse(estimate, n, size, confidence, reason)
    return _interval(estimate, found, n, size, confidence, "BCa cluster bootstrap")


def _mean(totals: NDArray[np.float64]) -> NDArray[np.float64]:
    return totals[:, 0] / totals[:, -1]


def _ratio(totals: NDArray[np.float64]) -> NDArray[np.float64]:
    return totals[:, 0] / totals[:, 1]


def _wilson_bounds(k: float, n: float, confidence: float) -> tuple[float, float]:
    """Bounds of k successes in n > 0 trials; at a bound itself, that bound."""
    z = float(stats.norm.ppf((1 + confidence) / 2))
    rate = k / n
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    low = 0.0 if k == 0 else max(0.0, centre - half)
    return low, 1.0 if k == n else min(1.0, centre + half)


def _scaled_wilson(
    mean: float, sizes: NDArray[np.float64], confidence: float, bounds: tuple[float, float]
) -> tuple[float, float]:
    """Wilson on bounds other than 0 and 1; a cluster's mean varies at most as one trial does."""
    low, high = bounds
    trials = _effective_clusters(sizes)
    share = min(1.0, max(0.0, (mean - low) / (high - low)))
    below, above = _wilson_bounds(share * trials, trials, confidence)
    return low + below * (high - low), low + above * (high - low)


def _unanimous(
    mean: float, sizes: NDArray[np.float64], confidence: float, bounds: tuple[float, float]
) -> tuple[float, float]:
    """All clusters agree: Wilson's bound on the share of clusters that would not.

    Those could lie as far off as `bounds` allow. At a bound itself, as where all pairs are won,
    this is Wilson's interval.
    """
    _, others = _wilson_bounds(0, _effective_clusters(sizes), confidence)
    return mean - others * (mean - bounds[0]), mean + others * (bounds[1] - mean)


def _effective_clusters(sizes: NDArray[np.float64]) -> float:
    """How many clusters of equal size would make a mean as sure: (sum n)^2 / sum n^2 (Kish)."""
    return float(sizes.sum() ** 2 / np.square(sizes).sum())


def _interval(
    estimate: float,
    found: tuple[float, float],
    n: int,
    size: int,
    confidence: float,
    method: str,
) -> Interval:
    return Interval.of(estimate, found, n=n, n_clusters=size, confidence=confidence, method=method)


def _refuse(estimate: float | None, n: int, size: int, confidence: float, reason: str) -> Interval:
    return Interval.of(estimate, None, n=n, n_clusters=size, confidence=confidence, reason=reason)
