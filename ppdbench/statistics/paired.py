"""The difference of two arms on the same items: one difference an item, clusters stay whole.

Swapping the arms changes the sign of everything, to the last bit. Beside the difference stands
the smallest that so many clusters, differing so much, would have found: a difference below it that
is not significant says nothing of equality.

Source: clustered standard errors after Miller (2024), arXiv 2411.00640, section 2.2.
Elsewhere: the interval (`mirrored`, `intervals`), the test (`permutation`), power (`power`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ppdbench.statistics.clusters import Clusters, cluster_totals
from ppdbench.statistics.intervals import Interval
from ppdbench.statistics.mirrored import mirrored_mean, sorted_totals
from ppdbench.statistics.permutation import sign_flip_test
from ppdbench.statistics.power import minimum_detectable_difference

FEWEST_TO_FIND = 6
"""Fewer clusters find nothing: 2 of 2^5 signings are as far off as all of one sign, p = 6.25%."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedDifference:
    """Mean of (a - b); what is unknown is None, and `reason` says why."""

    difference: Interval
    p_value: float | None
    """Two-sided, against 0."""
    test: str
    standard_error: float | None
    """Of the mean, robust to clusters; None of one cluster, or where all differ alike."""
    minimum_detectable: float | None
    """The difference found in 80% of such comparisons at a two-sided level of 5%; None where there
    is no standard error, or there are fewer clusters than `FEWEST_TO_FIND`."""
    reason: str | None = None

    @property
    def n(self) -> int:
        """Items that both arms have."""
        return self.difference.n

    @property
    def n_clusters(self) -> int:
        """Clusters of those."""
        return self.difference.n_clusters

    def fields(self, name: str) -> dict[str, float | None]:
        """The difference under a name, its bounds and p-value beside it, as files hold them."""
        return {**self.difference.fields(name), f"{name}_p_value": self.p_value}


def paired_difference(
    a: ArrayLike,
    b: ArrayLike,
    clusters: Clusters,
    *,
    bounds: tuple[float, float] | None = (-1.0, 1.0),
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> PairedDifference:
    """Mean of (a - b) over the items that both arms have.

    Args:
        a: what one arm has for each item, shape (N,); NaN where it has nothing.
        b: what the other has for the same items, shape (N,).
        clusters: cluster of each item (the user), shape (N,).
        bounds: the smallest and largest difference possible, -x and x; of rates -1 and 1;
            None of scores, which have none.
        confidence: two-sided coverage of the interval.
        resamples: of the bootstrap, and draws of the test where it is not exact.
        seed: seeds both.

    Raises:
        ValueError: shapes differ, a number is infinite, or a difference lies outside `bounds`.
    """
    ours, theirs = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    labels = np.asarray(clusters)
    if not ours.shape == theirs.shape == labels.shape:
        raise ValueError(f"arms of {ours.shape} and {theirs.shape}, clusters of {labels.shape}")
    both = ~(np.isnan(ours) | np.isnan(theirs))
    differences, labels = ours[both] - theirs[both], labels[both]
    interval = mirrored_mean(
        differences,
        labels,
        bounds=bounds,
        confidence=confidence,
        resamples=resamples,
        seed=seed,
    )
    if not interval.n:
        reason = "no item that both arms have"
        return PairedDifference(
            difference=interval,
            p_value=None,
            test="none",
            standard_error=None,
            minimum_detectable=None,
            reason=reason,
        )
    flips = sign_flip_test(sorted_totals(labels, differences), resamples=resamples, seed=seed)
    error = clustered_standard_error(labels, differences)
    return PairedDifference(
        difference=interval,
        p_value=flips.p_value,
        test=flips.test,
        standard_error=error,
        minimum_detectable=minimum_detectable_difference(error)
        if error is not None and interval.n_clusters >= FEWEST_TO_FIND
        else None,
        reason=interval.reason,
    )


def clustered_standard_error(clusters: Clusters, values: ArrayLike) -> float | None:
    """Standard error of the mean of values (N,) whose clusters are the sample.

    sqrt(G / (G - 1) * sum over clusters of (total - mean * size)^2) / N, linear in the clusters'
    residual totals; None of fewer than two clusters, or where all clusters have the same mean: how
    far that may be off is not 0.

    Raises:
        ValueError: shapes differ, or a value is not finite.
    """
    rows = cluster_totals(clusters, values)
    if len(rows) < 2:
        return None
    means = rows[:, 0] / rows[:, -1]
    if np.ptp(means) <= 1e-12 * max(1.0, float(np.abs(means).max())):
        return None
    # Sums by fsum, which knows no order: the clusters' names do not move the last bit.
    n = float(rows[:, -1].sum())
    residuals = rows[:, 0] - math.fsum(rows[:, 0]) / n * rows[:, -1]
    return math.sqrt(len(rows) / (len(rows) - 1) * math.fsum(residuals**2)) / n
