"""Order-flipped figures: exact where they should be, honest where there is little, hard to fool."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from ppdbench.statistics.mirrored import mirrored_mean, share
from ppdbench.statistics.order_flip import (
    Judged,
    OrderTable,
    comparison_scores,
    first_pick_p_value,
    judged,
    order_table,
)
from ppdbench.statistics.paired import paired_difference

Floats = NDArray[np.float64]

UNKNOWN = {"p_holm", "debiased_win_rate", "debiased_win_rate_ci_low", "debiased_win_rate_ci_high"}


def _some(
    seed: int, users: int = 60, each: int = 1, abstain: float = 0.0
) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Outcomes in both orders of comparisons that differ in how clear they are."""
    rng = np.random.default_rng(seed)
    clusters = np.repeat(np.arange(users), each)
    clear = rng.normal(0.3, 1, users)[clusters] + rng.normal(size=len(clusters))
    calls = [np.sign(clear + rng.normal(size=len(clusters))) / 2 + 0.5 for _ in range(2)]
    first, second = (np.where(rng.random(len(c)) < abstain, 0.5, c) for c in calls)
    return first, second, clusters


def _numbers(fields: dict[str, Any]) -> list[float]:
    return [value for value in fields.values() if isinstance(value, int | float)]


def test_figures_of_ten_comparisons_by_hand() -> None:
    # 4 wins, 1 loss, 2 first-first, 1 second-second, 1 tie, 1 that abstained in one order.
    first = [1, 1, 1, 1, 0, 1, 1, 0, 0.5, 1]
    second = [1, 1, 1, 1, 0, 0, 0, 1, 0.5, 0.5]
    found = judged(first, second, [f"user {i}" for i in range(10)]).fields()
    assert found["win_rate"] == (4 + 0.5 * (2 + 1 + 1 + 1)) / 10
    assert (found["wins"], found["losses"], found["n_consistent"]) == (4, 1, 5)
    assert (found["flips"], found["ties"], found["n"], found["n_users"]) == (4, 1, 10, 10)
    assert (found["first_first"], found["second_second"]) == (2, 1)
    assert found["consistent_win_rate"] == 0.8
    assert found["coverage"] == 0.5
    assert (found["lower_bound"], found["upper_bound"]) == (0.4, 0.9)
    # Ours first: 7 picks of it among 9; ours second: theirs is first, 1 + 2 picks of it among 8.
    assert found["first_pick_rate"] == pytest.approx((7 + 3) / (9 + 8))
    assert found["first_pick_bias"] == pytest.approx(0.1)
    assert found["first_pick_bias_p_value"] == 1.0  # 2 of 3 cannot tell
    assert found["first_pick_bias_flagged"] is False
    assert {key for key, value in found.items() if value is None} == UNKNOWN
    assert found["n_debiased"] == 0
    assert "reason" not in found


def test_consistent_rate_and_coverage_have_wilsons_interval_with_one_comparison_a_user() -> None:
    first = np.repeat([1.0, 0.0, 1.0], [78, 22, 43])
    second = np.repeat([1.0, 0.0, 0.0], [78, 22, 43])
    found = judged(first, second, np.arange(143))
    for interval, k, n in ((found.consistent, 78, 100), (found.coverage, 100, 143)):
        known = stats.binomtest(k, n).proportion_ci(method="wilson")
        assert interval.method == "Wilson"
        assert (interval.ci_low, interval.ci_high) == pytest.approx((known.low, known.high))
    assert found.win_rate.method == "BCa cluster bootstrap"


def test_comparisons_of_one_user_are_not_independent() -> None:
    first, second, users = _some(0, users=80, each=10)
    whole, loose = judged(first, second, users), judged(first, second, np.arange(len(first)))
    for name in ("win_rate", "consistent"):
        by_user, alone = getattr(whole, name), getattr(loose, name)
        assert by_user.estimate == alone.estimate
        assert by_user.ci_high - by_user.ci_low > 1.2 * (alone.ci_high - alone.ci_low)
    assert whole.consistent.method == "BCa cluster bootstrap"


