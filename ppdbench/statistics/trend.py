"""Does a quantity rise along a path? Rank correlations a block, Page's test over blocks.

A block is one path (a caption drawn at T weights from the same noise); its values are compared
with the places on the path only. Ties share ranks. A trend may be significant and yet not steady:
so beside the test stand the share of steps that fall and how much of a path's variance the best
rising curve explains. Elsewhere: other statistics (`win_rate`, `intervals`).

Source: Page (1963), "Ordered hypotheses for multiple treatments", JASA 58, 216-230, by
`scipy.stats.page_trend_test`; isotonic regression by `scipy.optimize.isotonic_regression`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, stats

from ppdbench.statistics.clusters import Clusters
from ppdbench.statistics.intervals import FEW_CLUSTERS

BLOCK = 1 << 18
"""Numbers resampled at once: a permuted control has twenty paths a caption."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """How surely and how steadily values rise along their paths; what is unknown is None."""

    spearman: float | None
    """Median over blocks of the rank correlation with the place on the path."""
    ci_low: float | None
    """Of `spearman`, as `ci_high`."""
    ci_high: float | None
    kendall: float | None
    """Median over blocks of Kendall's tau-b with the place on the path."""
    isotonic_r2: float | None
    """Median over blocks of the share of variance that the best rising curve explains."""
    page_l: float | None
    """Page's L: over places j from 1 the sum of j times the clusters' summed ranks there."""
    p_value: float | None
    """Of Page's L, one-sided: no trend against a rising one."""
    violations: float | None
    """Share of neighbouring places between which the value falls."""
    n: int
    """Blocks."""
    n_clusters: int
    reason: str | None = None


def rising(
    values: ArrayLike,
    clusters: Clusters,
    *,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Trend:
    """Test whether values rise from column to column.

    Args:
        values: shape (N, T), one path a row, T >= 3, finite; negate what should fall.
        clusters: label of each row, shape (N,); the interval resamples whole clusters, and Page's
            test sees one block a cluster, the mean of its rows.
        confidence: two-sided coverage of the interval.
        resamples: bootstrap resamples.
        seed: seeds them.

    Raises:
        ValueError: shapes differ, T < 3, or a value is not finite.
    """
    rows = np.asarray(values, dtype=np.float64)
    labels = np.asarray(clusters)
    if rows.ndim != 2 or labels.shape != rows.shape[:1] or (rows.size and rows.shape[1] < 3):
        raise ValueError(f"values of shape {rows.shape} for {labels.shape} clusters")
    if not np.isfinite(rows).all():
        raise ValueError("values must be finite: leave incomplete paths out")
    if not len(rows):
        return Trend(
            spearman=None,
            ci_low=None,
            ci_high=None,
            kendall=None,
            isotonic_r2=None,
            page_l=None,
            p_value=None,
            violations=None,
            n=0,
            n_clusters=0,
            reason="no paths",
        )
    _, group = np.unique(labels, return_inverse=True)
    size = int(group.max()) + 1
    correlations = spearman_with_order(rows)
    bounds = _median_bounds(correlations, group, size, confidence, resamples, seed)
    blocks = np.stack([rows[group == number].mean(axis=0) for number in range(size)])
    page = stats.page_trend_test(blocks) if size > 1 else None
    return Trend(
        spearman=float(np.median(correlations)),
        ci_low=bounds[0] if bounds else None,
        ci_high=bounds[1] if bounds else None,
        kendall=float(np.median(kendall_with_order(rows))),
        isotonic_r2=float(np.median(isotonic_r2(rows))),
        page_l=float(page.statistic) if page else None,
        p_value=float(page.pvalue) if page else None,
        violations=float((np.diff(rows, axis=1) < 0).mean()),
        n=len(rows),
        n_clusters=size,
        reason=None if bounds else f"{size} clusters: too few for the interval of a median",
    )


def spearman_with_order(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rank correlation of each row (N, T) with the order of its columns, (N,).

    0 where all values of a row are equal: such a path rises no more than it falls.
    """
    ranks = stats.rankdata(rows, axis=1)
    ranks = ranks - ranks.mean(axis=1, keepdims=True)
    order = np.arange(rows.shape[1]) - (rows.shape[1] - 1) / 2
    spread = np.sqrt((ranks**2).sum(axis=1) * (order**2).sum())
    found: NDArray[np.float64] = np.divide(
        ranks @ order, spread, out=np.zeros(len(rows)), where=spread > 0
    )
    return found


def kendall_with_order(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Kendall's tau-b of each row (N, T) with the order of its columns, (N,).

    (rising pairs - falling pairs) / sqrt(all pairs * pairs that differ), as places never tie; 0
    where all values of a row are equal. Source: Kendall (1945), Biometrika 33, 239-251.
    """
    first, second = np.triu_indices(rows.shape[1], 1)
    signs = np.sign(rows[:, second] - rows[:, first])
    spread = np.sqrt(len(first) * np.abs(signs).sum(axis=1))
    found: NDArray[np.float64] = np.divide(
        signs.sum(axis=1), spread, out=np.zeros(len(rows)), where=spread > 0
    )
    return found


def isotonic_r2(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of each row's variance that the best rising curve explains, (N,), in [0, 1].

    1 - SS(row - isotonic regression) / SS(row - its mean), least squares: 1 for a row (N, T) that
    never falls, 0 for one that never rises, and 0 where all values are equal.
    """
    total = ((rows - rows.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    varied = np.ptp(rows, axis=1) > 0
    found = np.zeros(len(rows))
    for number in np.flatnonzero(varied):
        curve = optimize.isotonic_regression(rows[number]).x
        found[number] = 1 - ((rows[number] - curve) ** 2).sum() / total[number]
    return np.clip(found, 0.0, 1.0)


def _median_bounds(
    values: NDArray[np.float64],
    group: NDArray[np.intp],
    size: int,
    confidence: float,
    resamples: int,
    seed: int,
) -> tuple[float, float] | None:
    """Percentile bootstrap of the median over whole clusters; None of too few clusters.

    No BCa: a median moves in steps, and the jackknife that BCa rests on fails there (Efron 1979).
    """
    if size < FEW_CLUSTERS:
        return None
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(size, np.full(size, 1 / size), size=resamples)  # times each cluster
    order = np.argsort(values, kind="stable")
    ordered, owner = values[order], group[order]
    medians = np.empty(resamples)
    block = max(1, BLOCK // len(values))
    for start in range(0, resamples, block):
        part = slice(start, start + block)
        totals = np.cumsum(drawn[part][:, owner], axis=1)  # (b, N) observations up to each value
        half = totals[:, -1:] / 2
        lower = (totals < half).sum(axis=1)  # of an even number, the two in the middle
        upper = (totals <= half).sum(axis=1)
        medians[part] = (ordered[lower] + ordered[np.minimum(upper, len(ordered) - 1)]) / 2
    low, high = np.quantile(medians, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
