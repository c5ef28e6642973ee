"""One difference: its verdict, its family, what it would have found, and how often it errs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from ppdbench.benchmarks.compare.cells import ALIKE, difference, draws, head_to_head, settle
from ppdbench.benchmarks.compare.runs import RunPair
from ppdbench.statistics.power import minimum_detectable_rate

N = 96
CAPTIONS = [f"{n:03}" for n in range(N)]


def pair() -> RunPair:
    """Two runs of which nothing but their letters matters."""
    a, b = (SimpleNamespace(letter=letter, path=Path(letter)) for letter in "AB")
    return RunPair(a=cast(Any, a), b=cast(Any, b))


def settled(*cells: dict[str, Any]) -> list[str]:
    settle((pair(), cell) for cell in cells)
    return [cell["verdict"] for cell in cells]


def scores(shift: float, seed: int = 0) -> tuple[Any, Any]:
    """Scores of two runs that share their captions' difficulty."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(0, 2, N)
    return shared + rng.normal(shift, 1, N), shared + rng.normal(0, 1, N)


def test_the_verdict_needs_both_interval_and_holm() -> None:
    ours, theirs = scores(0.45)
    alone = difference(ours, theirs, CAPTIONS, n_expected=N, bounds=None)
    assert alone["ci_low"] > 0 and 0.0001 < alone["p_value"] < 0.05
    assert settled(dict(alone)) == ["A higher"]
    nothing = [
        difference(*scores(0.0, seed), CAPTIONS, n_expected=N, bounds=None) for seed in range(60)
    ]
    assert settled(alone, *nothing)[0] == ALIKE  # among so many, its p is no surprise
    assert alone["p_holm"] >= 0.05


def test_a_difference_that_is_everywhere_the_same_has_no_interval_and_is_found() -> None:
    ours, _ = scores(0.0)
    cell = difference(ours + 1, ours, CAPTIONS, n_expected=N, bounds=None)
    assert settled(cell) == ["A higher"] and settled(
        difference(ours, ours + 1, CAPTIONS, n_expected=N, bounds=None)
    ) == ["B higher"]


def test_what_was_not_tested_is_not_of_the_family() -> None:
    cell = difference(*scores(3.0), CAPTIONS, n_expected=N, bounds=None)
    empty = difference([], [], [], n_expected=5)
    assert settled(cell, empty) == ["A higher", None]
    assert cell["p_holm"] == cell["p_value"]
    assert (empty["n"], empty["n_expected"], empty["difference"]) == (0, 5, None)
    assert empty["reason"]


def test_ties_are_half_a_win_and_no_trial() -> None:
    ours = np.r_[np.ones(30), np.zeros(10), np.full(20, 0.5)]
    theirs = np.r_[np.zeros(30), np.ones(10), np.full(20, 0.5)]
    cell = head_to_head(ours, theirs, list(range(60)), n_expected=60)
    assert cell["win_rate"] == pytest.approx((30 + 10) / 60)
    assert cell["ties"] == pytest.approx(1 / 3)
    level = minimum_detectable_rate(40)
    assert level is not None
    assert cell["minimum_detectable"] == pytest.approx((level - 0.5) * 40 / 60)


def test_too_few_that_are_no_ties_find_nothing() -> None:
    cell = head_to_head([1.0, 1.0, 0.0], [0.0, 1.0, 0.0], ["a", "b", "c"], n_expected=3)
    assert cell["minimum_detectable"] is None
    assert cell["minimum_detectable_reason"] == "1 of 3 are no ties: too few"


def test_clusters_too_few_for_any_test_are_told_apart_from_those_that_agree() -> None:
    few = difference([1.0, 3.0, 2.0], [0.0] * 3, ["a", "b", "c"], n_expected=3, bounds=None)
    assert few["minimum_detectable"] is None and few["standard_error"] is not None
    assert few["minimum_detectable_reason"].startswith("3 clusters: too few")
    alike = difference([1.0] * 8, [0.0] * 8, [*"abcdefgh"], n_expected=8, bounds=None)
    assert alike["minimum_detectable_reason"].startswith("all items differ alike")


def test_several_images_of_one_caption_are_one_observation() -> None:
    ours, theirs = scores(0.3)
    once = difference(ours, theirs, CAPTIONS, n_expected=N, bounds=None)
    often = difference(
        np.repeat(ours, 4),
        np.repeat(theirs, 4),
        np.repeat(CAPTIONS, 4),
        n_expected=4 * N,
        bounds=None,
    )
    assert (often["n"], often["n_clusters"]) == (4 * N, N)
    assert often["standard_error"] == pytest.approx(once["standard_error"])
    assert often["p_value"] == once["p_value"]


def test_draws_suffice_for_any_family() -> None:
    for tests in (1, 6, 90, 2_000):
        assert tests / (draws(tests) + 1) < 0.05


@pytest.mark.slow
def test_of_equal_runs_a_family_errs_in_at_most_five_percent() -> None:
    """Six rewards a comparison, 300 comparisons of equals; 95% of such counts are below 23."""
    wrong = 0
    for seed in range(300):
        cells = [
            head_to_head(*scores(0.0, 1_000 * seed + reward), CAPTIONS, n_expected=N)
            for reward in range(6)
        ]
        wrong += any(verdict != ALIKE for verdict in settled(*cells))
    assert wrong <= 22


@pytest.mark.slow
def test_the_minimum_detectable_effect_is_found_in_about_eighty_percent() -> None:
    known = difference(*scores(0.0, 7), CAPTIONS, n_expected=N, bounds=None)
    true = 2.8016 * np.sqrt(2 / N)  # both runs vary by 1
    assert known["minimum_detectable"] == pytest.approx(true, rel=0.25)
    found = sum(
        settled(difference(*scores(float(true), seed), CAPTIONS, n_expected=N, bounds=None))
        == ["A higher"]
        for seed in range(400)
    )
    assert 0.74 <= found / 400 <= 0.86
