"""Ceilings: exact Bayes where a hand can follow, calibrated where it cannot, and their numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ppdbench.protocols import IdentifiedUser, UserSplit
from ppdbench.suites.shapes import attributes, evaluated, pairs
from ppdbench.suites.shapes.beliefs import (
    choice_posterior,
    dominant_name,
    dominant_of,
    dominant_posterior,
    log_likelihood,
    mean_taste,
    posterior,
    posteriors,
    predict,
    right_share,
    taste_prior,
    top_share,
)
from ppdbench.suites.shapes.ceilings import ceilings, choice_ceilings
from ppdbench.suites.shapes.differences import differences, measure_differences
from ppdbench.suites.shapes.evaluated import ShapesPeople
from ppdbench.suites.shapes.identification import (
    identification_cap,
    identification_ceilings,
    known_scores,
    label_scores,
)
from ppdbench.suites.shapes.people import (
    ATTRIBUTE_SCALE,
    CHOICE_SHARPNESS,
    people,
    person_of,
    random_person,
)
from ppdbench.suites.shapes.scenes import caption_of, double_scenes, single_scenes
from ppdbench.suites.shapes.suite import ShapesSuite
from ppdbench.suites.shapes.topics import HABITS, caption_log_likelihood, habit_of
from ppdbench.suites.shapes.truth import ShapesTruth

Floats = NDArray[np.float64]
NO_SHOTS = np.empty((0, 6))
USERS, COUNTS = 400, (0, 1, 2, 4, 8)


def sigmoid(x: float) -> float:
    return float(1 / (1 + np.exp(-x)))


def some(*shape: int, seed: int = 0) -> Floats:
    """Differences as wide as those of two renders."""
    return np.random.default_rng(seed).normal(0, 2**0.5, (*shape, 6))


@dataclass(frozen=True)
class Simulated:
    """People of nobody's group, and what they chose: preferred minus dispreferred."""

    tastes: Floats
    shots: Floats
    choices: Floats


@pytest.fixture(scope="module")
def simulated() -> Simulated:
    rng = np.random.default_rng(99)
    tastes = np.array([random_person(rng).taste for _ in range(USERS)])
    shown = some(USERS, 16, seed=5)
    log_odds = CHOICE_SHARPNESS * np.einsum("uca,ua->uc", shown, tastes)
    first = rng.random(log_odds.shape) < 1 / (1 + np.exp(-log_odds))
    chosen = np.where(first[..., None], shown, -shown)
    return Simulated(tastes, chosen[:, :8], chosen[:, 8:])


@pytest.fixture(scope="module")
def curve(simulated: Simulated) -> dict[int, dict[str, float]]:
    return choice_ceilings(
        simulated.tastes, simulated.shots, simulated.choices, COUNTS, taste_prior(1000)
    )


# What is believed before any choice


def test_the_prior_is_how_people_are_made() -> None:
    """By what no turning changes: the weights' sizes in order, of strangers and of the people."""
    prior = np.sort(np.abs(taste_prior()), axis=1)
    strangers = np.random.default_rng(3)
    made = [random_person(strangers).taste for _ in range(1000)]
    for tastes in (made, [person.taste for person in (*people("train"), *people("unseen"))]):
        sizes = np.sort(np.abs(np.array(tastes)), axis=1)
        error = sizes.std(0) / len(sizes) ** 0.5
        assert (np.abs(sizes.mean(0) - prior.mean(0)) < 4 * error + 1e-3).all()


def test_the_prior_favours_nobody() -> None:
    count = np.bincount(dominant_of(taste_prior()), minlength=12)
    assert len(count) == 12 and len(set(count.tolist())) == 1
    np.testing.assert_allclose(taste_prior().mean(0), 0, atol=1e-12)


def test_no_shots_leave_every_choice_even() -> None:
    prediction = choice_posterior(NO_SHOTS, some(20))
    np.testing.assert_allclose(prediction.preferred, 0.5, atol=1e-9)
    np.testing.assert_allclose(prediction.chosen, 0.5, atol=1e-9)
    np.testing.assert_allclose(mean_taste(NO_SHOTS), 0, atol=1e-12)
    np.testing.assert_allclose(dominant_posterior(posterior(NO_SHOTS)), 1 / 12, atol=1e-12)


