"""Do intervals cover and tests reject as often as they say? By simulated benchmarks, slow.

Users' items are drawn from a beta-binomial, so that the true rate is exact whatever users have in
common: user u's rate is Beta(p k, (1 - p) k) with k = 1 / icc - 1, which has mean p, and two items
of one user correlate by icc. Numbers of items are drawn apart from rates. The bootstrap has 1,000
resamples here, a tenth of what reports have; docs/statistics.md holds what came out.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from ppdbench.statistics import (
    cluster_bootstrap_mean,
    sign_flip_test,
    win_rate,
    with_training_spread,
)
from ppdbench.statistics.training_spread import noise_of_trainings

pytestmark = pytest.mark.slow

USERS = 192
BENCHMARKS = 2000
RESAMPLES = 1000

Floats = NDArray[np.float64]


def _benchmark(seed: int, rate: float, icc: float) -> tuple[Floats, NDArray[np.int64]]:
    """Wins of 192 users with 1 to 5 items each, and whose each is."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 6, USERS)
    own = np.full(USERS, rate)
    if icc:
        known = 1 / icc - 1
        own = rng.beta(rate * known, (1 - rate) * known, USERS)
    users = np.repeat(np.arange(USERS), sizes)
    return (rng.random(len(users)) < own[users]).astype(float), users


def test_simulated_items_have_the_rate_and_the_correlation_that_they_are_said_to_have() -> None:
    pairs, values = [], []
    for seed in range(400):
        won, users = _benchmark(seed, 0.8, 0.3)
        values.append(won.mean())
        two = np.flatnonzero(users[1:] == users[:-1])
        pairs.append(np.column_stack([won[two], won[two + 1]]))
    assert np.mean(values) == pytest.approx(0.8, abs=0.003)
    one, other = np.concatenate(pairs).T
    assert stats.pearsonr(one, other).statistic == pytest.approx(0.3, abs=0.015)


@pytest.mark.parametrize("icc", [0.0, 0.3])
@pytest.mark.parametrize("rate", [0.5, 0.6, 0.8])
def test_intervals_of_win_rates_cover(rate: float, icc: float) -> None:
    covered = 0
    for seed in range(BENCHMARKS):
        won, users = _benchmark(seed, rate, icc)
        found = win_rate(won, np.full(len(won), 0.5), users, resamples=RESAMPLES, seed=seed)
        assert found.ci_low is not None and found.ci_high is not None
        covered += found.ci_low <= rate <= found.ci_high
    assert 0.935 <= covered / BENCHMARKS <= 0.965


def test_without_clusters_intervals_would_be_too_narrow() -> None:
    # What the simulation can see: taking items for the sample misses far more often.
    covered = 0
    for seed in range(500):
        won, _ = _benchmark(seed, 0.6, 0.3)
        found = cluster_bootstrap_mean(won, np.arange(len(won)), resamples=500, seed=seed)
        assert found.ci_low is not None and found.ci_high is not None
        covered += found.ci_low <= 0.6 <= found.ci_high
    assert covered / 500 < 0.9


@pytest.mark.parametrize("users", [20, USERS])
def test_a_true_null_is_rejected_as_often_as_said_on_continuous_outcomes(users: int) -> None:
    rejected, trials = 0, 4000
    for seed in range(trials):
        rng = np.random.default_rng(seed)
        sizes = rng.integers(1, 6, users)
        # Sums of items that correlate by 0.3 within a user, each of variance 1.
        common = np.sqrt(0.3) * sizes * rng.normal(size=users)
        totals = common + np.sqrt(0.7 * sizes) * rng.normal(size=users)
        rejected += sign_flip_test(totals, resamples=999, seed=seed).p_value <= 0.05
    assert 0.04 <= rejected / trials <= 0.06


@pytest.mark.parametrize("icc", [0.0, 0.3])
def test_a_true_null_is_rejected_at_most_as_often_as_said_on_binary_outcomes(icc: float) -> None:
    rejected = 0
    for seed in range(BENCHMARKS):
        won, users = _benchmark(seed, 0.5, icc)
        totals = np.bincount(users, weights=won - 0.5)
        rejected += sign_flip_test(totals, resamples=999, seed=seed).p_value <= 0.05
    assert 0.02 <= rejected / BENCHMARKS <= 0.06


def _trained(seed: int, spread: float, trainings: int) -> tuple[Floats, float]:
    """Wins (K, 200) of K trainings over one opponent, and the method's true rate.

    Training k draws with quality 0.5 + spread * normal; each picture adds a normal of its own, the
    opponent's another: a win has probability Phi(0.5 / sqrt(2 + spread^2)).
    """
    rng = np.random.default_rng(seed)
    ours = 0.5 + spread * rng.normal(size=(trainings, 1)) + rng.normal(size=(trainings, 200))
    won = (ours > rng.normal(size=200)).astype(float)
    return won, float(stats.norm.cdf(0.5 / np.sqrt(2 + spread**2)))


@pytest.mark.parametrize(
    ("spread", "most_by_items"), [(0.0, 0.97), (0.1, 0.9), (0.2, 0.75), (0.4, 0.5)]
)
def test_intervals_with_three_trainings_cover_the_methods_rate(
    spread: float, most_by_items: float
) -> None:
    by_items = covered = 0
    trials, captions = 1000, np.arange(200)
    moments = []
    for seed in range(trials):
        won, truth = _trained(seed, spread, 3)
        items = cluster_bootstrap_mean(
            won[0], captions, bounds=(0, 1), resamples=RESAMPLES, seed=seed
        )
        rates, noise = [float(rate) for rate in won.mean(axis=1)], noise_of_trainings(won, captions)
        found = with_training_spread(items, rates, noise=[noise], bounds=(0.0, 1.0))
        for interval in (items, found.interval):
            assert interval.ci_low is not None and interval.ci_high is not None
        by_items += (items.ci_low or 0) <= truth <= (items.ci_high or 0)
        covered += (found.interval.ci_low or 0) <= truth <= (found.interval.ci_high or 0)
        moments.append(won.mean(axis=1).var(ddof=1) - noise)
    assert covered / trials >= 0.94
    assert by_items / trials <= most_by_items
    # The moments' estimate is right on average, though each has three trainings only.
    quality = np.random.default_rng(0).normal(size=200_000)
    variance = np.var(stats.norm.cdf((0.5 + spread * quality) / np.sqrt(2)))
    assert np.mean(moments) == pytest.approx(variance, rel=0.12, abs=3e-5)
