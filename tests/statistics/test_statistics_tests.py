"""Win rates, the sign-flip test and Holm against scipy and values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from ppdbench.statistics import holm, sign_flip_test, win_rate


@pytest.mark.parametrize("size", [3, 6, 12])
def test_few_clusters_are_counted_exactly_as_scipy_does(size: int) -> None:
    differences = np.random.default_rng(size).normal(0.4, 1, size)
    ours = sign_flip_test(differences)
    theirs = stats.permutation_test(
        (differences,), np.sum, permutation_type="samples", n_resamples=1 << size
    )
    assert ours.exact and ours.resamples == 2**size
    assert ours.p_value == pytest.approx(theirs.pvalue)


@pytest.mark.parametrize("graded", [True, False])
def test_many_clusters_are_drawn_and_agree_with_scipy(graded: bool) -> None:
    rng = np.random.default_rng(0)
    differences = rng.normal(0.15, 1, 150) if graded else rng.choice([-0.5, 0, 0.5, 0.5], 150)
    differences = differences if graded else differences - 0.06 * np.abs(differences)
    ours = sign_flip_test(differences, resamples=20_000)
    theirs = stats.permutation_test(
        (differences,),
        lambda x, axis: x.sum(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=20_000,
        rng=np.random.default_rng(1),
    )
    assert not ours.exact
    assert ours.p_value == pytest.approx(theirs.pvalue, abs=0.012)


def test_drawn_p_values_are_never_zero() -> None:
    flips = sign_flip_test(np.ones(100), resamples=999)
    assert flips.p_value == pytest.approx(1 / 1000)
    assert flips.test == "sign-flip permutation by cluster, 999 draws"


def test_ties_carry_no_evidence() -> None:
    assert sign_flip_test(np.zeros(40)).p_value == 1
    assert sign_flip_test(np.r_[np.zeros(40), 0.5]).p_value == 1
    five = sign_flip_test(np.r_[np.zeros(40), np.full(5, 0.5)])
    assert five.exact and five.p_value == pytest.approx(2 / 32)


def test_p_values_are_uniform_when_nothing_differs() -> None:
    rng = np.random.default_rng(11)
    p = [sign_flip_test(rng.normal(size=30), resamples=499, seed=s).p_value for s in range(400)]
    assert stats.kstest(p, "uniform").pvalue > 0.01


def test_win_rate_counts_ties_half_and_tests_by_cluster() -> None:
    # Captions a: 2 wins; b: win and loss; c: tie and win.
    result = win_rate([2, 2, 2, 0, 1, 2], [1, 1, 1, 1, 1, 1], ["a", "a", "b", "b", "c", "c"])
    assert result.rate == pytest.approx(4.5 / 6)
    assert (result.n, result.n_clusters) == (6, 3)
    # Totals over 50%: +1, 0, +0.5: of four signings two are as far from 0.
    assert result.p_value == pytest.approx(0.5)
    assert result.test == "sign-flip permutation by cluster, exact"


def test_swapping_the_two_mirrors_everything() -> None:
    rng = np.random.default_rng(1)
    a, b, clusters = rng.normal(0.3, 1, 400), rng.normal(size=400), np.repeat(range(200), 2)
    ours, theirs = win_rate(a, b, clusters), win_rate(b, a, clusters)
    assert ours.rate is not None and theirs.rate is not None
    assert ours.ci_low is not None and theirs.ci_high is not None
    assert ours.rate + theirs.rate == pytest.approx(1)
    assert ours.ci_low + theirs.ci_high == pytest.approx(1, abs=0.01)
    assert ours.p_value == theirs.p_value
    assert ours.ci_low > 0.5 and ours.p_value is not None and ours.p_value < 0.01


@pytest.mark.parametrize(
    ("n", "gap", "rate", "p_value"),
    [(240, 1.0, 1.0, 1 / 10_001), (240, 0.0, 0.5, 1.0), (1, 1.0, 1.0, 1.0), (3, -1.0, 0.0, 0.25)],
)
def test_degenerate_win_rates_are_honest(n: int, gap: float, rate: float, p_value: float) -> None:
    result = win_rate(np.full(n, gap), np.zeros(n), np.arange(n))
    assert result.rate == rate and result.p_value == pytest.approx(p_value)
    assert result.ci_low is not None and result.ci_high is not None
    assert 0 <= result.ci_low <= rate <= result.ci_high <= 1
    assert result.ci_high > result.ci_low


def test_no_pairs_is_refused() -> None:
    result = win_rate([], [], [])
    assert (result.rate, result.p_value, result.n) == (None, None, 0)
    assert result.reason == "no pairs to compare"


def test_one_cluster_of_many_items_proves_nothing() -> None:
    result = win_rate(np.ones(50), np.zeros(50), ["a"] * 50)
    assert result.p_value == 1
    assert result.ci_low is not None and result.ci_low < 0.5


def test_unpaired_or_missing_scores_are_an_error() -> None:
    with pytest.raises(ValueError, match="pairs"):
        win_rate([1.0, 2.0], [1.0], ["a", "b"])
    with pytest.raises(ValueError, match="failed items"):
        win_rate([1.0, np.nan], [1.0, 1.0], ["a", "b"])


def test_holm_by_hand() -> None:
    # Sorted .01 .02 .03 .04 times 4 3 2 1 = .04 .06 .06 .04, then made monotone.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.6, 0.7]) == pytest.approx([1.0, 1.0])
    assert holm([0.2]) == pytest.approx([0.2])
    assert len(holm([])) == 0
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        holm([0.1, float("nan")])
