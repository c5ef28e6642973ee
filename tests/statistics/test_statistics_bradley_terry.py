"""Bradley-Terry: published strengths, a slow twin, coverage, refusals instead of infinity."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import optimize, special

from ppdbench.statistics import BradleyTerry, bradley_terry, cluster_bootstrap_mean

BASEBALL = (
    (0, 7, 9, 7, 7, 9, 11),
    (6, 0, 7, 5, 11, 9, 9),
    (4, 6, 0, 7, 7, 8, 12),
    (6, 8, 6, 0, 6, 7, 10),
    (6, 2, 6, 7, 0, 7, 12),
    (4, 4, 5, 6, 6, 0, 6),
    (2, 4, 1, 3, 1, 7, 0),
)
"""American League 1987, wins of rows over columns: Milwaukee, Detroit, Toronto, New York, Boston,
Cleveland, Baltimore (Agresti, Categorical Data Analysis, 2nd ed., Table 10.10)."""

Games = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]


def _games(wins: tuple[tuple[int, ...], ...]) -> Games:
    listed = [
        (one, other)
        for one, row in enumerate(wins)
        for other, count in enumerate(row)
        for _ in range(count)
    ]
    first, second = np.array(listed).T
    return first, second, np.ones(len(listed))


def _drawn(seed: int, strengths: list[float], blocks: int, noise: float = 0.0) -> Games:
    """Every pair of systems once a block, with what a block likes in common where noise is > 0."""
    rng = np.random.default_rng(seed)
    pairs = np.array([(i, j) for i in range(len(strengths)) for j in range(i)])
    own = np.array(strengths) + noise * rng.normal(size=(blocks, len(strengths)))
    first, second = np.tile(pairs, (blocks, 1)).T
    block = np.repeat(np.arange(blocks), len(pairs))
    chance = special.expit(own[block, first] - own[block, second])
    return first, second, (rng.random(len(chance)) < chance).astype(float)


def _estimates(found: BradleyTerry) -> list[float]:
    values = [interval.estimate for interval in found.strengths]
    return [math.nan if value is None else value for value in values]


def test_strengths_of_baseball_teams_are_the_published_ones() -> None:
    games = _games(BASEBALL)
    strengths = _estimates(bradley_terry(*games, np.arange(len(games[0])), 7, resamples=50))
    published = [1.581, 1.436, 1.294, 1.248, 1.108, 0.684, 0.0]
    assert sum(strengths) == pytest.approx(0, abs=1e-9)
    assert np.subtract(strengths, strengths[-1]) == pytest.approx(published, abs=6e-4)


@pytest.mark.parametrize("seed", range(3))
def test_strengths_are_the_maximum_that_a_general_optimiser_finds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first = rng.integers(0, 5, 300)
    second = (first + rng.integers(1, 5, 300)) % 5
    won = rng.choice([0.0, 0.5, 1.0], 300)

    def loss(strengths: NDArray[np.float64]) -> float:
        difference = strengths[first] - strengths[second]
        logs = won * special.log_expit(difference) + (1 - won) * special.log_expit(-difference)
        return float(-logs.sum() + strengths.sum() ** 2)

    twin = optimize.minimize(loss, np.zeros(5), tol=1e-10).x
    ours = bradley_terry(first, second, won, np.arange(300), 5, resamples=20)
    assert _estimates(ours) == pytest.approx(twin, abs=1e-4)


def test_of_two_systems_it_is_the_win_rate_on_the_logit_scale() -> None:
    won = np.random.default_rng(0).choice([0.0, 0.5, 1.0], p=[0.2, 0.1, 0.7], size=200)
    clusters = np.arange(200) // 2
    found = bradley_terry(np.zeros(200), np.ones(200), won, clusters, 2)
    rate = cluster_bootstrap_mean(won, clusters, bounds=(0, 1))
    one, other = found.strengths
    # Half the log-odds each, as the two sum to 0.
    for name in ("estimate", "ci_low", "ci_high"):
        assert getattr(one, name) == pytest.approx(special.logit(getattr(rate, name)) / 2, abs=0.01)
    assert one.estimate == pytest.approx(-(other.estimate or 0))
    assert found.win_rate_over_average[0].estimate == pytest.approx(
        special.expit(one.estimate or 0)
    )


def test_names_of_systems_and_clusters_do_not_matter_and_reversing_negates() -> None:
    first, second, won = _drawn(1, [0.5, 0.0, -0.5, 0.2], 66)
    # No two clusters alike, so that they are gathered one by one.
    won = 0.75 * won + np.random.default_rng(3).integers(0, 17, len(won)) / 64
    clusters = np.arange(len(won)) // 6
    found = bradley_terry(first, second, won, clusters, 4)
    named = np.array([f"caption {k}" for k in np.random.default_rng(2).permutation(66)])[clusters]
    assert bradley_terry(first, second, won, named, 4) == found
    assert bradley_terry(second, first, 1 - won, clusters, 4) == found
    back = bradley_terry(first, second, 1 - won, clusters, 4)
    assert _estimates(back) == pytest.approx([-value for value in _estimates(found)], abs=1e-8)
    order = np.array([2, 0, 3, 1])
    moved = bradley_terry(order[first], order[second], won, clusters, 4)
    assert [_estimates(moved)[place] for place in order] == pytest.approx(
        _estimates(found), abs=1e-8
    )
    for number, place in enumerate(order):
        one, other = found.strengths[number], moved.strengths[place]
        assert (other.ci_low, other.ci_high) == pytest.approx((one.ci_low, one.ci_high), abs=0.03)


def test_resamples_are_refitted_as_a_loop_would_refit_them() -> None:
    first, second, won = _drawn(3, [0.6, 0.0, -0.4], 40)
    clusters = np.arange(len(won)) // 3
    found = bradley_terry(first, second, won, clusters, 3, resamples=4000)
    rng = np.random.default_rng(9)
    loop = []
    for _ in range(300):
        drawn = rng.integers(0, 40, 40)
        rows = (3 * drawn[:, None] + np.arange(3)).ravel()
        again = bradley_terry(first[rows], second[rows], won[rows], np.zeros(len(rows)), 3)
        loop.append(_estimates(again))
    for number, interval in enumerate(found.strengths):
        assert interval.ci_low is not None and interval.ci_high is not None
        spread = np.array(loop)[:, number].std()
        assert interval.ci_high - interval.ci_low == pytest.approx(2 * 1.96 * spread, rel=0.15)


def test_a_block_counted_four_times_says_no_more() -> None:
    first, second, won = _drawn(4, [0.6, 0.0, -0.4], 50)
    clusters = np.arange(len(won)) // 3
    once = bradley_terry(first, second, won, clusters, 3)
    four = bradley_terry(
        np.tile(first, 4), np.tile(second, 4), np.tile(won, 4), np.tile(clusters, 4), 3
    )
    for one, other in zip(once.strengths, four.strengths, strict=True):
        assert (other.estimate, other.ci_low, other.ci_high) == pytest.approx(
            (one.estimate, one.ci_low, one.ci_high), abs=1e-7
        )


def test_intervals_cover() -> None:
    true = np.array([0.7, 0.1, -0.8])
    hits = np.zeros(3)
    trials = 200
    for seed in range(trials):
        first, second, won = _drawn(seed, list(true), 80)
        found = bradley_terry(first, second, won, np.arange(240) // 3, 3, resamples=400, seed=seed)
        for number, interval in enumerate(found.strengths):
            assert interval.ci_low is not None and interval.ci_high is not None
            hits[number] += interval.ci_low <= true[number] <= interval.ci_high
    assert (hits / trials >= 0.91).all() and (hits / trials <= 0.985).all()


@pytest.mark.parametrize(
    ("first", "second", "won", "systems", "reason"),
    [
        ([], [], [], 3, "no comparisons"),
        ([0, 1, 0], [1, 2, 2], [1, 0.5, 1], 3, "system 0 never lost"),
        ([0, 1, 2], [1, 2, 0], [0.5, 1, 1], 4, "system 3 has no comparisons"),
        ([0, 1, 0], [1, 2, 2], [0.5, 1, 1], 3, "system 2 never won"),
        # 0 and 1 win of each other, and so do 2 and 3; between the two pairs one side wins all.
        ([0, 0, 2, 2, 0], [1, 1, 3, 3, 2], [1, 0, 1, 0, 1], 4, "some systems never lost"),
        ([0, 0, 2, 2], [1, 1, 3, 3], [1, 0, 1, 0], 4, "never met"),
    ],
)
def test_without_a_maximum_there_are_no_strengths_but_a_reason(
    first: list[int], second: list[int], won: list[float], systems: int, reason: str
) -> None:
    found = bradley_terry(first, second, won, list(range(len(won))), systems)
    assert reason in str(found.reason)
    for interval in (*found.strengths, *found.win_rate_over_average):
        assert interval.estimate is interval.ci_low is interval.ci_high is None
        assert interval.reason == found.reason


def test_few_clusters_have_strengths_without_intervals() -> None:
    found = bradley_terry([0, 0, 1], [1, 1, 0], [1, 0, 0.5], ["a", "b", "c"], 2)
    assert found.strengths[0].estimate == pytest.approx(0)
    assert found.strengths[0].ci_low is None and "3 clusters" in str(found.reason)


def test_resamples_without_a_maximum_make_an_interval_wider_or_refuse_it() -> None:
    # One loss in 40: more than a third of the resamples have none, and no upper end.
    won = np.r_[np.ones(39), 0.0]
    found = bradley_terry(np.zeros(40), np.ones(40), won, np.arange(40), 2)
    assert found.strengths[0].estimate == pytest.approx(special.logit(39 / 40) / 2)
    assert found.strengths[0].ci_high is None and "resamples" in str(found.reason)
    # Six in 40: e^-6 = 0.2% have none, which both ends leave outside.
    won = np.r_[np.ones(34), np.zeros(6)]
    wide = bradley_terry(np.zeros(40), np.ones(40), won, np.arange(40), 2).strengths[0]
    assert wide.ci_low is not None and wide.ci_high is not None
    assert 0 < wide.ci_low < (wide.estimate or 0) < wide.ci_high < 3


def test_equal_systems_are_all_average() -> None:
    found = bradley_terry([0, 1, 2] * 10, [1, 2, 0] * 10, [0.5] * 30, list(range(30)), 3)
    assert _estimates(found) == pytest.approx([0, 0, 0])


@pytest.mark.parametrize(
    ("first", "second", "won", "clusters", "systems", "message"),
    [
        ([0], [0], [1.0], [0], 2, "two systems"),
        ([0], [2], [1.0], [0], 2, "numbered"),
        ([-1], [1], [1.0], [0], 2, "numbered"),
        ([0], [1], [1.5], [0], 2, "outcomes"),
        ([0], [1], [math.nan], [0], 2, "outcomes"),
        ([0, 1], [1, 0], [1.0], [0], 2, "systems of"),
        ([], [], [], [], 1, "two systems"),
    ],
)
def test_wrong_input_is_an_error(
    first: list[int],
    second: list[int],
    won: list[float],
    clusters: list[int],
    systems: int,
    message: str,
) -> None:
    with pytest.raises(ValueError, match=message):
        bradley_terry(first, second, won, clusters, systems)


def test_single_wins_against_thousands_are_solved_too() -> None:
    """A full step of Newton's leads out to where the likelihood is flat, and ends there.

    At the maximum every system has won as much as its strengths say.
    """
    wins = np.array(
        [
            [0, 1, 40, 5000, 1, 1],
            [0, 0, 5000, 0.5, 40, 1],
            [5000, 0.5, 0, 40, 0, 1],
            [0, 0, 0, 0, 0.5, 5000],
            [1, 1, 1, 0, 0, 0.5],
            [0.5, 1, 0, 0, 40, 0],
        ]
    )
    times = np.ceil(wins).astype(int).ravel()
    first, second = (np.repeat(each, times) for each in np.indices((6, 6)).reshape(2, -1))
    halves = wins[first, second] == 0.5
    outcome = np.where(halves, 0.5, 1.0)  # half a win is a tie: the other has its half too
    wins += (wins == 0.5).T * 0.5
    found = bradley_terry(first, second, outcome, np.arange(len(first)) % 12, 6, resamples=50)
    strengths = np.array([each.estimate for each in found.strengths], dtype=np.float64)
    chance = special.expit(strengths[:, None] - strengths)
    assert ((wins + wins.T) * chance).sum(axis=1) == pytest.approx(wins.sum(axis=1), rel=1e-5)


def test_all_ties_are_equal_strengths_without_an_interval_and_say_why() -> None:
    first, second = [0] * 20 + [0] * 20 + [1] * 20, [1] * 20 + [2] * 20 + [2] * 20
    found = bradley_terry(first, second, [0.5] * 60, [*range(20)] * 3, 3, resamples=500)
    assert [each.estimate for each in found.strengths] == pytest.approx([0, 0, 0])
    assert all(each.ci_low is None for each in found.strengths)
    assert "the same in every resample" in str(found.reason)