# Bayes by hand


def test_two_possible_tastes_by_hand() -> None:
    """One likes what the other dislikes: one shot of margin m has the odds e^(4.6 m)."""
    tastes = np.array([[1.0, 0, 0, 0, 0, 0], [-1.0, 0, 0, 0, 0, 0]])
    step = np.array([[1.0, 0, 0, 0, 0, 0]])
    sure, other = sigmoid(CHOICE_SHARPNESS * 0.3), sigmoid(CHOICE_SHARPNESS * 0.2)
    np.testing.assert_allclose(posterior(0.3 * step, tastes), [sure, 1 - sure])
    prediction = choice_posterior(0.3 * step, np.array([[0.2, 5, 5, 5, 5, 5]]), tastes)
    np.testing.assert_allclose(prediction.preferred, [sure])
    np.testing.assert_allclose(prediction.chosen, [sure * other + (1 - sure) * (1 - other)])
    twice = posterior(np.repeat(0.3 * step, 2, axis=0), tastes)
    np.testing.assert_allclose(twice[0] / twice[1], (sure / (1 - sure)) ** 2)


def test_equal_pictures_are_an_even_choice_to_everybody() -> None:
    prediction = choice_posterior(some(4), np.zeros((1, 6)))
    np.testing.assert_allclose([prediction.preferred, prediction.chosen], 0.5)


def test_log_likelihood_is_bradley_terry_and_never_overflows() -> None:
    tastes = np.eye(6)
    choices = np.array([[0.0, 0.5, -0.5, 1e6, -1e6, 0]])
    with np.errstate(all="raise", under="ignore"):
        found = log_likelihood(choices, tastes)[0]
    half = CHOICE_SHARPNESS / 2
    expected = [np.log(0.5), np.log(sigmoid(half)), np.log(sigmoid(-half)), 0]
    np.testing.assert_allclose(found[:4], expected, atol=1e-12)
    np.testing.assert_allclose(found[4], -1e6 * CHOICE_SHARPNESS)
    np.testing.assert_allclose(found[5], np.log(0.5))


def test_one_overwhelming_shot_settles_one_sign() -> None:
    shot = np.zeros((1, 6))
    shot[0, 3] = 1e5
    candidates = np.eye(6)
    with np.errstate(all="raise", under="ignore"):
        weights = posterior(shot)
        prediction = choice_posterior(shot, candidates)
    assert weights[taste_prior()[:, 3] < -1e-3].sum() < 1e-100
    assert prediction.preferred[3] > 0.9999
    # Of the other attributes it says nothing, beyond the draws' own chance.
    np.testing.assert_allclose(np.delete(prediction.preferred, 3), 0.5, atol=0.02)
    dominant = dominant_posterior(weights)
    assert dominant.argmax() == 3 and dominant[9] < 1e-100
    np.testing.assert_allclose(dominant[3], 1 / 6, atol=0.005)
    assert mean_taste(shot).argmax() == 3


def test_contradicting_overwhelming_shots_still_weigh_up_to_one() -> None:
    shot = 1e4 * np.eye(6)[:1]
    weights = posterior(np.concatenate([shot, -shot]))
    assert np.isfinite(weights).all() and weights.sum() == pytest.approx(1)


def test_exchanging_preferred_and_other_turns_every_prediction_round() -> None:
    shots, candidates = some(4), some(9, seed=1)
    plain = choice_posterior(shots, candidates)
    for turned in (choice_posterior(-shots, candidates), choice_posterior(shots, -candidates)):
        np.testing.assert_allclose(turned.preferred, 1 - plain.preferred, atol=1e-9)
        np.testing.assert_allclose(turned.chosen, 1 - plain.chosen, atol=1e-9)
    both = choice_posterior(-shots, -candidates)
    np.testing.assert_allclose(both.preferred, plain.preferred, atol=1e-9)
    np.testing.assert_allclose(mean_taste(-shots), -mean_taste(shots), atol=1e-9)


