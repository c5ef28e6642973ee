"""Top-K accuracy: how often the right one of N is among the K best scored, beside chance K/N.

Equal scores favour nobody: a rank among them is drawn evenly, and an accuracy is what such draws
give on average. Elsewhere: intervals (`intervals`), tests of differences (`permutation`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from ppdbench.statistics.clusters import Clusters, cluster_totals
from ppdbench.statistics.intervals import Interval, cluster_bootstrap_mean, wilson

ROUNDING = 1e-9
"""Scores nearer than this times the largest are equal, but for rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranks:
    """Where the right one of N stands among the scores of each item."""

    better: NDArray[np.int64]
    """(M,) how many of the N have a higher score."""
    tied: NDArray[np.int64]
    """(M,) how many have the same, the right one included: at least 1."""

    @property
    def expected(self) -> NDArray[np.float64]:
        """(M,) the rank from 1 that the right one has on average over orders of its equals."""
        return np.asarray(self.better + (self.tied + 1) / 2)

    @property
    def expected_log(self) -> NDArray[np.float64]:
        """(M,) the natural logarithm of the rank, on average over the same orders."""
        through = special.gammaln(self.better + self.tied + 1)
        return np.asarray((through - special.gammaln(self.better + 1)) / self.tied)


@dataclass(frozen=True, slots=True, kw_only=True)
class TopK:
    """An accuracy in [0, 1] beside chance; what is unknown is None, and `reason` says why."""

    accuracy: float | None
    ci_low: float | None
    ci_high: float | None
    chance: float
    n: int
    """Items."""
    n_clusters: int
    p_value: float | None
    """One-sided, against chance."""
    test: str
    interval: str
    """How the bounds were found."""
    reason: str | None = None


def ranks(scores: ArrayLike, right: ArrayLike) -> Ranks:
    """Where each item's right one stands.

    Args:
        scores: shape (M, N), higher is better; no NaN.
        right: the right one's column, shape (M,).

    Raises:
        ValueError: shapes do not fit, or a score is not a number.
    """
    array, column = np.asarray(scores, dtype=np.float64), np.asarray(right, dtype=np.intp)
    if array.ndim != 2 or column.shape != array.shape[:1]:
        raise ValueError(f"scores {array.shape} need one right column an item, got {column.shape}")
    if np.isnan(array).any():
        raise ValueError("scores must be numbers: leave failed items out")
    own = array[np.arange(len(array)), column][:, None]
    finite = np.where(np.isfinite(array), np.abs(array), 0.0)
    level = ROUNDING * finite.max(axis=1, keepdims=True, initial=0.0)
    with np.errstate(invalid="ignore"):  # infinity minus itself, which equals itself
        above = array - own
    above[array == own] = 0.0
    return Ranks(
        better=np.asarray((above > level).sum(axis=1), dtype=np.int64),
        tied=np.asarray((np.abs(above) <= level).sum(axis=1), dtype=np.int64),
    )


def hits(found: Ranks, k: int) -> NDArray[np.float64]:
    """Chance (M,) that the right one is among the K best: 0 or 1, between where equals straddle."""
    return np.asarray(np.clip((k - found.better) / found.tied, 0.0, 1.0))


def chance(k: int, n: int) -> float:
    """Top-K accuracy of guessing among N: K/N.

    Raises:
        ValueError: `k` or `n` is not positive.
    """
    if k < 1 or n < 1:
        raise ValueError(f"top {k} of {n}")
    return min(1.0, k / n)


def labels_cap(k: int, n: int, choices: int) -> float:
    """The most that top-K of N can be from so many binary choices alone: 2^choices K/N.

    Choices have 2^choices outcomes o, and a guesser has one list of K for each, so that
    P(hit) = 1/N sum_o sum_(u in list(o)) P(o | u) <= 1/N sum_o K. What choices are between may be
    known, as long as it does not depend on who chooses.
    """
    return min(1.0, math.ldexp(chance(k, n), choices))


def top_k(
    found: Ranks,
    k: int,
    n: int,
    clusters: Clusters,
    *,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> TopK:
    """Share of items whose right one of N is among the K best.

    With one item a cluster the interval is Wilson's, which stays honest near 0 and 1; with
    several, whole clusters are resampled. The test is the exact binomial, of each cluster's first
    item, as items of one cluster are not independent; what equals leave open counts against.

    Args:
        found: each item's place, M items.
        k: length of the list.
        n: how many there are to choose from.
        clusters: cluster of each item (the user), shape (M,).
        confidence: two-sided coverage of the interval.
        resamples: of the bootstrap.
        seed: seeds it.

    Raises:
        ValueError: shapes differ, or `k` or `n` is not positive.
    """
    right, level, labels = hits(found, k), chance(k, n), np.asarray(clusters)
    interval = hit_rate(right, labels, confidence=confidence, resamples=resamples, seed=seed)
    p_value, test = None, "none"
    if interval.n:
        _, first = np.unique(labels, return_index=True)
        sure = math.floor(float(right[first].sum()) + ROUNDING * len(first))
        p_value = float(stats.binomtest(sure, len(first), level, alternative="greater").pvalue)
        alone = len(first) == len(labels)
        test = "exact binomial, one-sided" + ("" if alone else ", first item of each cluster")
    return TopK(
        accuracy=interval.estimate,
        ci_low=interval.ci_low,
        ci_high=interval.ci_high,
        chance=level,
        n=interval.n,
        n_clusters=interval.n_clusters,
        p_value=p_value,
        test=test,
        interval=interval.method,
        reason=interval.reason,
    )


def hit_rate(
    values: ArrayLike,
    clusters: Clusters,
    *,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Interval:
    """Mean of hits in [0, 1]: Wilson's interval with one a cluster, else the cluster bootstrap.

    Raises:
        ValueError: shapes differ, or a value is outside [0, 1].
    """
    rows = cluster_totals(clusters, values)
    if len(rows) and (rows[:, -1] == 1).all():
        return wilson(min(float(rows[:, 0].sum()), len(rows)), len(rows), confidence=confidence)
    return cluster_bootstrap_mean(
        values,
        clusters,
        confidence=confidence,
        resamples=resamples,
        seed=seed,
        bounds=(0.0, 1.0),
    )
