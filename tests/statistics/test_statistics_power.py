"""Power against scipy's own binomial test, published sizes and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from ppdbench.statistics import (
    minimum_detectable_difference,
    minimum_detectable_rate,
    paired_difference,
)


def _power(n: int, rate: float, against: float, alpha: float) -> float:
    """By scipy's test, one count after the other."""
    found = [k for k in range(n + 1) if stats.binomtest(k, n, against).pvalue <= alpha]
    return float(np.asarray(stats.binom.pmf(found, n, rate)).sum())


@pytest.mark.parametrize(("n", "percent"), [(192, 60.6), (134, 62.2), (277, 58.7), (469, 56.7)])
def test_the_papers_numbers_of_users_find_these_rates(n: int, percent: float) -> None:
    # The smallest tenth of a percent that is found in 80%.
    found = minimum_detectable_rate(n)
    assert found is not None
    assert math.ceil(found * 1000) / 10 == percent


@pytest.mark.parametrize("n", [6, 23, 96])
@pytest.mark.parametrize(("against", "power", "alpha"), [(0.5, 0.8, 0.05), (0.2, 0.9, 0.01)])
def test_the_rate_has_this_power_by_scipys_test(
    n: int, against: float, power: float, alpha: float
) -> None:
    found = minimum_detectable_rate(n, against=against, power=power, alpha=alpha)
    assert found is not None and against < found < 1
    assert _power(n, found, against, alpha) == pytest.approx(power, abs=1e-6)


def test_more_trials_find_less_and_more_power_needs_more() -> None:
    rates = [minimum_detectable_rate(n) or 1.0 for n in (10, 40, 160, 640)]
    assert rates == sorted(rates, reverse=True)
    assert (minimum_detectable_rate(100, power=0.95) or 0) > (minimum_detectable_rate(100) or 1)


def test_too_few_trials_find_nothing() -> None:
    # Five heads of five have a two-sided p-value of 1/16.
    assert [minimum_detectable_rate(n) for n in (0, 1, 5)] == [None, None, None]
    # All of 20 are not rare enough at 90%, though few of them would be.
    assert minimum_detectable_rate(20, against=0.9) is None
    six = minimum_detectable_rate(6)
    # All six, or by far less often none: rate^6 = 0.8.
    assert six == pytest.approx(0.8 ** (1 / 6), abs=1e-6)


def test_two_models_at_192_items() -> None:
    # Unpaired rates near 1/2; paired ones that disagree on 30% of the items.
    assert minimum_detectable_difference(math.sqrt(0.5 / 192)) == pytest.approx(0.143, abs=5e-4)
    assert minimum_detectable_difference(math.sqrt(0.3 / 192)) == pytest.approx(0.11, abs=1e-3)
    assert minimum_detectable_difference(1.0) == pytest.approx(1.959964 + 0.841621, abs=1e-5)


def test_a_paired_difference_knows_its_error_and_what_it_could_find() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 300))
    found = paired_difference(a, b, np.arange(300))
    assert found.standard_error == pytest.approx(stats.sem(a - b))
    assert found.minimum_detectable == pytest.approx(2.80159 * stats.sem(a - b), rel=1e-5)
    assert set(found.fields("x")) == {"x", "x_ci_low", "x_ci_high", "x_p_value"}


def test_the_error_is_that_of_clusters() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.random((2, 100))
    once = paired_difference(a, b, np.arange(100))
    five = paired_difference(np.tile(a, 5), np.tile(b, 5), np.tile(np.arange(100), 5))
    assert five.standard_error == pytest.approx(once.standard_error)
    # Two clusters, three and one items: totals 1.0 and 0.5 of a mean of 3/8.
    by_hand = paired_difference([0.5, 0.25, 0.25, 0.5], [0.0] * 4, [0, 0, 0, 1])
    residuals = (1.0 - 3 * 0.375, 0.5 - 0.375)
    assert by_hand.standard_error == pytest.approx(math.sqrt(2 * np.square(residuals).sum()) / 4)


def test_an_effect_of_the_minimum_is_found_in_four_of_five() -> None:
    rng = np.random.default_rng(2)
    n, effect = 150, minimum_detectable_difference(math.sqrt(0.1 / 150))
    p = [
        paired_difference(
            effect + math.sqrt(0.1) * rng.normal(size=n).clip(-3, 3), np.zeros(n), np.arange(n),
            bounds=(-2, 2), resamples=400,
        ).p_value
        for _ in range(400)
    ]  # fmt: skip
    assert np.mean([value is not None and value <= 0.05 for value in p]) == pytest.approx(
        0.8, abs=0.06
    )


@pytest.mark.parametrize("n", range(2, 9))
def test_what_no_test_can_find_is_not_promised(n: int) -> None:
    """All of one sign is the most that n clusters can show: p = 2 / 2^n, 6.25% of five."""
    found = paired_difference(np.arange(1.0, n + 1), np.zeros(n), range(n), bounds=None)
    least = 2 / 2**n
    assert found.p_value == least and found.standard_error is not None
    assert (found.minimum_detectable is None) == (least > 0.05)


def test_what_has_no_spread_has_no_error() -> None:
    for a, clusters in ((np.ones(40), range(40)), (np.arange(3.0) / 3, [0, 0, 0]), ([], [])):
        found = paired_difference(a, np.zeros(len(a)), list(clusters))
        assert found.standard_error is None and found.minimum_detectable is None


@pytest.mark.parametrize("error", [0.0, -1.0, math.nan, math.inf])
def test_an_error_that_is_none_is_refused(error: float) -> None:
    with pytest.raises(ValueError, match="standard error"):
        minimum_detectable_difference(error)


def test_wrong_levels_are_refused() -> None:
    with pytest.raises(ValueError, match="power"):
        minimum_detectable_difference(1.0, power=0.01)
    with pytest.raises(ValueError, match="level"):
        minimum_detectable_rate(10, alpha=0.0)
    with pytest.raises(ValueError, match="rate of"):
        minimum_detectable_rate(10, against=1.0)
    with pytest.raises(ValueError, match="trials"):
        minimum_detectable_rate(-1)