@pytest.mark.parametrize("abstain", [0.0, 0.3])
@pytest.mark.parametrize("each", [1, 3])
@pytest.mark.parametrize("users", [3, 47, 300])
def test_swapping_the_systems_gives_one_minus_everything_to_the_last_bit(
    users: int, each: int, abstain: float
) -> None:
    for seed in range(4):
        first, second, clusters = _some(seed, users, each, abstain)
        odds = np.random.default_rng(seed).normal(size=(2, len(first)))
        ours = judged(first, second, clusters, first_log_odds=odds[0], second_log_odds=odds[1])
        theirs = judged(
            1 - second, 1 - first, clusters, first_log_odds=-odds[1], second_log_odds=-odds[0]
        )
        one, other = ours.fields(), theirs.fields()
        for name, mirror in (
            ("win_rate", "win_rate"),
            ("ci_low", "ci_high"),
            ("consistent_win_rate", "consistent_win_rate"),
            ("consistent_win_rate_ci_low", "consistent_win_rate_ci_high"),
            ("debiased_win_rate", "debiased_win_rate"),
            ("debiased_win_rate_ci_low", "debiased_win_rate_ci_high"),
            ("lower_bound", "upper_bound"),
        ):
            if one[name] is None:
                assert other[mirror] is None and one["n_consistent"] == 0
                continue
            assert one[name] == 1 - other[mirror]
            assert other[name] == 1 - one[mirror]
            assert one[mirror] == 1 - other[name]
        assert (one["wins"], one["losses"]) == (other["losses"], other["wins"])
        same = ("p_value", "first_first", "second_second", "first_pick_rate", "first_pick_bias")
        for name in (*same, "coverage", "coverage_ci_low", "first_pick_bias_p_value", "flips"):
            assert one[name] == other[name]


def test_shares_mirror_exactly_where_a_plain_division_does_not() -> None:
    plain = [(k, n) for n in range(1, 60) for k in range(n + 1) if (n - k) / n != 1 - k / n]
    assert plain  # 1/3 and 2/3, for one
    for n in range(1, 200):
        for k in range(n + 1):
            assert share(n - k, n) == 1 - share(k, n)
            assert share(k, n) == pytest.approx(k / n, abs=1e-15)


@pytest.mark.parametrize("each", [1, 5, 21])
def test_renaming_users_changes_nothing(each: int) -> None:
    # Enough users of many sizes that clusters are gathered, not counted.
    first, second, users = _some(5, users=400, each=each, abstain=0.1)
    kept = np.random.default_rng(6).random(len(first)) < 0.6
    first, second, users = first[kept], second[kept], users[kept]
    names = np.random.default_rng(7).permutation(400)
    renamed = np.array([f"user {name}" for name in names])[users]
    assert judged(first, second, users).fields() == judged(first, second, renamed).fields()
    rows = np.random.default_rng(8).permutation(len(first))
    shuffled = judged(first[rows], second[rows], users[rows])
    assert judged(first, second, users).fields() == shuffled.fields()


