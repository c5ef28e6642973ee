"""Strengths of more than two systems from who won which comparison: Bradley and Terry's model.

System i wins over j with probability 1 / (1 + exp(s_j - s_i)); a tie is half a win for each. Only
differences of strengths matter, so they sum to 0: a system at 0 is of average strength. The
likelihood has a maximum exactly where every system can be reached from every other along wins; one
that never lost would be infinitely strong, and is refused instead.

Source: Bradley and Terry (1952), Biometrika 39, 324-345; when the maximum exists: Ford (1957),
American Mathematical Monthly 64, 28-33, in Hunter (2004), Annals of Statistics 32, 384-406.
Elsewhere: resampling (`bootstrap`), two systems (`win_rate`, `paired`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from ppdbench.statistics.bootstrap import bca_levels, resampled_totals
from ppdbench.statistics.clusters import Clusters, cluster_totals
from ppdbench.statistics.intervals import FEW_CLUSTERS, Interval

Floats = NDArray[np.float64]

MOST_STEPS = 100
"""Newton's steps; some six are needed, thirty where one win stands against thousands."""
LONGEST_STEP = 2.0
"""Of any strength at once. A longer one may lead out to where no outcome is in doubt: there the
likelihood is flat, and the next step has no direction."""
UNBOUNDED = "resamples in which a system always wins, or always loses, reach the interval"
NO_SPREAD = "strengths are the same in every resample: how far they may be off cannot be known"
CLOSE = 1e-10
"""A largest gradient below this times the number of comparisons ends them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BradleyTerry:
    """Strengths by system number; what is unknown is None, and `reason` says why."""

    strengths: tuple[Interval, ...]
    """Natural log-odds of winning over a system of average strength; they sum to 0."""
    win_rate_over_average: tuple[Interval, ...]
    """The same as a rate in [0, 1]; 1/2 is average."""
    n: int
    """Comparisons."""
    n_clusters: int
    reason: str | None = None
    """Why there are no strengths, or no intervals of them."""


def bradley_terry(
    first: ArrayLike,
    second: ArrayLike,
    outcome: ArrayLike,
    clusters: Clusters,
    n_systems: int,
    *,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> BradleyTerry:
    """Maximum-likelihood strengths with BCa intervals that resample whole clusters.

    A resample in which a system never loses, or never wins, counts as infinitely far on both
    sides; an interval that such resamples reach is refused.

    Args:
        first: number of one system of each comparison, from 0, shape (N,).
        second: number of the other, shape (N,).
        outcome: 1 where the first won, 0 where the second did, 0.5 at a tie, shape (N,).
        clusters: cluster of each comparison (its caption), shape (N,).
        n_systems: how many systems there are, at least 2.
        confidence: two-sided coverage of the intervals.
        resamples: bootstrap resamples.
        seed: seeds them.

    Raises:
        ValueError: shapes differ, an outcome is outside [0, 1], a system is compared with itself
            or has no such number.
    """
    one, other, won, labels = _checked(first, second, outcome, clusters, n_systems)
    # A column for each ordered pair: what the first of it won of the second, by cluster.
    columns = np.zeros((len(won), n_systems * n_systems))
    at = np.arange(len(won))
    columns[at, one * n_systems + other] = won
    columns[at, other * n_systems + one] = 1 - won
    if not len(won):
        return _given([None] * n_systems, None, 0, 0, confidence, "no comparisons")
    rows = cluster_totals(labels, *columns.T)[:, :-1]
    rows = rows[np.lexsort(rows.T)]  # one order under any names of the clusters
    n, size = len(won), len(rows)
    whole = rows.sum(axis=0, keepdims=True)
    strengths = _fit(whole.reshape(1, n_systems, n_systems))[0]
    if not np.isfinite(strengths).all():
        reason = _why_not(whole.reshape(n_systems, n_systems))
        return _given([None] * n_systems, None, n, size, confidence, reason)
    known = [float(strength) for strength in strengths]
    if size < FEW_CLUSTERS:
        reason = f"{size} clusters: too few for intervals of strengths"
        return _given(known, None, n, size, confidence, reason)
    shape = (-1, n_systems, n_systems)
    draws = _fit(resampled_totals(rows, resamples, seed).reshape(shape))
    left_out = _fit((whole - rows).reshape(shape))
    bounds = _bounds(strengths, draws, left_out, confidence)
    reason = UNBOUNDED if np.isnan(draws).any() else NO_SPREAD
    return _given(known, bounds, n, size, confidence, reason if None in bounds else None)


def _checked(
    first: ArrayLike, second: ArrayLike, outcome: ArrayLike, clusters: Clusters, n_systems: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats, NDArray[np.generic]]:
    one, other = np.asarray(first, dtype=np.intp), np.asarray(second, dtype=np.intp)
    won, labels = np.asarray(outcome, dtype=np.float64), np.asarray(clusters)
    if not one.shape == other.shape == won.shape == labels.shape or won.ndim != 1:
        raise ValueError(
            f"systems of {one.shape} and {other.shape}, outcomes of {won.shape}, "
            f"clusters of {labels.shape}"
        )
    if not ((won >= 0) & (won <= 1)).all():
        raise ValueError("outcomes lie in [0, 1]: leave comparisons that failed out")
    if n_systems < 2 or (one == other).any():
        raise ValueError("a comparison is between two systems")
    for numbers in (one, other):
        if len(numbers) and not 0 <= numbers.min() <= numbers.max() < n_systems:
            raise ValueError(f"systems are numbered 0 to {n_systems - 1}")
    return one, other, won, labels


def _fit(wins: Floats) -> Floats:
    """Strengths (B, S) of win matrices (B, S, S); NaN where no maximum exists, or none is reached.

    Newton's method with short and halved steps, all at once: the likelihood is concave, so it
    cannot lead elsewhere.
    """
    systems = wins.shape[1]
    exists = _connected(wins > 0)
    found = np.full(wins.shape[:2], np.nan)
    active = np.flatnonzero(exists)
    kept, strengths = wins[active], np.zeros((len(active), systems))
    level = CLOSE * wins.sum(axis=(1, 2))[active]
    for _ in range(MOST_STEPS):
        if not len(active):
            break
        games = kept + kept.transpose(0, 2, 1)
        chance = special.expit(strengths[:, :, None] - strengths[:, None, :])
        gradient = (kept - games * chance).sum(axis=2)
        done = np.abs(gradient).max(axis=1) <= level
        found[active[done]] = strengths[done]
        active, kept, strengths, level = (each[~done] for each in (active, kept, strengths, level))
        if not len(active):
            break
        information = (games * chance * (1 - chance))[~done]
        hessian = np.eye(systems) * information.sum(axis=2)[:, :, None] - information
        # Strengths are known but for a constant: 1/S everywhere holds their sum at 0.
        hessian += hessian.max(axis=(1, 2), keepdims=True) / systems
        step = np.linalg.solve(hessian, gradient[~done][:, :, None])[:, :, 0]
        step *= np.minimum(1, LONGEST_STEP / np.abs(step).max(axis=1, keepdims=True))
        strengths = _uphill(kept, strengths, step)
    return np.asarray(found - found.mean(axis=1, keepdims=True))


def _uphill(wins: Floats, strengths: Floats, step: Floats) -> Floats:
    """Take each step (B, S), halved until the likelihood does not fall."""
    before = _log_likelihood(wins, strengths)
    size = np.ones(len(strengths))
    for _ in range(30):
        after = _log_likelihood(wins, strengths + size[:, None] * step)
        worse = after < before - 1e-12 * np.abs(before)
        if not worse.any():
            break
        size[worse] /= 2
    return np.asarray(strengths + size[:, None] * step)


def _log_likelihood(wins: Floats, strengths: Floats) -> Floats:
    logs = special.log_expit(strengths[:, :, None] - strengths[:, None, :])
    return np.asarray((wins * logs).sum(axis=(1, 2)))


def _connected(beats: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether every system leads to every other along wins (B, S, S), (B,)."""
    systems = beats.shape[1]
    reach = (beats | np.eye(systems, dtype=bool)).astype(np.float32)
    length = 1
    while length < systems:
        reach = (reach @ reach > 0).astype(np.float32)
        length *= 2
    return np.asarray((reach > 0).all(axis=(1, 2)))


