"""Top-K: ranks by hand, equals that favour nobody, intervals that cover, tests against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from ppdbench.statistics.top_k import Ranks, chance, hits, labels_cap, ranks, top_k


def _places(better: list[int], tied: list[int] | None = None) -> Ranks:
    return Ranks(better=np.array(better), tied=np.array(tied or [1] * len(better)))


def test_ranks_by_hand() -> None:
    scores = [
        [0.1, 0.9, 0.5, 0.3],  # the best
        [0.1, 0.9, 0.5, 0.3],  # the last
        [2.0, 2.0, 1.0, 3.0],  # second and third alike
        [-7.0, -7.0, -7.0, -7.0],  # nothing is known
        [-np.inf, 1.0, 2.0, -np.inf],  # impossible, as another is
    ]
    found = ranks(scores, [1, 0, 0, 2, 3])
    assert found.better.tolist() == [0, 3, 1, 0, 2]
    assert found.tied.tolist() == [1, 1, 2, 4, 2]
    assert found.expected.tolist() == [1, 4, 2.5, 2.5, 3.5]
    log = np.log([1, 2, 3, 4])
    expected = [log[0], log[3], log[1:3].mean(), log.mean(), log[2:].mean()]
    np.testing.assert_allclose(found.expected_log, expected, atol=1e-12)


def test_hits_by_hand() -> None:
    found = _places([0, 3, 1, 0], [1, 1, 2, 4])
    assert hits(found, 1).tolist() == [1, 0, 0, 0.25]
    assert hits(found, 2).tolist() == [1, 0, 0.5, 0.5]
    assert hits(found, 3).tolist() == [1, 0, 1, 0.75]
    assert hits(found, 4).tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("right", [0, 150, 299])
def test_equal_scores_give_chance_to_low_and_high_places_alike(right: int) -> None:
    found = ranks(np.zeros((7, 300)), [right] * 7)
    for k in (1, 16, 299):
        assert hits(found, k) == pytest.approx(chance(k, 300))


def test_hits_are_what_breaking_ties_by_chance_gives_on_average() -> None:
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 4, (5, 12)).astype(float)
    right = rng.integers(0, 12, 5)
    drawn = [hits(ranks(scores + 1e-3 * rng.random(scores.shape), right), 3) for _ in range(4000)]
    assert np.mean(drawn, axis=0) == pytest.approx(hits(ranks(scores, right), 3), abs=0.03)


def test_scores_that_differ_by_rounding_are_equal() -> None:
    scores = np.full((1, 50), 1234.5) * (1 + 1e-15 * np.arange(50))
    assert ranks(scores, [0]).tied.tolist() == [50]
    assert ranks([[1.0, 1.0 + 1e-6]], [0]).better.tolist() == [1]


def test_what_cannot_be_ranked_is_refused() -> None:
    with pytest.raises(ValueError, match="numbers"):
        ranks([[0.0, np.nan]], [0])
    with pytest.raises(ValueError, match="right column"):
        ranks([[0.0, 1.0]], [0, 1])


def test_chance_and_the_papers_figures() -> None:
    assert chance(16, 300) == pytest.approx(0.0533, abs=1e-4)
    assert chance(16, 10) == 1
    with pytest.raises(ValueError, match="top 0"):
        chance(0, 10)


def test_four_choices_carry_four_bits() -> None:
    assert labels_cap(16, 300, 4) == pytest.approx(0.853, abs=5e-4)
    assert labels_cap(1, 300, 4) == pytest.approx(0.0533, abs=5e-5)
    assert labels_cap(5, 300, 4) == pytest.approx(80 / 300)
    assert labels_cap(1, 300, 8) == pytest.approx(256 / 300)
    assert labels_cap(19, 300, 4) == 1
    assert labels_cap(16, 300, 8) == 1


def test_one_item_a_user_has_wilsons_interval_and_the_exact_binomial() -> None:
    found = top_k(_places([0] * 270 + [299] * 30), 16, 300, np.arange(300))
    known = stats.binomtest(270, 300, 16 / 300, alternative="greater")
    interval = known.proportion_ci(method="wilson")
    two_sided = stats.binomtest(270, 300).proportion_ci(method="wilson")
    assert found.accuracy == 0.9
    assert (found.ci_low, found.ci_high) == pytest.approx((two_sided.low, two_sided.high))
    assert (found.ci_low, found.ci_high) == pytest.approx((0.861, 0.929), abs=5e-4)
    assert interval.low > (found.ci_low or 0)  # one-sided bounds are narrower
    assert found.p_value == known.pvalue
    assert (found.n, found.n_clusters, found.test) == (300, 300, "exact binomial, one-sided")


def test_equals_count_against_in_the_test() -> None:
    nothing = top_k(_places([0] * 300, [300] * 300), 16, 300, np.arange(300))
    assert nothing.accuracy == pytest.approx(16 / 300)
    assert nothing.p_value is not None and nothing.p_value > 0.5


def test_copies_of_a_users_items_change_neither_interval_nor_test_much() -> None:
    places = _places([0] * 40 + [90] * 60)
    one = top_k(places, 5, 100, np.arange(100))
    four = top_k(
        Ranks(better=np.repeat(places.better, 4), tied=np.repeat(places.tied, 4)),
        5,
        100,
        np.repeat(np.arange(100), 4),
    )
    assert four.n == 400 and four.n_clusters == 100
    assert four.p_value == one.p_value
    assert "first item of each cluster" in four.test
    assert (four.ci_low, four.ci_high) == pytest.approx((one.ci_low, one.ci_high), abs=0.01)


def test_nothing_measured_is_nothing_said() -> None:
    found = top_k(_places([]), 16, 300, [])
    assert (found.accuracy, found.ci_low, found.p_value, found.n) == (None, None, None, 0)
    assert found.reason == "no observations"


@pytest.mark.parametrize("rate", [0.053, 0.35, 0.93])
def test_wilson_covers(rate: float) -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(400):
        found = top_k(
            _places(np.where(rng.random(150) < rate, 0, 60).tolist()), 16, 100, np.arange(150)
        )
        assert found.ci_low is not None and found.ci_high is not None
        covered += found.ci_low <= rate <= found.ci_high
    assert 0.92 <= covered / 400 <= 0.98


def test_the_cluster_bootstrap_covers_where_users_differ() -> None:
    rng = np.random.default_rng(2)
    covered, trials = 0, 150
    for _ in range(trials):
        each = rng.beta(0.6, 1.4, 100)  # mean 0.3
        better = np.where(rng.random((100, 4)) < each[:, None], 0, 60)
        found = top_k(
            _places(better.ravel().tolist()),
            16,
            100,
            np.repeat(np.arange(100), 4),
            resamples=1000,
        )
        assert found.ci_low is not None and found.ci_high is not None
        covered += found.ci_low <= 0.3 <= found.ci_high
    assert 0.90 <= covered / trials <= 0.99


def test_the_test_rejects_chance_at_most_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    p = [
        top_k(ranks(rng.normal(size=(120, 60)), rng.integers(0, 60, 120)), 4, 60, np.arange(120))
        for _ in range(300)
    ]
    assert np.mean([found.p_value <= 0.05 for found in p if found.p_value is not None]) <= 0.08