@pytest.mark.parametrize("seed", range(5))
def test_without_abstentions_the_tie_half_rate_is_coverage_times_consistent_plus_half_the_rest(
    seed: int,
) -> None:
    first, second, users = _some(seed, users=211)
    found = judged(first, second, users).fields()
    c, w_f = found["coverage"], found["consistent_win_rate"]
    assert found["win_rate"] == pytest.approx(c * w_f + (1 - c) / 2, abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_bounds_hold_whatever_the_rest_would_have_been(seed: int) -> None:
    first, second, users = _some(seed, users=150, abstain=0.2)
    found = judged(first, second, users)
    fields, table = found.fields(), found.table
    c, w_f = fields["coverage"], fields["consistent_win_rate"]
    assert fields["lower_bound"] == pytest.approx(c * w_f, abs=1e-12)
    assert fields["upper_bound"] == pytest.approx(c * w_f + 1 - c, abs=1e-12)
    unsettled = (first != second) | (first == 0.5)
    assert np.where(unsettled, 0, first).mean() == pytest.approx(fields["lower_bound"])
    assert np.where(unsettled, 1, first).mean() == pytest.approx(fields["upper_bound"])
    assert fields["lower_bound"] <= fields["win_rate"] <= fields["upper_bound"]
    assert table.n == len(first) == table.wins + table.losses + table.flips + table.ties


def test_always_first_has_coverage_zero_exactly_one_half_and_a_flag() -> None:
    n = 469
    found = judged(np.ones(n), np.zeros(n), np.arange(n)).fields()
    assert (found["win_rate"], found["coverage"], found["p_value"]) == (0.5, 0.0, 1.0)
    assert found["consistent_win_rate"] is None
    assert found["consistent_reason"] == "no pick survived swapping the images"
    assert "reason" not in found  # the headline is known
    assert (found["lower_bound"], found["upper_bound"]) == (0.0, 1.0)
    assert (found["first_pick_rate"], found["first_pick_bias"]) == (1.0, 1.0)
    assert found["first_pick_bias_flagged"] is True
    assert found["ci_low"] < 0.5 < found["ci_high"]
    second = judged(np.zeros(n), np.ones(n), np.arange(n)).fields()
    assert (second["win_rate"], second["first_pick_bias"]) == (0.5, -1.0)
    assert second["first_pick_bias_flagged"] is True


def test_random_has_half_coverage_and_intervals_that_cover_one_half() -> None:
    rng = np.random.default_rng(0)
    covered = flagged = tested = 0
    for _ in range(200):
        first, second = rng.integers(0, 2, (2, 469)).astype(float)
        found = judged(first, second, np.arange(469), resamples=2_000).fields()
        assert 0.4 < found["coverage"] < 0.6
        covered += found["ci_low"] <= 0.5 <= found["ci_high"]
        flagged += found["first_pick_bias_flagged"]
        tested += found["p_value"] < 0.05
    assert covered >= 184  # 95% of 200, less two standard errors
    assert flagged <= 18
    assert tested <= 18


def test_all_wins_all_losses_and_all_ties_are_honest() -> None:
    for n in (1, 2, 12, 469):
        users = np.arange(n)
        won = judged(np.ones(n), np.ones(n), users).fields()
        assert (won["win_rate"], won["ci_high"], won["coverage"]) == (1.0, 1.0, 1.0)
        low = stats.binomtest(n, n).proportion_ci(method="wilson").low
        assert won["ci_low"] == pytest.approx(low)
        assert (won["first_pick_bias"], won["first_pick_bias_p_value"]) == (0.0, 1.0)
        lost = judged(np.zeros(n), np.zeros(n), users).fields()
        assert (lost["win_rate"], lost["ci_low"]) == (0.0, 0.0)
        assert lost["ci_high"] == 1 - won["ci_low"]
        tied = judged(np.full(n, 0.5), np.full(n, 0.5), users).fields()
        assert (tied["win_rate"], tied["coverage"], tied["ties"]) == (0.5, 0.0, n)
        assert tied["ci_low"] < 0.5 < tied["ci_high"]
        assert tied["first_pick_rate"] is None  # nothing was picked
        assert tied["consistent_win_rate"] is None


def test_one_user_is_one_observation() -> None:
    first, second = np.ones(50), np.ones(50)
    found = judged(first, second, ["the only one"] * 50).fields()
    assert (found["n"], found["n_users"], found["p_value"]) == (50, 1, 1.0)
    assert found["ci_low"] < 0.25  # Wilson of 1 of 1
    assert found["consistent_win_rate_ci_low"] < 0.25


def test_nothing_judged_is_said() -> None:
    found = judged([], [], []).fields()
    assert found["reason"] == "no comparison was judged in both orders"
    assert (found["n"], found["n_users"], found["test"], found["interval"]) == (
        0,
        0,
        "none",
        "none",
    )
    assert found["win_rate"] is None and found["p_value"] is None
    assert found["first_pick_bias"] is None and found["first_pick_bias_flagged"] is None
    assert set(found) - {"reason"} == set(judged([1], [1], [0]).fields())


def test_no_figure_is_ever_nan() -> None:
    values = (0.0, 0.5, 1.0)
    for first in values:
        for second in values:
            for n, users in ((1, 1), (2, 1), (2, 2), (11, 11), (11, 2), (30, 1)):
                clusters = np.arange(n) % users
                ours, theirs = np.full(n, first), np.full(n, second)
                ours[0] = 1.0
                found = judged(
                    ours,
                    theirs,
                    clusters,
                    first_log_odds=ours - 0.5,
                    second_log_odds=theirs - 0.5,
                    resamples=200,
                )
                fields = found.fields()
                assert all(math.isfinite(value) for value in _numbers(fields))
                assert fields["ci_low"] <= fields["win_rate"] <= fields["ci_high"]


def test_bad_outcomes_are_refused() -> None:
    for first, second in (([1.0], [1.0, 0.0]), ([0.7], [1.0]), ([math.nan], [1.0])):
        with pytest.raises(ValueError, match="outcomes"):
            judged(first, second, list(range(len(first))))
    with pytest.raises(ValueError, match="clusters"):
        judged([1.0, 0.0], [1.0, 0.0], [0])
    with pytest.raises(ValueError, match="both orders or in none"):
        judged([1.0], [1.0], [0], first_log_odds=[1.0])
    with pytest.raises(ValueError, match="log-odds of"):
        judged([1.0], [1.0], [0], first_log_odds=[1.0, 2.0], second_log_odds=[1.0, 2.0])


def test_debiased_rate_sees_through_an_additive_bias_for_a_place() -> None:
    rng = np.random.default_rng(0)
    liking = rng.normal(0.4, 1, 300)
    users = np.arange(300)

    def at(bias: float) -> Judged:
        first, second = liking + bias, liking - bias
        return judged(
            (first > 0).astype(float),
            (second > 0).astype(float),
            users,
            first_log_odds=first,
            second_log_odds=second,
        )

    fair, biased, hopeless = at(0.0), at(1.0), at(8.0)
    assert fair.win_rate.estimate == (liking > 0).mean()
    assert biased.table.first_pick_bias_flagged and not fair.table.first_pick_bias_flagged
    assert hopeless.win_rate.estimate == 0.5
    for found in (fair, biased, hopeless):
        assert found.debiased.estimate == fair.win_rate.estimate
        assert found.debiased.ci_low == pytest.approx(fair.win_rate.ci_low, abs=0.01)


def test_debiased_rate_leaves_out_what_has_no_log_odds_and_ties_what_cancels() -> None:
    infinite = math.inf
    found = judged(
        [1, 1, 0, 1],
        [1, 0, 0, 0],
        [0, 1, 2, 3],
        first_log_odds=[2.0, infinite, math.nan, 1.5],
        second_log_odds=[1.0, -infinite, -1.0, -1.5],
    )
    assert found.debiased.n == found.fields()["n_debiased"] == 3
    assert found.debiased.estimate == pytest.approx((1 + 0.5 + 0.5) / 3)


def test_first_pick_test_is_the_exact_binomial() -> None:
    assert first_pick_p_value(0, 0) == 1.0
    assert first_pick_p_value(6, 0) == first_pick_p_value(0, 6) == pytest.approx(2 / 64)
    assert first_pick_p_value(5, 0) == pytest.approx(2 / 32)  # five flips cannot flag anything
    assert first_pick_p_value(40, 25) == pytest.approx(stats.binomtest(40, 65).pvalue)


def _by_chance(
    rng: np.random.Generator, n: int, coverage: float, bias: float
) -> tuple[OrderTable, Floats, Floats]:
    """A judge that keeps its verdict with a chance, and else goes by the place, unevenly."""
    flips = 1 - coverage
    chances = [0.6 * coverage, 0.4 * coverage, (flips + bias) / 2, (flips - bias) / 2]
    kind = rng.choice(4, size=n, p=chances)
    first, second = np.array([1.0, 0, 1, 0])[kind], np.array([1.0, 0, 0, 1])[kind]
    return order_table(first, second), first, second


def test_a_bias_of_ten_points_is_flagged_and_a_fair_judge_is_not() -> None:
    rng = np.random.default_rng(0)
    biased = [_by_chance(rng, 469, 0.75, 0.10)[0] for _ in range(1_000)]
    fair = [_by_chance(rng, 469, 0.75, 0.0)[0] for _ in range(1_000)]
    assert np.mean([table.first_pick_bias or 0 for table in biased]) == pytest.approx(
        0.1, abs=0.003
    )
    assert np.mean([table.n_consistent / table.n for table in fair]) == pytest.approx(
        0.75, abs=0.01
    )
    assert sum(bool(table.first_pick_bias_flagged) for table in biased) >= 950
    assert sum(bool(table.first_pick_bias_flagged) for table in fair) <= 65


def test_intervals_cover_what_they_estimate() -> None:
    # 120 users of 3 comparisons that share a liking: the tie-half rate of all such users.
    def draw(rng: np.random.Generator, users: int) -> tuple[Floats, Floats, NDArray[np.int64]]:
        clusters = np.repeat(np.arange(users), 3)
        liking = rng.normal(0.4, 1, users)[clusters] + rng.normal(size=3 * users)
        calls = [(liking + rng.normal(size=3 * users) > 0).astype(float) for _ in range(2)]
        return calls[0], calls[1], clusters

    rng = np.random.default_rng(1)
    truth = comparison_scores(*draw(rng, 300_000)[:2]).mean()
    found = [judged(*draw(rng, 120), resamples=1_000).win_rate for _ in range(300)]
    covered = sum((i.ci_low or 0) <= truth <= (i.ci_high or 1) for i in found)
    assert covered >= 0.95 * 300 - 2.5 * math.sqrt(300 * 0.95 * 0.05)


def test_filtering_is_selection_a_worse_judge_has_the_higher_consistent_only_rate() -> None:
    """The trap that the tie-half headline is there for.

    People prefer our image in 57% of comparisons, some clearly, some barely. Both judges see that
    with the same noise, and one also leans towards the first image. Only clear cases survive the
    swap there, and clear cases are won more often: its consistent-only rate rises above the fair
    judge's, though it has half the coverage and every one of its calls is less reliable. The
    tie-half rate falls towards one half instead, and the bias is flagged.
    """
    rng = np.random.default_rng(0)
    n = 100_000
    liking = rng.normal(0.176, 1, n)
    noise = rng.normal(0, 1.2, (2, n))

    def by(lean: float) -> tuple[Judged, float]:
        first, second = liking + noise[0] + lean > 0, liking + noise[1] - lean > 0
        right = ((first == (liking > 0)).mean() + (second == (liking > 0)).mean()) / 2
        found = judged(first.astype(float), second.astype(float), np.arange(n), resamples=200)
        return found, float(right)

    (fair, fair_right), (worse, worse_right) = by(0.0), by(1.5)
    assert (liking > 0).mean() == pytest.approx(0.57, abs=0.005)
    assert worse_right < fair_right - 0.08
    assert fair.coverage.estimate == pytest.approx(0.64, abs=0.01)
    assert worse.coverage.estimate == pytest.approx(0.325, abs=0.01)
    assert (worse.consistent.ci_low or 0) > (fair.consistent.ci_high or 1)
    assert (worse.win_rate.ci_high or 1) < (fair.win_rate.ci_low or 0)
    assert worse.table.first_pick_bias_flagged and not fair.table.first_pick_bias_flagged


def test_ten_thousand_resamples_of_469_take_well_under_a_second() -> None:
    first, second, users = _some(0, users=469)
    judged(first, second, users)
    start = time.perf_counter()
    judged(first, second, users, first_log_odds=first, second_log_odds=second)
    assert time.perf_counter() - start < 0.5


# Paired differences of two arms.


def test_paired_difference_by_hand() -> None:
    own = [1.0, 1.0, 0.5, 0.0, 1.0, math.nan]
    other = [0.5, 0.0, 0.5, 0.5, math.nan, 1.0]
    found = paired_difference(own, other, ["a", "b", "c", "d", "e", "f"])
    assert (found.n, found.n_clusters) == (4, 4)
    assert found.difference.estimate == pytest.approx((0.5 + 1 + 0 - 0.5) / 4)
    # |sum| >= 1 among the 8 signings of 0.5, 1, 0.5: all but +0.5 +0.5 -1 and its mirror.
    assert found.p_value == pytest.approx(6 / 8)
    assert set(found.fields("difference")) == {
        "difference",
        "difference_ci_low",
        "difference_ci_high",
        "difference_p_value",
    }


@pytest.mark.parametrize("each", [1, 4])
def test_swapping_the_arms_changes_the_sign_and_renaming_users_nothing(each: int) -> None:
    rng = np.random.default_rng(each)
    users = np.repeat(np.arange(120), each)
    own, other = rng.random((2, len(users)))  # all distinct: clusters are gathered
    found, back = paired_difference(own, other, users), paired_difference(other, own, users)
    for name, mirror in (("estimate", "estimate"), ("ci_low", "ci_high"), ("ci_high", "ci_low")):
        assert getattr(found.difference, name) == -getattr(back.difference, mirror)
    assert found.p_value == back.p_value
    named = np.array([f"user {k}" for k in rng.permutation(120)])[users]
    assert paired_difference(own, other, named) == found


def test_pairing_finds_what_two_intervals_hide() -> None:
    rng = np.random.default_rng(3)
    liking = rng.normal(0, 1, 200)
    own, other = (liking > -0.3).astype(float), (liking > 0).astype(float)
    users = np.arange(200)
    apart = [mirrored_mean(values, users, bounds=(0, 1)) for values in (own, other)]
    assert (apart[0].ci_low or 0) < (apart[1].ci_high or 1)
    found = paired_difference(own, other, users)
    assert (found.difference.ci_low or 0) > 0.05
    assert (found.p_value or 1) < 0.001


def test_paired_difference_of_nothing_one_user_or_equal_arms_is_honest() -> None:
    nothing = paired_difference([math.nan], [1.0], [0])
    assert (nothing.n, nothing.p_value, nothing.test) == (0, None, "none")
    assert nothing.reason == "no item that both arms have"
    assert set(nothing.fields("gain").values()) == {None}
    equal = paired_difference(np.ones(40), np.ones(40), np.arange(40))
    assert (equal.difference.estimate, equal.p_value) == (0.0, 1.0)
    assert (equal.difference.ci_low or 0) < 0 < (equal.difference.ci_high or 0)
    one = paired_difference(np.ones(40), np.zeros(40), np.zeros(40))
    assert (one.difference.estimate, one.n_clusters, one.p_value) == (1.0, 1, 1.0)
    assert (one.difference.ci_low or 0) < 0
    with pytest.raises(ValueError, match="bounds"):
        paired_difference([3.0], [0.0], [0])
    with pytest.raises(ValueError, match="arms of"):
        paired_difference([1.0, 0.0], [1.0], [0])
