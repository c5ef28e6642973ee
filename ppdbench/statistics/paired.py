"""The difference of two arms on the same items: one difference an item, clusters stay whole.

Swapping the arms changes the sign of everything, to the last bit.
Elsewhere: the interval (`mirrored`, `intervals`), the test (`permutation`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ppdbench.statistics.clusters import Clusters
from ppdbench.statistics.intervals import Interval
from ppdbench.statistics.mirrored import mirrored_mean, sorted_totals
from ppdbench.statistics.permutation import sign_flip_test


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedDifference:
    """Mean of (a - b); what is unknown is None, and `reason` says why."""

    difference: Interval
    p_value: float | None
    """Two-sided, against 0."""
    test: str
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
    bounds: tuple[float, float] = (-1.0, 1.0),
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> PairedDifference:
    """Mean of (a - b) over the items that both arms have.

    Args:
        a: what one arm has for each item, shape (N,); NaN where it has nothing.
        b: what the other has for the same items, shape (N,).
        clusters: cluster of each item (the user), shape (N,).
        bounds: the smallest and largest difference possible, -x and x; of rates -1 and 1.
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
        return PairedDifference(difference=interval, p_value=None, test="none", reason=reason)
    flips = sign_flip_test(sorted_totals(labels, differences), resamples=resamples, seed=seed)
    return PairedDifference(
        difference=interval, p_value=flips.p_value, test=flips.test, reason=interval.reason
    )
