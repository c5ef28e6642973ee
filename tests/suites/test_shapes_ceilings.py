"""Ceilings: the guesser is as good as it says and better than a simple rule; and their numbers."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from small_people import (
    STRANGERS,
    Simulated,
    SmallWorld,
    choice_posterior,
    small_world,
    strangers,
)

from ppdbench.suites.shapes.beliefs import taste_prior
from ppdbench.suites.shapes.ceilings import ceilings, choice_ceilings
from ppdbench.suites.shapes.differences import measure_differences
from ppdbench.suites.shapes.people import ATTRIBUTE_SCALE, person_of

COUNTS = (0, 1, 2, 4, 8)


@pytest.fixture(scope="module")
def simulated() -> Simulated:
    return strangers()


@pytest.fixture(scope="module")
def curve(simulated: Simulated) -> dict[int, dict[str, float]]:
    return choice_ceilings(
        simulated.tastes, simulated.shots, simulated.choices, COUNTS, taste_prior(1000)
    )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallWorld]:
    with small_world(tmp_path_factory.mktemp("cache")) as small:
        yield small


def test_without_shots_everything_is_chance(curve: dict[int, dict[str, float]]) -> None:
    expected = {"choice": 0.5, "choice_noisy": 0.5, "dominant": 1 / 12}
    for name, rate in expected.items():
        assert curve[0][name] == pytest.approx(rate)
        assert curve[0][f"{name}_expected"] == pytest.approx(rate)


def test_more_shots_never_lower_a_ceiling(curve: dict[int, dict[str, float]]) -> None:
    for name, slack in (("choice", 0.01), ("choice_noisy", 0.01), ("dominant", 0.02)):
        for few, many in pairwise(COUNTS):
            assert curve[many][name] > curve[few][name] - slack
            assert curve[many][f"{name}_expected"] > curve[few][f"{name}_expected"]
    assert curve[4]["choice"] > curve[1]["choice"] + 0.05


def test_expected_and_reached_agree(curve: dict[int, dict[str, float]]) -> None:
    """The posterior claims what it can keep: within three standard errors, for each number."""
    for count in COUNTS[1:]:
        for name, effective in (("choice", 1200), ("choice_noisy", 1200), ("dominant", STRANGERS)):
            reached, promised = curve[count][name], curve[count][f"{name}_expected"]
            error = (promised * (1 - promised) / effective) ** 0.5
            assert abs(reached - promised) < 3 * error, (count, name)


def test_a_noisy_label_is_harder_to_guess_than_the_truth(
    curve: dict[int, dict[str, float]],
) -> None:
    for count in COUNTS[1:]:
        assert curve[count]["choice_noisy_expected"] < curve[count]["choice_expected"]


def test_bayes_beats_the_mean_difference(
    simulated: Simulated, curve: dict[int, dict[str, float]]
) -> None:
    truth = np.einsum("uca,ua->uc", simulated.choices, simulated.tastes) > 0
    for count in (4, 8):
        mean = simulated.shots[:, :count].mean(1)
        rule = np.einsum("uca,ua->uc", simulated.choices, mean) > 0
        right = float((rule == truth).mean())
        assert 0.6 < right < curve[count]["choice"] - 0.005


@pytest.mark.usefixtures("world")
def test_a_splits_ceilings() -> None:
    seen, unseen = ceilings.__wrapped__("seen"), ceilings.__wrapped__("unseen")
    assert set(seen) - set(unseen) == {"choice_remembered", "choice_remembered_expected"}
    for found in (seen, unseen):
        assert {"choice", "choice_noisy", "dominant", "choice_two_sets"} <= set(found)
        assert found["n_users"] == 12 and found["n_choices"] == 144
        assert all(0 <= rate <= 1 for name, rate in found.items() if not name.startswith("n_"))
        assert found["choice_shots_0"] == 0.5
        assert found["choice_shots_4"] == found["choice"]
        assert found["choice_noisy_shots_4"] == found["choice_noisy"]
        assert found["choice_shots_8"] == found["choice_two_sets"]
        assert found["choice_expected_two_sets"] > found["choice_expected"] > 0.6
        assert 0.8 < found["self_agreement"] < found["choice_noisy_known"]
    assert not isinstance(seen, dict)  # kept for the process: nobody may write into it


def test_a_splits_ceilings_are_of_its_own_people(world: SmallWorld) -> None:
    """The number by the pure functions, from the pictures as they lie."""
    users = world.users("unseen")
    found = [measure_differences(world.pairs(user.shots[0])) / ATTRIBUTE_SCALE for user in users]
    asked = [measure_differences(world.pairs(user.choices)) / ATTRIBUTE_SCALE for user in users]
    right = []
    for user, shots, choices in zip(users, found, asked, strict=True):
        prediction = choice_posterior(shots, choices)
        truth = choices @ np.array(person_of(user.id).taste) > 0
        right.append((prediction.preferred > 0.5) == truth)
    assert ceilings.__wrapped__("unseen")["choice"] == pytest.approx(np.mean(right))


@pytest.mark.slow
def test_golden_ceilings_of_unseen_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PPDBENCH_CACHE", str(tmp_path))
    found = ceilings.__wrapped__("unseen")
    golden = {
        "choice": 0.7266,
        "choice_noisy": 0.7142,
        "choice_expected": 0.7331,
        "choice_noisy_expected": 0.7187,
        "choice_two_sets": 0.8210,
        "choice_shots_1": 0.6042,
        "choice_shots_2": 0.6439,
        "dominant_expected": 0.4475,
        "choice_noisy_known": 0.9160,
        "self_agreement": 0.8781,
    }
    assert {name: found[name] for name in golden} == pytest.approx(golden, abs=0.005)
    assert found["dominant"] == pytest.approx(0.4688, abs=0.011)  # two of 192 people
    assert found["n_users"] == 192 and found["n_choices"] == 1536
