"""Intervals from shared draws, and a curve's height at another's abscissa."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ppdbench.statistics.intervals import cluster_bootstrap_mean
from ppdbench.statistics.matched import Matched, matched
from ppdbench.statistics.same_draws import SameDraws


def normal(seed: int, *shape: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=shape)


def test_a_mean_is_that_of_its_own_bootstrap() -> None:
    values = normal(0, 40)
    shared, own = SameDraws(40).mean(values), cluster_bootstrap_mean(values, range(40))
    assert shared.estimate == pytest.approx(own.estimate)
    assert shared.ci_low == pytest.approx(own.ci_low, abs=0.02)
    assert shared.ci_high == pytest.approx(own.ci_high, abs=0.02)
    assert (shared.n, shared.method) == (own.n, own.method)


def test_absent_clusters_are_absent() -> None:
    values = normal(1, 30)
    with_gaps = np.concatenate([values, np.full(10, np.nan)])
    found = SameDraws(40).mean(with_gaps)
    assert found.n == 30 and found.estimate == pytest.approx(values.mean())
    own = cluster_bootstrap_mean(values, range(30))
    assert found.ci_low == pytest.approx(own.ci_low, abs=0.03)


@pytest.mark.parametrize(
    "values", [[], [1.0], [1.0, 2.0, 4.0], [2.0] * 20, [float("nan")] * 12], ids=str
)
def test_what_a_bootstrap_cannot_say_is_said_as_elsewhere(values: list[float]) -> None:
    found = SameDraws(len(values)).mean(values)
    there = [value for value in values if value == value]
    assert found == cluster_bootstrap_mean(there, range(len(there)))


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="3 finite"):
        SameDraws(3).mean([1.0, 2.0])
    with pytest.raises(ValueError, match="finite"):
        SameDraws(2).mean([1.0, float("inf")])


def between(seed: int, *, n: int = 30, at: float = 0.25, slope: float = 1.0) -> Matched:
    """A curve from (0, 0) to (1, slope), every caption with noise of its own in all numbers."""
    noise = normal(seed, 6, n) * 0.1
    x_low, x_high = noise[0], 1 + noise[1]
    y_low, y_high = noise[2], slope + noise[3]
    return matched(
        SameDraws(n, seed=seed),
        at=at + noise[4],
        ours=1 + noise[5],
        low=(x_low, y_low),
        high=(x_high, y_high),
    )


def test_height_by_hand() -> None:
    """(1, 10) to (3, 20) at 2.5: 17.5; ours is 20, 2.5 above."""
    one = np.ones(12)
    found = matched(
        SameDraws(12), at=2.5 * one, ours=20 * one, low=(one, 10 * one), high=(3 * one, 20 * one)
    )
    assert found.height.estimate == pytest.approx(17.5)
    assert found.difference.estimate == pytest.approx(2.5)
    assert found.height.ci_low is None and "same in every resample" in (found.height.reason or "")


def test_bounds_are_those_of_a_slow_bootstrap() -> None:
    """One resample at a time, captions drawn by index, percentiles of the heights."""
    n, rng = 30, np.random.default_rng(5)
    noise = normal(3, 6, n) * 0.1
    table = np.array(
        [0.25 + noise[4], noise[0], noise[2], 1 + noise[1], 1 + noise[3], 1 + noise[5]]
    )
    heights, differences = [], []
    for _ in range(4000):
        at, x_low, y_low, x_high, y_high, ours = table[:, rng.integers(0, n, n)].mean(axis=1)
        height = np.interp(at, [x_low, x_high], [y_low, y_high])
        heights.append(height)
        differences.append(ours - height)
    found = between(3)
    for interval, drawn in ((found.height, heights), (found.difference, differences)):
        low, high = np.quantile(drawn, [0.025, 0.975])
        assert interval.ci_low == pytest.approx(low, abs=0.008)
        assert interval.ci_high == pytest.approx(high, abs=0.008)


def test_an_end_is_not_left() -> None:
    found = between(2, at=1.0)
    assert found.height.estimate is not None and found.height.estimate <= 1.05
    beyond = between(2, at=5.0)
    end = normal(2, 6, 30)[3].mean() * 0.1 + 1
    assert beyond.height.estimate == pytest.approx(end)


def test_a_point_met_exactly_is_that_point() -> None:
    x, y = 1 + normal(1, 20) * 0.1, normal(2, 20)
    found = matched(SameDraws(20), at=x, ours=y, low=(x, y), high=(x + 1, y + 7))
    assert found.height.estimate == pytest.approx(y.mean())
    assert found.difference.estimate == pytest.approx(0)
    assert found.difference.ci_low is None  # the same captions: never anything but 0


def test_a_flat_segment_is_its_first_point() -> None:
    x, y = np.ones(20), normal(2, 20)
    found = matched(SameDraws(20), at=x, ours=y, low=(x, y + 1), high=(x, y + 3))
    assert found.height.estimate == pytest.approx(y.mean() + 1)


def test_captions_that_lack_something_are_left_out() -> None:
    n = 20
    at, y = normal(1, n) * 0.1 + 0.5, normal(2, n)
    y_gap = y.copy()
    y_gap[3] = np.nan
    full = np.delete(np.arange(n), 3)
    zero, one = np.zeros(n), np.ones(n)
    found = matched(SameDraws(n), at=at, ours=y_gap, low=(zero, y), high=(one, y + 1))
    assert (found.height.n, found.height.n_clusters) == (19, 19)
    assert found.height.estimate == pytest.approx(y[full].mean() + at[full].mean())
    none = matched(SameDraws(n), at=at, ours=np.full(n, np.nan), low=(zero, y), high=(one, y + 1))
    assert none.height.estimate is None and none.height.reason


def test_few_captions_have_no_interval() -> None:
    found = between(0, n=9)
    assert found.height.estimate is not None and found.height.ci_low is None
    assert found.height.reason is not None and "9 clusters" in found.height.reason


@pytest.mark.slow
def test_nominal_intervals_cover() -> None:
    """400 worlds of 48 captions: the true height at the true abscissa lies in 95% of intervals."""
    covered = []
    for seed in range(400):
        height = between(seed, n=48, slope=2.0).height
        assert height.ci_low is not None and height.ci_high is not None
        covered.append(height.ci_low <= 0.5 <= height.ci_high)
    assert 0.92 <= np.mean(covered) <= 0.98
