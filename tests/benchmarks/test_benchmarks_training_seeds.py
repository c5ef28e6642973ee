"""Seeds of a training: the same settings but for the seed make a family, nothing else does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ppdbench.benchmarks.rewards.figures import Comparison, summarise
from ppdbench.benchmarks.rows import Row
from ppdbench.benchmarks.training_seeds import (
    families,
    is_sibling,
    outcomes_of_trainings,
    scores_of_trainings,
    training_seeds,
)
from ppdbench.runs.results import Result
from ppdbench.statistics import Interval, with_training_spread


def trained(seed: int | None, *, beta: float = 5.0) -> dict[str, Any]:
    training = {} if seed is None else {"training": {"seed": seed, "beta": beta}}
    return {"steps": 14, **training}


def row(name: str, settings: dict[str, Any], scores: list[float]) -> Row:
    results = tuple(
        Result(
            item=f"{name}/-/{n}/0", generator=name, caption_id=str(n), user=None, sample=0, seed=n,
            image="i", scores={"r": score}, facts=None,
        )
        for n, score in enumerate(scores)
    )  # fmt: skip
    return Row(
        name=name, version="1", revision="1", licence="MIT", settings=settings, source="fresh",
        results=results, n_ok=len(results), n_expected=4,
    )  # fmt: skip


BASE = row("base", {}, [1.0, 1.0, 1.0, 1.0])
MODEL = row("ppd", trained(0), [2.0, 2.0, 2.0, 0.0])


SECOND = row("ppd-seed-1", trained(1), [2.0, 1.0, 0.0, 0.0])


def test_rates_over_seeds_with_ties_as_halves() -> None:
    assert training_seeds(families([MODEL, BASE], [SECOND]), BASE, ["r"]) == {
        "ppd": {
            "seeds": [0, 1],
            "win_rate": {"r": {"mean": pytest.approx(0.5625), "min": 0.375, "max": 0.75, "n": 4}},
        }
    }


def test_a_sibling_of_the_run_is_no_system_and_comes_before_a_recorded_one() -> None:
    recorded = row("ppd-seed-1", trained(1), [0.0, 0.0, 0.0, 0.0])
    found = training_seeds(families([MODEL, SECOND], [recorded]), BASE, ["r"])
    assert set(found) == {"ppd"}
    assert found["ppd"]["win_rate"]["r"]["min"] == 0.375


def test_seeds_are_compared_on_the_pairs_that_all_have() -> None:
    short = row("ppd-seed-1", trained(1), [2.0, 2.0])
    found = training_seeds(families([MODEL], [short]), BASE, ["r"])["ppd"]["win_rate"]["r"]
    assert found == {"mean": 1, "min": 1, "max": 1, "n": 2}


def test_one_seed_says_so_and_has_no_spread() -> None:
    assert training_seeds(families([MODEL], []), BASE, ["r"]) == {
        "ppd": {"seeds": [0], "win_rate": None}
    }


def test_nothing_is_said_of_rates_that_are_withheld() -> None:
    found = training_seeds(families([MODEL], [SECOND]), BASE, ["r"], withheld=True)
    assert found == {"ppd": {"seeds": [0, 1], "win_rate": None}}


def test_who_tells_no_seed_is_not_listed() -> None:
    stray = row("base-seed-1", trained(1), [2.0])
    assert families([BASE], [stray]) == {}


def test_a_seed_without_pairs_leaves_the_spread_unknown() -> None:
    found = training_seeds(families([MODEL], [row("ppd-seed-1", trained(1), [])]), BASE, ["r"])
    assert found["ppd"]["win_rate"] == {"r": None}


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("ppd-seed-1", trained(1), True),
        ("ppd-seed-0", trained(0), False),
        ("ppd-seed-1", trained(1, beta=9.0), False),
        ("ppd-seed-1", trained(None), False),
        ("ppd-large", trained(1), False),
        ("sft-seed-1", trained(1), False),
    ],
)
def test_siblings_differ_in_the_seed_alone(
    name: str, settings: dict[str, Any], expected: bool
) -> None:
    assert is_sibling(row(name, settings, []), MODEL) is expected


def test_a_second_adapter_of_one_of_them_keeps_them_siblings() -> None:
    more = row("ppd", {**MODEL.settings, "people": {"training": {"seed": 7}}}, [1.0])
    assert is_sibling(SECOND, more)
    other = {**SECOND.settings, "sampling": "another"}
    both = row("ppd", {**MODEL.settings, "sampling": "one"}, [1.0])
    assert not is_sibling(row(SECOND.name, other, [1.0]), both)


# The spread in the intervals.

N = 40


def drawn(name: str, seed: int, mean: float) -> Row:
    """A training whose scores lie around a mean of its own."""
    noise = np.random.default_rng(seed).normal(size=N)
    return row(name, trained(seed), [float(value) for value in mean + noise])


PPD = [drawn("ppd", 0, 0.9), drawn("ppd-seed-1", 1, 0.4), drawn("ppd-seed-2", 2, 1.6)]
DPOS = [drawn("dpo", 3, 0.2), drawn("dpo-seed-4", 4, -1.5)]
PLAIN = row("base", {}, [0.0] * N)


def figures(model: Row, opponent: Row, others: list[Row], withheld: str | None = None) -> Any:
    """The cell of one reward."""
    rows = [model, opponent, *([] if opponent is PLAIN else [PLAIN])]
    comparison = Comparison(
        rows={row.name: row for row in rows},
        model=model.name,
        baseline="base",
        opponents=[opponent.name],
        upper_bounds={},
        rewards={"r": {"title": "R", "kind": "r", "gold": False}},
        categories={},
        n_expected=N,
        families=families(rows, others),
        withheld=withheld,
    )
    return summarise(comparison)["rewards"][opponent.name]["r"]


def test_a_family_begins_with_the_row_that_was_measured() -> None:
    found = families([PPD[0], DPOS[0], PLAIN], [PPD[2], DPOS[1], PPD[1]])
    assert {name: [one.name for one in family] for name, family in found.items()} == {
        "ppd": ["ppd", "ppd-seed-1", "ppd-seed-2"],
        "dpo": ["dpo", "dpo-seed-4"],
    }


def test_figures_of_trainings_are_over_what_all_have() -> None:
    base = row("base", {}, [1.0, 1.0, 1.0])
    found = outcomes_of_trainings([MODEL, SECOND], [base], "r")
    assert found is not None and found.captions == ["0", "1", "2"]
    assert found.values.tolist() == [[1, 1, 1], [1, 0.5, 0]]
    assert found.estimates == [1.0, 0.5]
    # Differences 0, 0.5 and 1: standard error 0.5 / sqrt(3), half of its square.
    assert found.noise == pytest.approx(0.25 / 3 / 2)
    back = outcomes_of_trainings([base], [MODEL, SECOND], "r")
    assert back is not None and back.estimates == [0.0, 0.5]
    assert outcomes_of_trainings([MODEL], [base], "r") is None
    empty = row("ppd-seed-1", trained(1), [])
    assert outcomes_of_trainings([MODEL, empty], [base], "r") is None
    two = {("0", 0), ("3", 0), ("9", 0)}
    scores = scores_of_trainings([MODEL, SECOND], "r", None, two)
    assert scores is not None and scores.values.tolist() == [[2, 0], [2, 0]]
    assert scores.captions == ["0", "3"]
    assert scores_of_trainings([MODEL, SECOND], "r", None, set()) is None


def test_the_spread_widens_the_interval_and_leaves_estimate_and_p_value() -> None:
    alone = figures(PPD[0], PLAIN, [])
    several = figures(PPD[0], PLAIN, PPD[1:])
    for same in ("win_rate", "mean", "opponent_mean", "p_value", "n", "items_ci_low"):
        assert several[same] == alone[same]
    assert (alone["items_ci_low"], alone["items_ci_high"]) == (alone["ci_low"], alone["ci_high"])
    assert several["ci_low"] < several["items_ci_low"] < several["win_rate"]
    assert several["ci_high"] > several["items_ci_high"]
    assert several["mean_ci_low"] < several["mean_items_ci_low"] == alone["mean_ci_low"]
    assert alone["training_share"] is alone["mean_training_share"] is None
    assert alone["n_trainings"] == {"model": 1, "opponent": 1}
    assert several["n_trainings"] == {"model": 3, "opponent": 1}
    assert several["opponent_mean_training_share"] is None
    assert several["interval"].endswith("with the spread over trainings")
    assert several["test"].endswith("of these weights") and "weights" not in alone["test"]


def test_the_interval_is_the_items_and_the_variance_of_the_siblings_rates() -> None:
    several = figures(PPD[0], PLAIN, PPD[1:])
    won = np.array([[score > 0 for score in one.scores("r").values()] for one in PPD], dtype=float)
    items = Interval(
        estimate=float(won[0].mean()),
        ci_low=several["items_ci_low"],
        ci_high=several["items_ci_high"],
        n=N,
        n_clusters=N,
        confidence=0.95,
        method="BCa cluster bootstrap",
    )
    noise = np.mean([np.var(won[a] - won[b], ddof=1) / N for a, b in ((0, 1), (0, 2), (1, 2))]) / 2
    by_hand = with_training_spread(
        items, [float(rate) for rate in won.mean(axis=1)], noise=[float(noise)], bounds=(0.0, 1.0)
    )
    assert (several["ci_low"], several["ci_high"], several["training_share"]) == pytest.approx(
        (by_hand.interval.ci_low, by_hand.interval.ci_high, by_hand.share)
    )


def test_the_opponents_trainings_count_beside_the_models() -> None:
    ours = figures(PPD[0], DPOS[0], PPD[1:])
    both = figures(PPD[0], DPOS[0], [*PPD[1:], DPOS[1]])
    assert both["n_trainings"] == {"model": 3, "opponent": 2}
    assert both["training_share"] > ours["training_share"] > 0
    assert both["opponent_mean_training_share"] > 0
    assert both["mean_training_share"] == ours["mean_training_share"]
    assert both["win_rate"] == ours["win_rate"]


def test_two_trainings_of_one_method_are_compared_as_they_are() -> None:
    found = figures(PPD[0], PPD[1], [PPD[2]])
    assert found["n_trainings"] == {"model": 1, "opponent": 1}
    assert found["training_share"] is None
    assert (found["ci_low"], found["ci_high"]) == (found["items_ci_low"], found["items_ci_high"])
    back = figures(PPD[1], PPD[0], [PPD[2]])
    assert back["training_share"] is None and back["n_trainings"]["opponent"] == 1


def test_a_withheld_rate_tells_neither_interval_nor_share() -> None:
    found = figures(PPD[0], PLAIN, PPD[1:], withheld="too much failed")
    for name in ("win_rate", "ci_low", "items_ci_low", "items_ci_high", "training_share"):
        assert found[name] is None
    assert found["n_trainings"] == {"model": 3, "opponent": 1}


def test_an_opponent_without_results_has_every_field_as_null() -> None:
    here = figures(PPD[0], PLAIN, PPD[1:])
    comparison = Comparison(
        rows={"ppd": PPD[0], "base": PLAIN},
        model="ppd",
        baseline="base",
        opponents=["lost"],
        upper_bounds={},
        rewards={"r": {"title": "R", "kind": "r", "gold": False}},
        categories={},
        n_expected=N,
    )
    lost = summarise(comparison)["rewards"]["lost"]["r"]
    assert here.keys() <= lost.keys() | {"interval"}
    assert lost["n_trainings"] is lost["training_share"] is lost["items_ci_low"] is None
