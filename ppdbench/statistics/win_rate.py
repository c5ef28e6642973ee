"""Win rate of one system over another on paired items: ties count half, clusters stay whole.

Elsewhere: the interval (`intervals`), the test against 50% (`permutation`), several rewards at
once (`holm`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ppdbench.statistics.clusters import Clusters, cluster_totals
from ppdbench.statistics.intervals import cluster_bootstrap_mean
from ppdbench.statistics.permutation import sign_flip_test


@dataclass(frozen=True, slots=True, kw_only=True)
class WinRate:
    """A win rate in [0, 1]; what is unknown is None, and `reason` says why."""

    rate: float | None
    ci_low: float | None
    ci_high: float | None
    n: int
    """Pairs compared."""
    n_clusters: int
    p_value: float | None
    """Two-sided, against 50%."""
    test: str
    interval: str
    """How the bounds were found."""
    reason: str | None = None


def outcomes(scores: ArrayLike, opponent_scores: ArrayLike) -> NDArray[np.float64]:
    """Outcome of each pair, (N,): 1 where the first score is higher, 0.5 at a tie, else 0.

    Raises:
        ValueError: shapes differ, or a score is not finite.
    """
    ours = np.asarray(scores, dtype=np.float64)
    theirs = np.asarray(opponent_scores, dtype=np.float64)
    if ours.shape != theirs.shape:
        raise ValueError(f"{ours.shape} scores against {theirs.shape}: pairs are needed")
    if not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
        raise ValueError("scores must be finite: leave failed items out")
    found: NDArray[np.float64] = (ours > theirs) + 0.5 * (ours == theirs)
    return found


def win_rate(
    scores: ArrayLike,
    opponent_scores: ArrayLike,
    clusters: Clusters,
    *,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> WinRate:
    """Share of paired items on which the first system scores higher; a tie is half a win.

    Args:
        scores: the first system's scores, shape (N,), finite, higher is better.
        opponent_scores: the other's on the same items, shape (N,).
        clusters: cluster of each item (its caption), shape (N,).
        confidence: two-sided coverage of the interval.
        resamples: resamples of the bootstrap, and draws of the test where it is not exact.
        seed: seeds both.

    Raises:
        ValueError: shapes differ, or a score is not finite.
    """
    won = outcomes(scores, opponent_scores)
    interval = cluster_bootstrap_mean(
        won,
        clusters,
        confidence=confidence,
        resamples=resamples,
        seed=seed,
        bounds=(0.0, 1.0),
    )
    p_value, test = None, "none"
    if interval.n:
        totals = cluster_totals(clusters, won - 0.5)[:, 0]
        flips = sign_flip_test(totals, resamples=resamples, seed=seed)
        p_value, test = flips.p_value, flips.test
    return WinRate(
        rate=interval.estimate,
        ci_low=interval.ci_low,
        ci_high=interval.ci_high,
        n=interval.n,
        n_clusters=interval.n_clusters,
        p_value=p_value,
        test=test,
        interval=interval.method,
        reason=interval.reason if interval.n else "no pairs to compare",
    )
