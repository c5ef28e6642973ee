"""Seeds of a training: the same settings but for the seed make a family, nothing else does."""

from __future__ import annotations

from typing import Any

import pytest

from ppdbench.benchmarks.rows import Row
from ppdbench.benchmarks.training_seeds import is_sibling, training_seeds
from ppdbench.runs.results import Result


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
    assert training_seeds([MODEL, BASE], [SECOND], BASE, ["r"]) == {
        "ppd": {
            "seeds": [0, 1],
            "win_rate": {"r": {"mean": pytest.approx(0.5625), "min": 0.375, "max": 0.75, "n": 4}},
        }
    }


def test_a_sibling_of_the_run_is_no_system_and_comes_before_a_recorded_one() -> None:
    recorded = row("ppd-seed-1", trained(1), [0.0, 0.0, 0.0, 0.0])
    found = training_seeds([MODEL, SECOND], [recorded], BASE, ["r"])
    assert set(found) == {"ppd"}
    assert found["ppd"]["win_rate"]["r"]["min"] == 0.375


def test_seeds_are_compared_on_the_pairs_that_all_have() -> None:
    short = row("ppd-seed-1", trained(1), [2.0, 2.0])
    found = training_seeds([MODEL], [short], BASE, ["r"])["ppd"]["win_rate"]["r"]
    assert found == {"mean": 1, "min": 1, "max": 1, "n": 2}


def test_one_seed_says_so_and_has_no_spread() -> None:
    assert training_seeds([MODEL], [], BASE, ["r"]) == {"ppd": {"seeds": [0], "win_rate": None}}


def test_nothing_is_said_of_rates_that_are_withheld() -> None:
    found = training_seeds([MODEL], [SECOND], BASE, ["r"], withheld=True)
    assert found == {"ppd": {"seeds": [0, 1], "win_rate": None}}


def test_who_tells_no_seed_is_not_listed() -> None:
    stray = row("base-seed-1", trained(1), [2.0])
    assert training_seeds([BASE], [stray], BASE, ["r"]) == {}


def test_a_seed_without_pairs_leaves_the_spread_unknown() -> None:
    found = training_seeds([MODEL], [row("ppd-seed-1", trained(1), [])], BASE, ["r"])
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
