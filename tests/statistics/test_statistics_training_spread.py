"""Intervals with the spread over trainings: by hand, at the limits, and how often they cover."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special, stats

from ppdbench.statistics import Interval, wilson, with_training_spread
from ppdbench.statistics.training_spread import noise_of_trainings


def _interval(
    low: float | None, estimate: float | None, high: float | None, clusters: int = 10**6
) -> Interval:
    return Interval(
        estimate=estimate,
        ci_low=low,
        ci_high=high,
        n=clusters,
        n_clusters=clusters,
        confidence=0.95,
        method="BCa cluster bootstrap",
    )


def _width(interval: Interval) -> float:
    assert interval.ci_low is not None and interval.ci_high is not None
    return interval.ci_high - interval.ci_low


def test_two_trainings_by_hand() -> None:
    # Items: standard error 1. Trainings 0 and 2: variance 2. Together 3, 9 / (0 + 4/1) degrees.
    z = stats.norm.ppf(0.975)
    found = with_training_spread(_interval(10 - z, 10, 10 + z), [10.0, 12.0])
    half = stats.t.ppf(0.975, 9 / 4) * math.sqrt(3)
    assert (found.interval.ci_low, found.interval.ci_high) == pytest.approx((10 - half, 10 + half))
    assert found.interval.estimate == 10
    assert found.share == pytest.approx(2 / 3)
    assert found.n_trainings == (2,)
    assert "spread over trainings" in found.interval.method
    assert found.items.method == "BCa cluster bootstrap"


def test_two_rows_with_three_trainings_each_add_their_variances() -> None:
    z = stats.norm.ppf(0.975)
    found = with_training_spread(
        _interval(-2 * z, 0, 2 * z, clusters=21), [0.0, 1.0, 2.0], [0.0, -3.0, 3.0]
    )
    total = 4 + 1 + 9
    freedom = total**2 / (16 / 20 + 1 / 2 + 81 / 2)
    half = stats.t.ppf(0.975, freedom) * math.sqrt(total)
    assert found.interval.ci_high == pytest.approx(half)
    assert found.share == pytest.approx(10 / 14)
    assert found.n_trainings == (3, 3)


def test_noise_is_taken_out_of_the_spread_and_not_of_its_uncertainty() -> None:
    z = stats.norm.ppf(0.975)
    # Variance 2, of which chance explains 0.5: 1.5 beside the items' 1, 6.25 / (0 + 4) degrees.
    found = with_training_spread(_interval(10 - z, 10, 10 + z), [10.0, 12.0], noise=[0.5])
    half = stats.t.ppf(0.975, 2.5**2 / 4) * math.sqrt(2.5)
    assert found.interval.ci_high == pytest.approx(10 + half)
    assert found.share == pytest.approx(1.5 / 2.5)
    # More noise than spread: nothing is left of it, but two trainings have not shown that.
    alike = with_training_spread(_interval(10 - z, 10, 10 + z), [10.0, 12.0], noise=[3.0])
    assert alike.share == 0
    assert (alike.interval.ci_high or 0) > 10 + z


def test_noise_of_trainings_by_hand() -> None:
    # Differences 1, 0, 0, 0: variance 1/4, of the mean 1/16; half of it.
    assert noise_of_trainings([[1.0, 1, 0, 1], [0.0, 1, 0, 1]], [0, 1, 2, 3]) == 1 / 32
    twice = noise_of_trainings([[1.0, 1, 0, 1] * 2, [0.0, 1, 0, 1] * 2], [0, 1, 2, 3] * 2)
    assert twice == pytest.approx(1 / 32)
    assert noise_of_trainings([[1.0, 0.0], [1.0, 0.0]], [0, 1]) == 0


def test_noise_is_what_trainings_of_equal_quality_show() -> None:
    rng = np.random.default_rng(0)
    clusters = np.repeat(np.arange(60), 3)
    shared = rng.normal(size=60)[clusters]
    seen, noise = [], []
    for _ in range(300):
        own = rng.normal(size=(3, 60))[:, clusters] + rng.normal(size=(3, 180))
        seen.append(float((shared + own).mean(axis=1).var(ddof=1)))
        noise.append(noise_of_trainings(shared + own, clusters))
    assert np.mean(noise) == pytest.approx(np.mean(seen), rel=0.1)


def test_rates_are_added_on_the_logit_scale_and_stay_rates() -> None:
    items = _interval(0.95, 0.97, 0.98)
    found = with_training_spread(items, [0.97, 0.9, 0.99], bounds=(0.0, 1.0))
    z, logit = stats.norm.ppf(0.975), special.logit
    sides = [(logit(0.97) - logit(0.95)) / z, (logit(0.98) - logit(0.97)) / z]
    between = np.var(logit([0.97, 0.9, 0.99]), ddof=1)
    items_variance = np.mean(sides) ** 2
    total = items_variance + between
    t = stats.t.ppf(0.975, total**2 / (items_variance**2 / (10**6 - 1) + between**2 / 2))
    low = special.expit(logit(0.97) - t * math.hypot(sides[0], math.sqrt(between)))
    assert found.interval.ci_low == pytest.approx(low)
    assert found.interval.ci_high is not None and 0.98 < found.interval.ci_high < 1


def test_both_sides_of_a_rate_mirror() -> None:
    ours = with_training_spread(_interval(0.55, 0.62, 0.66), [0.62, 0.7], bounds=(0.0, 1.0))
    theirs = with_training_spread(_interval(0.34, 0.38, 0.45), [0.38, 0.3], bounds=(0.0, 1.0))
    assert ours.interval.ci_low == pytest.approx(1 - (theirs.interval.ci_high or 0))
    assert ours.interval.ci_high == pytest.approx(1 - (theirs.interval.ci_low or 0))
    assert ours.share == pytest.approx(theirs.share)


def test_trainings_that_agree_leave_the_interval_as_it_is() -> None:
    items = wilson(600, 1000)
    same = with_training_spread(items, [0.6, 0.6, 0.6], bounds=(0.0, 1.0))
    assert same.share == 0
    assert (same.interval.ci_low, same.interval.ci_high) == pytest.approx(
        (items.ci_low, items.ci_high), abs=1e-4
    )


@pytest.mark.parametrize("seed", range(20))
def test_it_is_never_narrower_and_more_spread_is_wider(seed: int) -> None:
    rng = np.random.default_rng(seed)
    estimate = rng.uniform(0.02, 0.98)
    items = wilson(round(estimate * 200), 200)
    near = (items.estimate or 0.5) + rng.normal(0, 1e-4, 3)
    group = [float(value) for value in np.clip(near, 0.001, 0.999)]
    narrow = with_training_spread(items, group, bounds=(0.0, 1.0)).interval
    assert (narrow.ci_low or 0) <= (items.ci_low or 0)
    assert (narrow.ci_high or 0) >= (items.ci_high or 0)
    wide = with_training_spread(items, [0.3, 0.6, 0.9], bounds=(0.0, 1.0)).interval
    assert _width(wide) > _width(narrow) and 0 <= (wide.ci_low or 0) <= (wide.ci_high or 0) <= 1


def test_one_training_and_intervals_without_bounds_stay_as_they_are() -> None:
    items = _interval(0.4, 0.5, 0.6)
    found = with_training_spread(items)
    assert found.interval == items and found.share is None and found.n_trainings == ()
    for bare in (_interval(None, 0.5, None), _interval(None, None, None)):
        found = with_training_spread(bare, [0.5, 0.6])
        assert found.interval == bare and found.share is None


@pytest.mark.parametrize("group", [[1.0, 0.9, 1.0], [1.0, 1.0]])
def test_a_rate_at_its_bound_is_widened_within_it(group: list[float]) -> None:
    items = wilson(40, 40)
    found = with_training_spread(items, group, bounds=(0.0, 1.0)).interval
    assert found.ci_high == 1.0 and found.ci_low is not None
    assert found.ci_low <= (items.ci_low or 0)
    assert found.ci_low < (items.ci_low or 0) - 0.05 or group == [1.0, 1.0]


def test_a_side_that_ends_at_the_bound_stays_there() -> None:
    found = with_training_spread(_interval(0.9, 0.99, 1.0), [0.99, 0.98], bounds=(0.0, 1.0))
    assert found.interval.ci_high == 1.0 and found.share is not None and 0 < found.share < 1


def test_nothing_varies_at_all() -> None:
    found = with_training_spread(_interval(2.0, 2.0, 2.0), [2.0, 2.0])
    assert (found.interval.ci_low, found.interval.ci_high, found.share) == (2.0, 2.0, None)


@pytest.mark.parametrize(
    ("group", "message"),
    [([0.5], "two trainings"), ([0.5, math.nan], "finite"), ([0.5, 1.5], "bounds")],
)
def test_wrong_input_is_an_error(group: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        with_training_spread(_interval(0.4, 0.5, 0.6), group, bounds=(0.0, 1.0))


def test_noise_must_fit() -> None:
    for noise in ([], [0.1, 0.1], [-0.1], [math.nan]):
        with pytest.raises(ValueError, match="noise"):
            with_training_spread(_interval(0.4, 0.5, 0.6), [0.5, 0.6], noise=noise)
    with pytest.raises(ValueError, match="two trainings"):
        noise_of_trainings([[1.0, 2.0]], [0, 1])