def _bounds(
    strengths: Floats, draws: Floats, left_out: Floats, confidence: float
) -> list[tuple[float, float] | None]:
    """An interval for each system, or None where it has no ends."""
    found: list[tuple[float, float] | None] = []
    lost = ~np.isfinite(draws).all(axis=1)
    for number, strength in enumerate(strengths):
        column, without = draws[:, number], left_out[:, number]
        levels = np.array([(1 - confidence) / 2, (1 + confidence) / 2])
        if not lost.any() and np.isfinite(without).all() and np.ptp(column) > 0:
            levels = bca_levels(float(strength), column, without, confidence)
        low = np.quantile(np.where(lost, -np.inf, column), levels[0], method="lower")
        high = np.quantile(np.where(lost, np.inf, column), levels[1], method="higher")
        ends = np.isfinite([low, high]).all() and high > low
        found.append((float(low), float(high)) if ends else None)
    return found


def _why_not(wins: Floats) -> str:
    """Why these win totals (S, S) have no strengths."""
    games = (wins + wins.T).sum(axis=1)
    for number in range(len(wins)):
        if not games[number]:
            return f"system {number} has no comparisons"
    for number in range(len(wins)):
        if not wins[:, number].any():
            return f"system {number} never lost: its strength has no bound"
        if not wins[number].any():
            return f"system {number} never won: its strength has no bound"
    return "some systems never lost to the others, or never met them: strengths have no bound"


def _given(
    strengths: Sequence[float | None],
    bounds: Sequence[tuple[float, float] | None] | None,
    n: int,
    size: int,
    confidence: float,
    reason: str | None,
) -> BradleyTerry:
    """Strengths and their rates as intervals; the reason stands where there are no bounds."""

    def interval(
        value: float | None, ends: tuple[float, float] | None, scale: Callable[[float], float]
    ) -> Interval:
        return Interval.of(
            None if value is None else scale(value),
            (scale(ends[0]), scale(ends[1])) if ends else None,
            n=n,
            n_clusters=size,
            confidence=confidence,
            reason=None if ends else reason,
        )

    each = list(zip(strengths, bounds or [None] * len(strengths), strict=True))
    return BradleyTerry(
        strengths=tuple(interval(value, ends, float) for value, ends in each),
        win_rate_over_average=tuple(interval(value, ends, _rate) for value, ends in each),
        n=n,
        n_clusters=size,
        reason=reason,
    )


def _rate(strength: float) -> float:
    return float(special.expit(strength))