def test_neither_the_shots_order_nor_the_attributes_names_matter() -> None:
    shots, candidates = some(4), some(9, seed=1)
    plain = choice_posterior(shots, candidates).preferred
    np.testing.assert_allclose(choice_posterior(shots[::-1], candidates).preferred, plain)
    rolled = choice_posterior(np.roll(shots, 2, axis=1), np.roll(candidates, 2, axis=1))
    np.testing.assert_allclose(rolled.preferred, plain, atol=1e-9)


def test_posteriors_are_of_the_first_shots() -> None:
    shots, tastes = some(4), taste_prior(10)
    found = posteriors(shots, (0, 3, 4), tastes)
    for row, count in enumerate((0, 3, 4)):
        np.testing.assert_allclose(found[row], posterior(shots[:count], tastes))
    np.testing.assert_allclose(found.sum(1), 1)
    stacked = predict(found, some(5), tastes).preferred
    np.testing.assert_allclose(stacked[2], choice_posterior(shots, some(5), tastes).preferred)


def test_dominant_attributes_are_named_as_the_truth_names_them() -> None:
    truth = ShapesTruth()
    for person in people("unseen")[:24]:
        number = int(dominant_of(np.array([person.taste]))[0])
        assert dominant_name(number) == truth.dominant(str(person.id))


# Counting


def test_right_share_by_hand() -> None:
    chance = np.array([0.9, 0.2, 0.5, 0.5 + 1e-9])
    assert right_share(chance, np.array([True, True, True, False])) == (1 + 0 + 0.5 + 0.5) / 4
    assert right_share(chance, True) == (1 + 0 + 0.5 + 0.5) / 4
    assert right_share(chance) == pytest.approx((0.9 + 0.8 + 0.5 + 0.5) / 4)


def test_top_share_by_hand() -> None:
    scores = np.array([[3.0, 2, 1, 0], [3, 2, 1, 0]])
    assert [top_share(scores, np.array([1, 3]), top) for top in (1, 2, 3, 4)] == [0, 0.5, 0.5, 1]
    level = np.array([[2.0, 1, 1, 1 + 1e-15]])
    shares = [top_share(level, np.array([2]), top) for top in (1, 2, 3, 4)]
    np.testing.assert_allclose(shares, [0, 1 / 3, 2 / 3, 1])


# Simulated people: the guesser is as good as it says, and better than a simple rule


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
        for name, effective in (("choice", 1200), ("choice_noisy", 1200), ("dominant", USERS)):
            reached, promised = curve[count][name], curve[count][f"{name}_expected"]
            error = (promised * (1 - promised) / effective) ** 0.5
            assert abs(reached - promised) < 3 * error, (count, name)


def test_a_noisy_label_is_harder_to_guess_than_the_truth(
    curve: dict[int, dict[str, float]],
) -> None:
    for count in COUNTS[1:]:
        assert curve[count]["choice_noisy_expected"] < curve[count]["choice_expected"]


def test_predictions_hold_at_every_level_of_confidence(simulated: Simulated) -> None:
    prior = taste_prior(1000)
    truth = np.einsum("uca,ua->uc", simulated.choices, simulated.tastes) > 0
    predictions = [
        choice_posterior(shots[:4], choices, prior)
        for shots, choices in zip(simulated.shots, simulated.choices, strict=True)
    ]
    # A choice is a row "preferred minus dispreferred"; turning half of them round hides the label.
    turn = np.random.default_rng(1).random(truth.shape) < 0.5
    for chance, came in (
        (np.array([p.preferred for p in predictions]), truth),
        (np.array([p.chosen for p in predictions]), np.ones_like(truth)),
    ):
        claimed, happened = np.where(turn, 1 - chance, chance), came ^ turn
        for low in np.arange(0, 1, 0.1):
            inside = (claimed >= low) & (claimed < low + 0.1)
            if inside.sum() > 100:
                gap = abs(happened[inside].mean() - claimed[inside].mean())
                assert gap < 4 * 0.5 / inside.sum() ** 0.5


