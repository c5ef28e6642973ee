"""Trends along paths: against scipy, by hand where it is short, and at the edges."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from ppdbench.statistics import trend
from ppdbench.statistics.trend import (
    isotonic_r2,
    kendall_with_order,
    rising,
    spearman_with_order,
)


def paths(rng: np.random.Generator, blocks: int, slope: float) -> NDArray[np.float64]:
    return slope * np.arange(5.0) + rng.normal(size=(blocks, 5))


def test_rank_correlation_is_scipys_ties_included() -> None:
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 4, (60, 5)).astype(float)
    rows = rows[np.ptp(rows, axis=1) > 0]
    expected = [stats.spearmanr(np.arange(5), row).statistic for row in rows]
    assert spearman_with_order(rows) == pytest.approx(expected)
    assert spearman_with_order(np.zeros((2, 5))).tolist() == [0, 0]


def test_kendall_is_scipys_tau_b_ties_included() -> None:
    rng = np.random.default_rng(5)
    rows = rng.integers(0, 4, (60, 6)).astype(float)
    rows = rows[np.ptp(rows, axis=1) > 0]
    expected = [stats.kendalltau(np.arange(6), row).statistic for row in rows]
    assert kendall_with_order(rows) == pytest.approx(expected)
    assert kendall_with_order(np.full((2, 5), 7.0)).tolist() == [0, 0]


def test_isotonic_share_of_variance_by_hand() -> None:
    rows = np.array(
        [
            [0.0, 1, 5, 6],  # never falls: all of it
            [3, 2, 1, 0],  # never rises: the best curve is its mean
            [0, 2, 1, 3],  # 2 and 1 pooled at 1.5: 1 - 0.5 / 5
            [4, 4, 4, 4],
        ]
    )
    assert isotonic_r2(rows) == pytest.approx([1, 0, 0.9, 0])
    # A scale and a constant change nothing; the best curve beats any rising curve, a line too.
    rng = np.random.default_rng(6)
    some = paths(rng, 50, 0.3)
    assert isotonic_r2(3 * some + 100) == pytest.approx(isotonic_r2(some))
    line = np.array([max(stats.linregress(np.arange(5), row).slope, 0) for row in some])
    places = np.arange(5) - 2
    explained = (line[:, None] * places) ** 2
    total = ((some - some.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    assert (isotonic_r2(some) >= explained.sum(axis=1) / total - 1e-12).all()


def test_pages_l_by_hand() -> None:
    # Three blocks of four: ranks times places, summed by hand.
    values = np.array([[2.0, 1, 3, 4], [1, 3, 2, 4], [1, 2, 3, 4]])
    found = rising(values, ["a", "b", "c"])
    assert found.page_l == 1 * (2 + 1 + 1) + 2 * (1 + 3 + 2) + 3 * (3 + 2 + 3) + 4 * 12
    assert found.page_l == stats.page_trend_test(values).statistic


def test_the_figures_of_a_trend() -> None:
    values = [[0, 1, 2, 3], [0, 2, 1, 3], [3, 2, 1, 0]]
    found = rising(values, ["a", "b", "c"])
    assert found.spearman == pytest.approx(0.8)  # of 1, 0.8 and -1
    assert found.kendall == pytest.approx(2 / 3)  # of 1, (5 - 1) / 6 and -1
    assert found.isotonic_r2 == pytest.approx(0.9)  # of 1, 0.9 and 0
    assert found.violations == pytest.approx(4 / 9)
    level = rising([[1, 1, 1, 1], [1, 2, 2, 1]], ["a", "b"])
    assert level.violations == pytest.approx(1 / 6)  # what stays does not fall
    assert found.p_value == pytest.approx(stats.page_trend_test(values).pvalue)
    assert found.ci_low is None and "too few" in str(found.reason)


def test_page_sees_one_block_a_cluster() -> None:
    rng = np.random.default_rng(1)
    rows = paths(rng, 12, 0.4)
    once = rising(rows, np.arange(12))
    thrice = rising(np.repeat(rows, 3, axis=0), np.repeat(np.arange(12), 3))
    assert thrice.p_value == pytest.approx(once.p_value)
    assert thrice.page_l == once.page_l
    assert (thrice.n, thrice.n_clusters) == (36, 12)
    assert (thrice.ci_low, thrice.ci_high) == (once.ci_low, once.ci_high)


def test_intervals_of_the_median_cover_it() -> None:
    covered = 0
    for trial in range(200):
        rng = np.random.default_rng(trial)
        found = rising(paths(rng, 40, 0.0), np.arange(40), resamples=400)
        assert found.ci_low is not None and found.ci_high is not None
        covered += found.ci_low <= 0 <= found.ci_high  # by symmetry the true median
    assert covered >= 0.92 * 200


def test_resamples_a_few_at_a_time_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, clusters = paths(np.random.default_rng(3), 60, 0.3), np.repeat(np.arange(20), 3)
    at_once = rising(rows, clusters, resamples=500)
    monkeypatch.setattr(trend, "BLOCK", 7 * len(rows))
    assert rising(rows, clusters, resamples=500) == at_once


def test_no_trend_is_seldom_found_and_a_real_one_nearly_always() -> None:
    def found(slope: float) -> float:
        ps = [
            rising(paths(np.random.default_rng(t), 20, slope), np.arange(20), resamples=10).p_value
            for t in range(200)
        ]
        return float(np.mean([p is not None and p < 0.05 for p in ps]))

    assert found(0.0) < 0.1
    assert found(0.5) > 0.95


def test_nothing_and_nonsense() -> None:
    found = rising(np.empty((0, 5)), [])
    assert found.spearman is None and found.p_value is None and found.n == 0
    assert found.kendall is found.isotonic_r2 is found.page_l is None
    one = rising([[1, 2, 3]], ["a"])
    assert one.spearman == 1 and one.p_value is None
    with pytest.raises(ValueError, match="shape"):
        rising([[1.0, 2.0]], ["a"])
    with pytest.raises(ValueError, match="shape"):
        rising([[1, 2, 3]], ["a", "b"])
    with pytest.raises(ValueError, match="finite"):
        rising([[1, float("nan"), 3]], ["a"])
