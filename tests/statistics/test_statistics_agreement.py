"""Agreement with labels: four figures that belong together, whichever calls came."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from ppdbench.statistics.agreement import Agreement, agreement
from ppdbench.statistics.order_flip import judged

NAN = math.nan


def _calls(
    seed: int, users: int = 40, each: int = 20, lean: float = 0.0, noise: float = 1.0
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Right calls of a judge that sees margins with noise and leans towards the first image.

    The right image is shown first in the first order.
    """
    rng = np.random.default_rng(seed)
    clusters = np.repeat(np.arange(users), each)
    margin = np.abs(rng.normal(size=len(clusters)))
    seen = margin + noise * rng.normal(size=(2, len(clusters)))
    return (seen[0] + lean > 0).astype(float), (seen[1] - lean > 0).astype(float), clusters


def test_figures_of_eight_items_by_hand() -> None:
    # Right twice (3), wrong twice, right first, abstained once, one call failed, both failed.
    first = [1, 1, 1, 0, 1, 0.5, NAN, NAN]
    second = [1, 1, 1, 0, 0, 1, 1, NAN]
    found = agreement(first, second, ["a", "a", "b", "b", "c", "c", "d", "e"]).fields()
    assert found["n_calls"] == 13
    assert found["all_call"] == pytest.approx((6 + 0 + 1 + 1.5 + 1) / 13)
    assert (found["n"], found["n_users"], found["n_failed"]) == (6, 3, 2)
    assert found["tie_half"] == pytest.approx((3 + 0 + 0.5 + 0.5) / 6)
    assert (found["consistent"], found["n_consistent"]) == (0.75, 4)
    assert found["coverage"] == pytest.approx(4 / 6)
    assert found["first_pick_bias"] == pytest.approx(1 / 6)
    assert "reason" not in found
    assert None not in found.values()


@pytest.mark.parametrize("seed", range(3))
def test_with_every_call_and_no_abstention_all_call_is_tie_half_and_the_win_rate(seed: int) -> None:
    first, second, users = _calls(seed)
    found, rate = agreement(first, second, users), judged(first, second, users)
    assert found.all_call.estimate == found.tie_half.estimate == rate.win_rate.estimate
    assert found.consistent == rate.consistent
    assert found.coverage == rate.coverage
    assert found.table == rate.table


def test_a_failed_call_never_scores() -> None:
    first, second, users = _calls(0)
    lost = np.random.default_rng(1).random(len(first)) < 0.2
    whole = agreement(np.where(lost, NAN, first), np.where(lost, NAN, second), users)
    kept = agreement(first[~lost], second[~lost], users[~lost])
    for name in ("all_call", "tie_half", "consistent", "coverage", "table"):
        assert getattr(whole, name) == getattr(kept, name)
    assert (whole.n_failed, kept.n_failed) == (lost.sum(), 0)
    half = agreement(np.where(lost, NAN, first), second, users)
    assert half.tie_half == kept.tie_half
    assert half.all_call.n == kept.all_call.n + lost.sum()


def test_where_the_right_image_was_matters_to_the_bias_only() -> None:
    first, second, users = _calls(2, lean=0.5)
    in_order = np.random.default_rng(3).random(len(first)) < 0.5
    swapped = agreement(
        np.where(in_order, first, second),
        np.where(in_order, second, first),
        users,
        right_shown_first=in_order,
    )
    assert swapped.fields() == agreement(first, second, users).fields()
    assert swapped.table.first_pick_bias_flagged
    hidden = agreement(np.where(in_order, first, second), np.where(in_order, second, first), users)
    assert hidden.tie_half == swapped.tie_half
    assert abs(hidden.table.first_pick_bias or 0) < 0.5 * (swapped.table.first_pick_bias or 0)


def test_inverted_labels_give_one_minus_agreement_and_renamed_users_the_same() -> None:
    first, second, users = _calls(4, users=150, each=7)
    found = agreement(first, second, users)
    wrong = agreement(1 - first, 1 - second, users)
    for name in ("all_call", "tie_half", "consistent"):
        one, other = getattr(found, name), getattr(wrong, name)
        assert one.estimate == 1 - other.estimate
        assert (one.ci_low, one.ci_high) == (1 - other.ci_high, 1 - other.ci_low)
    assert found.coverage == wrong.coverage
    names = np.random.default_rng(5).permutation(150)
    assert agreement(first, second, names[users]).fields() == found.fields()


def test_users_are_the_sample() -> None:
    # A user is read rightly or not at all: 20 choices of one say little more than one choice.
    rng = np.random.default_rng(6)
    right = np.repeat((rng.random(100) < 0.8).astype(float), 20)
    users = np.repeat(np.arange(100), 20)
    found = agreement(right, right, users)
    width = (found.tie_half.ci_high or 0) - (found.tie_half.ci_low or 0)
    assert width == pytest.approx(2 * 1.96 * math.sqrt(0.8 * 0.2 / 100), rel=0.2)


def test_a_worse_judge_agrees_more_on_what_it_keeps() -> None:
    """Why consistent-only agreement is never shown without coverage.

    Leaning towards the first image makes calls worse, keeps clear items only, and so raises
    agreement on the items kept; the calls themselves and the tie-half figure fall.
    """
    fair = agreement(*_calls(7, users=1_000, noise=1.2), resamples=500)
    worse = agreement(*_calls(7, users=1_000, noise=1.2, lean=1.5), resamples=500)

    def of(found: Agreement) -> tuple[float, float, float, float]:
        figures = (found.all_call, found.tie_half, found.consistent, found.coverage)
        assert all(figure.estimate is not None for figure in figures)
        one, two, three, four = (figure.estimate or 0.0 for figure in figures)
        return one, two, three, four

    fair_calls, fair_half, fair_kept, fair_coverage = of(fair)
    calls, half, kept, coverage = of(worse)
    assert calls < fair_calls - 0.05 and half < fair_half - 0.05
    assert kept > fair_kept + 0.03
    assert coverage < 0.6 * fair_coverage


def test_always_first_agrees_in_half_of_all_calls_and_covers_nothing() -> None:
    found = agreement(np.ones(200), np.zeros(200), np.arange(200) // 20).fields()
    assert (found["all_call"], found["tie_half"], found["coverage"]) == (0.5, 0.5, 0.0)
    assert found["consistent"] is None
    assert found["consistent_reason"] == "no pick survived swapping the images"
    assert found["first_pick_bias"] == 1.0 and found["first_pick_bias_flagged"] is True


def test_nothing_and_nothing_in_both_orders_are_said() -> None:
    for first, second, calls in (([], [], 0), ([NAN], [NAN], 0), ([1.0, NAN], [NAN, 0.0], 2)):
        found = agreement(first, second, list(range(len(first)))).fields()
        assert found["reason"] == "no item was judged in both orders"
        assert (found["n"], found["n_users"], found["n_calls"]) == (0, 0, calls)
        assert found["tie_half"] is None and found["first_pick_bias"] is None
        assert found["all_call"] == (0.5 if calls else None)
    one = agreement([1.0], [1.0], ["a"]).fields()
    assert (one["tie_half"], one["tie_half_ci_high"]) == (1.0, 1.0)
    assert one["tie_half_ci_low"] < 0.25


def test_bad_calls_are_refused() -> None:
    with pytest.raises(ValueError, match="or NaN where"):
        agreement([0.7], [1.0], [0])
    with pytest.raises(ValueError, match="calls of"):
        agreement([1.0], [1.0, 0.0], [0])
    with pytest.raises(ValueError, match="places"):
        agreement([1.0], [1.0], [0], right_shown_first=[True, False])