def test_bayes_beats_the_mean_difference(
    simulated: Simulated, curve: dict[int, dict[str, float]]
) -> None:
    truth = np.einsum("uca,ua->uc", simulated.choices, simulated.tastes) > 0
    for count in (4, 8):
        mean = simulated.shots[:, :count].mean(1)
        rule = np.einsum("uca,ua->uc", simulated.choices, mean) > 0
        right = float((rule == truth).mean())
        assert 0.6 < right < curve[count]["choice"] - 0.005


def test_the_mean_taste_is_the_best_embedding_by_squared_error(simulated: Simulated) -> None:
    means = np.array([mean_taste(shots[:4]) for shots in simulated.shots[:100]])
    tastes = simulated.tastes[:100]
    differences_mean = simulated.shots[:100, :4].mean(1)
    scaled = differences_mean / np.linalg.norm(differences_mean, axis=1, keepdims=True)

    def error(guess: Floats) -> float:
        return float(((guess - tastes) ** 2).sum(1).mean())

    assert error(means) < min(error(0 * means), error(scaled), error(0.9 * scaled))


# Telling people apart


def test_the_cap_of_four_binary_choices() -> None:
    assert identification_cap(16, 300) == pytest.approx(0.853, abs=5e-4)
    assert identification_cap(1, 300) == pytest.approx(0.053, abs=5e-4)
    assert identification_cap(5, 300) == pytest.approx(80 / 300)
    assert identification_cap(1, 300, shots=8) == pytest.approx(256 / 300)
    assert identification_cap(19, 300) == 1


def test_people_without_noise_spread_evenly_reach_the_cap() -> None:
    answers = np.array([[user >> bit & 1 for bit in range(4)] for user in range(64)])
    agree = (answers[:, None] == answers[None]).all(-1)
    scores = np.where(agree, 0.0, -50.0)
    for top in (1, 2, 4, 9):
        assert top_share(scores, np.arange(64), top) == pytest.approx(identification_cap(top, 64))


def test_knowing_tastes_beats_knowing_labels_beats_chance(simulated: Simulated) -> None:
    own = np.arange(200)
    asked = simulated.choices[:200, :4]
    known = known_scores(simulated.tastes[:200], asked)
    learnt = label_scores(simulated.shots[:200], asked)
    assert known.shape == learnt.shape == (200, 200)
    for top in (5, 16):
        shares = [top_share(scores, own, top) for scores in (known, learnt)]
        assert identification_cap(top, 200) > shares[0] > shares[1] > 1.5 * top / 200


def test_users_of_whom_nothing_is_known_are_told_apart_by_chance() -> None:
    scores = label_scores(np.empty((30, 0, 6)), some(30, 4))
    for top in (1, 16):
        assert top_share(scores, np.arange(30), top) == pytest.approx(top / 30)


# Captions


@pytest.mark.parametrize("split", ["train", "validation"])
def test_caption_likelihood_is_how_captions_are_asked_for(split: str) -> None:
    for pool in (list(single_scenes()), list(double_scenes())):
        scenes = [scene for scene in pool if scene.split == split]
        shown = scenes[:: len(scenes) // 40]
        captions = [caption_of(scene, reverse=bool(row % 2)) for row, scene in enumerate(shown)]
        found = np.exp(
            caption_log_likelihood(captions, "train" if split == "train" else "validation")
        )
        for person in people("unseen")[:3]:
            total = sum(person.asks_for(scene) for scene in scenes)
            expected = [person.asks_for(scene) / total for scene in shown]
            np.testing.assert_allclose(found[:, habit_of(person)], expected)


def test_everybody_has_a_habit() -> None:
    assert len(set(HABITS)) == len(HABITS) == 168
    habits = {habit_of(person) for person in people("train")}
    assert len(habits) > 100


# The people who are evaluated


class SmallWorld(ShapesPeople):
    """Twelve training people with twenty pairs each; identified by the last four of them."""

    def identified(self, *, topics: bool) -> Sequence[IdentifiedUser]:  # noqa: ARG002
        found = []
        for user in self.users("seen"):
            ids = [*user.shots[0], *user.shots[1], *user.choices]
            groups = tuple(tuple(ids[at : at + 4]) for at in range(0, 20, 4))
            found.append(IdentifiedUser(id=user.id, train=groups[:4], test=groups[4:]))
        return found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallWorld]:
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        sizes: dict[Any, Any] = dict(evaluated.SPLITS)
        drawn: dict[Any, Any] = dict(pairs._EVALUATED)
        patch.setattr(evaluated, "SPLITS", sizes)
        patch.setattr(pairs, "_EVALUATED", drawn)
        for split, group in (("seen", "train"), ("unseen", "unseen")):
            sizes[split] = (group, 12, "train", 12)
        drawn["train"] = 10
        small = SmallWorld(training_pairs=lambda: folder / "none", cache=lambda: folder)
        patch.setattr(ShapesSuite, "people", small)
        yield small


