"""Rogan-Gladen: figures by hand, coverage with an uncertain calibration, refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ppdbench.statistics import Interval, rogan_gladen, wilson


def _of(rate: float, n: int) -> Interval:
    return wilson(round(rate * n), n)


@pytest.mark.parametrize(
    ("observed", "accuracy", "true"),
    [(0.81, 0.83, 0.97), (0.83, 0.83, 1.0), (0.5, 0.83, 0.5), (0.17, 0.83, 0.0)],
)
def test_what_a_judge_that_is_right_in_83_percent_means(
    observed: float, accuracy: float, true: float
) -> None:
    for found in (
        rogan_gladen(_of(observed, 1000), _of(accuracy, 1000)),
        rogan_gladen(_of(observed, 1000), _of(accuracy, 1000), _of(accuracy, 1000)),
    ):
        assert found.rate.estimate == pytest.approx(true, abs=5e-3)
        assert not found.beyond


def test_rogan_and_gladens_formula_by_hand() -> None:
    # (0.4 + 0.95 - 1) / (0.8 + 0.95 - 1) = 0.35 / 0.75.
    found = rogan_gladen(_of(0.4, 200), _of(0.8, 100), _of(0.95, 100))
    assert found.rate.estimate == pytest.approx(7 / 15)
    assert "Rogan-Gladen" in found.rate.method
    assert found.rate.n == 200


def test_a_perfect_instrument_changes_nothing_but_for_its_calibrations_size() -> None:
    observed, perfect = _of(0.6, 300), _of(1.0, 10**7)
    rate = rogan_gladen(observed, perfect, perfect).rate
    assert (rate.estimate, rate.ci_low, rate.ci_high) == pytest.approx(
        (observed.estimate, observed.ci_low, observed.ci_high), abs=1e-5
    )


def test_less_calibration_widens_the_interval() -> None:
    widths = []
    for n in (10_000, 400, 100):
        rate = rogan_gladen(_of(0.6, 300), _of(0.8, n), _of(0.9, n)).rate
        assert rate.ci_low is not None and rate.ci_high is not None
        widths.append(rate.ci_high - rate.ci_low)
    assert widths == sorted(widths)
    assert widths[2] > 1.2 * widths[0]


def test_sides_swapped_mirror_the_rate() -> None:
    observed, se, sp = _of(0.7, 300), _of(0.85, 120), _of(0.75, 80)
    ours, theirs = rogan_gladen(observed, se, sp).rate, rogan_gladen(_of(0.3, 300), sp, se).rate
    assert ours.estimate == pytest.approx(1 - (theirs.estimate or 0))
    assert ours.ci_low == pytest.approx(1 - (theirs.ci_high or 0))
    assert ours.ci_high == pytest.approx(1 - (theirs.ci_low or 0))


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("true", [0.2, 0.5, 0.8])
def test_intervals_cover_though_the_calibration_is_drawn_too(same: bool, true: float) -> None:
    rng = np.random.default_rng(0)
    se, sp = (0.83, 0.83) if same else (0.85, 0.78)
    covered, trials = 0, 2000
    for _ in range(trials):
        observed = wilson(int(rng.binomial(300, se * true + (1 - sp) * (1 - true))), 300)
        measured = wilson(int(rng.binomial(150, se)), 150)
        other = None if same else wilson(int(rng.binomial(150, sp)), 150)
        rate = rogan_gladen(observed, measured, other).rate
        assert rate.ci_low is not None and rate.ci_high is not None
        covered += rate.ci_low <= true <= rate.ci_high
    assert 0.935 <= covered / trials <= 0.975


def test_a_rate_that_no_truth_gives_is_said_and_stays_a_rate() -> None:
    found = rogan_gladen(_of(0.9, 100), _of(0.83, 100))
    assert found.beyond and found.rate.estimate == 1.0
    assert found.rate.ci_high == 1.0 and (found.rate.ci_low or 1) < 1
    assert rogan_gladen(_of(0.1, 100), _of(0.83, 100)).rate.estimate == 0.0


def test_guessing_is_refused() -> None:
    for accuracy in (0.5, 0.3):
        found = rogan_gladen(_of(0.6, 100), _of(accuracy, 100))
        assert found.rate.estimate is found.rate.ci_low is None
        assert "no better than guessing" in str(found.rate.reason)
    found = rogan_gladen(_of(0.6, 100), _of(0.9, 100), _of(0.1, 100))
    assert found.rate.estimate is None


def test_a_calibration_that_guessing_would_pass_is_refused() -> None:
    for other in (None, _of(0.54, 50)):
        found = rogan_gladen(_of(0.6, 1000), _of(0.54, 50), other)
        assert found.rate.estimate is None
        assert "cannot tell the instrument from guessing" in str(found.rate.reason)


def test_what_is_not_known_is_not_corrected() -> None:
    nothing = wilson(0, 0)
    found = rogan_gladen(nothing, _of(0.8, 100))
    assert found.rate.estimate is None and "not known" in str(found.rate.reason)
    bare = replace(_of(0.8, 100), ci_low=None, ci_high=None)
    rate = rogan_gladen(_of(0.6, 100), bare).rate
    assert rate.estimate == pytest.approx(2 / 3) and rate.ci_low is None
    assert "no interval" in str(rate.reason)


def test_wrong_input_is_an_error() -> None:
    with pytest.raises(ValueError, match="rates"):
        rogan_gladen(replace(_of(0.5, 10), estimate=1.2), _of(0.8, 10))
    with pytest.raises(ValueError, match="confidence"):
        rogan_gladen(_of(0.5, 10), wilson(8, 10, confidence=0.9))
