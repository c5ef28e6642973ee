"""What choices tell of a person: exact Bayes where a hand can follow, calibrated where not."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from small_people import Simulated, choice_posterior, mean_taste, some, strangers

from ppdbench.suites.shapes.beliefs import (
    dominant_name,
    dominant_of,
    dominant_posterior,
    log_likelihood,
    posterior,
    posteriors,
    predict,
    right_share,
    taste_prior,
    top_share,
)
from ppdbench.suites.shapes.people import CHOICE_SHARPNESS, people, random_person

Floats = NDArray[np.float64]
NO_SHOTS = np.empty((0, 6))


def sigmoid(x: float) -> float:
    return float(1 / (1 + np.exp(-x)))


@pytest.fixture(scope="module")
def simulated() -> Simulated:
    return strangers()


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


def test_the_dominant_attribute_is_the_largest_weight_with_its_sign() -> None:
    tastes = np.array([[0.1, 0.9, 0, 0, 0, -0.4], [0.5, 0, 0, 0, 0, -0.8], [-1.0, 0, 0, 0, 0, 0]])
    numbers = dominant_of(tastes)
    assert numbers.tolist() == [1, 11, 6]
    assert [dominant_name(int(n)) for n in numbers] == ["+contrast", "-detail", "-brightness"]


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


def test_the_mean_taste_is_the_best_embedding_by_squared_error(simulated: Simulated) -> None:
    means = np.array([mean_taste(shots[:4]) for shots in simulated.shots[:100]])
    tastes = simulated.tastes[:100]
    differences_mean = simulated.shots[:100, :4].mean(1)
    scaled = differences_mean / np.linalg.norm(differences_mean, axis=1, keepdims=True)

    def error(guess: Floats) -> float:
        return float(((guess - tastes) ** 2).sum(1).mean())

    assert error(means) < min(error(0 * means), error(scaled), error(0.9 * scaled))