def ids_of(world: ShapesPeople, split: UserSplit, users: int = 12) -> list[str]:
    found = world.users(split)[:users]
    return [i for user in found for group in (*user.shots, user.choices) for i in group]


def test_differences_are_preferred_minus_other_in_the_attributes_scale(world: SmallWorld) -> None:
    ids = ids_of(world, "seen", 2)
    shown = world.pairs(ids)
    measured = measure_differences(shown)
    np.testing.assert_allclose(differences(world, ids), measured / ATTRIBUTE_SCALE)
    # The person themselves, asked by utility, mostly agrees with the labels.
    tastes = np.array([person_of(str(pair.user_id)).taste for pair in shown])
    utility = (measured / ATTRIBUTE_SCALE * tastes).sum(1)
    assert (utility > 0).mean() > 0.75
    turned = [replace(pair, label_0=pair.label_1, label_1=pair.label_0) for pair in shown]
    np.testing.assert_allclose(measure_differences(turned), -measured)


def test_differences_are_measured_once(world: SmallWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = ids_of(world, "seen", 2)
    first = differences(world, ids)

    def fails(images: object) -> None:
        raise AssertionError(f"measured again: {images}")

    monkeypatch.setattr(attributes, "measure", fails)
    np.testing.assert_array_equal(differences(world, ids), first)
    with pytest.raises(AssertionError):
        differences(world, ids[:-1])


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY", b"no array"])
def test_a_damaged_file_of_differences_is_measured_again(
    world: SmallWorld, tmp_path: Path, damage: bytes
) -> None:
    ids = ids_of(world, "seen", 1)
    elsewhere = replace(world, cache=lambda: tmp_path)
    elsewhere.__dict__["_stores"] = world._stores  # the same pairs
    first = differences(elsewhere, ids)
    (path,) = tmp_path.glob("differences-*.npy")
    path.write_bytes(damage)
    np.testing.assert_array_equal(differences(elsewhere, ids), first)
    assert path.read_bytes() != damage
    np.save(path, first[:3])
    np.testing.assert_array_equal(differences(elsewhere, ids), first)


def test_a_cache_that_cannot_be_written_only_costs_time(world: SmallWorld, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    ids = ids_of(world, "seen", 1)
    shown = world.pairs(ids)

    elsewhere = replace(world, cache=lambda: blocked / "folder")
    elsewhere.__dict__["_stores"] = world._stores  # the same pairs
    found = differences(elsewhere, ids)
    np.testing.assert_allclose(found, measure_differences(shown) / ATTRIBUTE_SCALE)


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


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize("topics", [True, False])
def test_identification_of_the_identified(topics: bool) -> None:
    found = identification_ceilings.__wrapped__(topics=topics)
    kinds = {"", "known_", "cap_"} | ({"captions_", "both_"} if topics else set())
    names = {f"{kind}top{count}" for kind in kinds for count in (1, 5, 16)}
    expected = {f"top{count}_expected" for count in (1, 5, 16)}
    assert set(found) == names | expected | {"n_users", "n_groups"}
    assert found["n_users"] == found["n_groups"] == 12
    assert found["top16"] == found["cap_top16"] == 1
    assert found["top16_expected"] == pytest.approx(1)
    assert found["top5"] > 5 / 12
    if topics:
        assert found["both_top5"] > 5 / 12
        assert found["captions_top5"] > 5 / 12


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
