"""The bilinear probe: finds the W that made the choices, and nothing where there is nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import toy_crowd
from fake_world import Quiet
from numpy.typing import NDArray
from toy_crowd import Reader, ToyPeople

from ppdbench.benchmarks.users.bilinear_probe import Choices, fit_probe, right
from ppdbench.benchmarks.users.groups import READS_IDS
from ppdbench.benchmarks.users.probe import (
    Held,
    probe_encoder,
    probe_figures,
    shuffled,
    training_choices,
)
from ppdbench.data.images import decode_image

Floats = NDArray[np.float64]
W = np.array([[4.0, 0.0, 0.0, 1.0], [0.0, -3.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0]])
SHARED = np.zeros(4)


def drawn(
    seed: int, users: int, each: int, *, w: Floats = W, shared: Floats = SHARED, idle: int = 0
) -> tuple[Choices, Floats]:
    """Choices made by W, and whether picture 0 is truly better; `idle` dimensions mean nothing."""
    rng = np.random.default_rng(seed)
    e = np.repeat(rng.normal(size=(users, 3 + idle)), each, axis=0)
    d = rng.normal(size=(users * each, 4))
    margin = ((e[:, :3] @ w + shared) * d).sum(axis=1)
    choices = Choices(
        embeddings=e,
        differences=d,
        first=rng.random(len(d)) < 1 / (1 + np.exp(-margin)),
        users=np.repeat([f"{seed}-{user:03}" for user in range(users)], each),
    )
    return choices, (margin > 0).astype(float)


def figures(learnt: Choices, held: tuple[Choices, Floats], **options: Any) -> dict[str, Any]:
    choices, true = held
    found = probe_figures(
        fit_probe(learnt), Held(choices=choices, truly_first=true, n_missing=0), **options
    )
    json.dumps(found, allow_nan=False)
    return found


def test_the_w_that_made_the_choices_is_found() -> None:
    probe = fit_probe(drawn(0, 200, 40)[0])
    np.testing.assert_allclose(probe.matrix(), W, atol=0.35)
    np.testing.assert_allclose(probe.weights[-1], 0, atol=0.25)


def test_units_change_no_guess() -> None:
    learnt, (held, _) = drawn(0, 60, 20)[0], drawn(1, 20, 10)
    units, sizes = np.array([1e-3, 5.0, 1e3]), np.array([1e2, 1.0, 1e-4, 3.0])

    def scaled(choices: Choices) -> Choices:
        return replace(
            choices,
            embeddings=choices.embeddings * units + 7,
            differences=choices.differences * sizes,
        )

    plain = fit_probe(learnt).margins(held.embeddings, held.differences)
    other = fit_probe(scaled(learnt)).margins(scaled(held).embeddings, scaled(held).differences)
    np.testing.assert_allclose(other, plain, atol=1e-3)


def test_unseen_users_choices_are_guessed_as_well_as_noise_allows() -> None:
    held = drawn(1, 80, 20)
    ceiling = float(right(((held[0].embeddings @ W) * held[0].differences).sum(1), held[0].first)
                    .mean())  # fmt: skip
    found = figures(drawn(0, 120, 20)[0], held, ceilings={"choice": 1.0, "choice_noisy": ceiling})
    assert found["accuracy"] > ceiling - 0.03
    assert found["accuracy_true"] > 0.93
    assert found["accuracy_ci_low"] < found["accuracy"] < found["accuracy_ci_high"]
    assert (found["n"], found["n_users"], found["n_missing"]) == (1600, 80, 0)
    assert found["way"] == pytest.approx((found["accuracy"] - 0.5) / (ceiling - 0.5))
    assert found["way_true"] == pytest.approx((found["accuracy_true"] - 0.5) / 0.5)
    assert found["shuffled_ci_low"] < 0.5 < found["shuffled_ci_high"]
    assert found["gain_ci_low"] > 0.2 and found["gain_p_value"] < 1e-3
    assert found["train_log_loss"] < np.log(2)


def test_what_all_users_like_is_no_gain_of_the_embedding() -> None:
    shared = np.array([2.0, 0.0, 0.0, -1.0])
    learnt, held = (drawn(seed, 100, 20, w=0 * W, shared=shared) for seed in (0, 1))
    found = figures(learnt[0], held)
    assert found["accuracy"] > 0.75
    assert found["accuracy"] - found["shuffled"] == pytest.approx(found["gain"])
    assert found["gain_ci_low"] <= 0 <= found["gain_ci_high"]


def test_choices_by_coin_leave_nothing_to_be_guessed() -> None:
    learnt, held = (drawn(seed, 80, 10, w=0 * W, idle=40) for seed in (0, 1))
    found = figures(learnt[0], held)
    assert found["accuracy_ci_low"] <= 0.5 <= found["accuracy_ci_high"]
    assert found["train_log_loss"] == pytest.approx(np.log(2), abs=0.03)


def test_swapping_the_pictures_swaps_the_guess() -> None:
    probe, (held, _) = fit_probe(drawn(0, 40, 10)[0]), drawn(1, 10, 5)
    there = probe.margins(held.embeddings, held.differences)
    np.testing.assert_allclose(probe.margins(held.embeddings, -held.differences), -there)


def test_many_dimensions_are_cut_to_components() -> None:
    rng = np.random.default_rng(2)
    wide = rng.normal(size=(3, 300))

    def widened(choices: Choices) -> Choices:
        return replace(choices, embeddings=choices.embeddings @ wide)

    probe = fit_probe(widened(drawn(0, 80, 20)[0]), components=8)
    held = widened(drawn(1, 40, 20)[0])
    assert probe.weights.shape == (9, 4)
    assert right(probe.margins(held.embeddings, held.differences), held.first).mean() > 0.8


def test_a_guess_that_says_nothing_is_half_right() -> None:
    assert right(np.array([0.0, 1.0, -1.0]), np.array([True, False, False])).tolist() == [0.5, 0, 1]


def test_shuffled_users_are_somebody_else() -> None:
    choices, _ = drawn(0, 7, 3)
    other = shuffled(choices)
    assert not (other == choices.embeddings).all(axis=1).any()
    assert len(np.unique(other, axis=0)) == 7
    assert (other[0] == other[1]).all()


def test_what_cannot_be_fitted_is_refused() -> None:
    choices, _ = drawn(0, 2, 5)
    with pytest.raises(ValueError, match="over users"):
        fit_probe(replace(choices, users=np.repeat("one", 10)))
    with pytest.raises(ValueError, match="finite"):
        fit_probe(replace(choices, embeddings=choices.embeddings * np.nan))


# --- from encoders and people ------------------------------------------------------------------


def probed(reader: Reader, people: ToyPeople | None = None) -> dict[str, Any]:
    crowd = people or ToyPeople(40)
    return probe_encoder(reader, crowd, crowd.truth.measure, cache=None, events=Quiet())


def test_an_encoder_of_tastes_represents_rewards() -> None:
    found = probed(toy_crowd.taste_reader())
    assert found["accuracy"] > 0.75
    assert found["accuracy_true"] == found["accuracy"]  # the toy crowd never errs
    assert found["gain_ci_low"] > 0
    assert (found["ceiling"], found["n"], found["n_users"]) == (0.9, 40 * toy_crowd.CHOICES, 40)


def test_an_encoder_of_captions_does_not() -> None:
    found = probed(toy_crowd.topic_reader())
    assert found["gain_ci_low"] <= 0 <= found["gain_ci_high"]


def test_a_pair_is_never_among_the_shots_of_its_embedding() -> None:
    people = ToyPeople(3)

    def rows(user: Any) -> Floats:
        return np.array(sorted(int(s.caption.split("take ")[1]) for s in user.shots), float)

    # Features of an image are its colour; so a row's pair is found again by its difference.
    found = training_choices(
        Reader("rows", rows, 4), people, people.truth.measure, None, None, Quiet()
    )
    assert len(found) == 3 * 20 * 4
    groups = [group for user in people.identified(topics=True) for group in user.train + user.test]
    for identity in (pair for group in groups for pair in group):
        (pair,) = people.pairs([identity])
        images = [decode_image(data) for data in (pair.image_0, pair.image_1)]
        zero, one = people.truth.measure(images)
        same = np.isclose(found.differences, zero - one).all(axis=1)
        assert same.sum() == 4
        assert float(identity) not in found.embeddings[same].astype(int)


def test_users_without_an_embedding_are_counted() -> None:
    def read(user: Any) -> Floats | None:
        who = int(user.shots[0].caption.split("take ")[1]) // 100
        return None if who % 4 == 0 else toy_crowd.tastes_of(user)

    found = probed(Reader("some", read, 3))
    assert (found["n_users"], found["n_missing"]) == (30, 10)
    nobody = probed(Reader("none", lambda _: None, 3), ToyPeople(3))
    assert nobody["accuracy"] is None and "training users" in nobody["reason"]


def test_nobody_to_guess_for_has_a_reason() -> None:
    def read(user: Any) -> Floats | None:
        unseen = int(user.shots[0].caption.split("take ")[1]) // 100 >= 500_000
        return None if unseen else toy_crowd.tastes_of(user)

    found = probed(Reader("seen", read, 3), ToyPeople(5))
    assert (found["accuracy"], found["n"], found["n_missing"]) == (None, 0, 5)
    assert found["reason"] == "no choice could be guessed"


def test_who_reads_ids_knows_nobody_new() -> None:
    assert probed(Reader("ids", toy_crowd.peek, 8, uses="id"))["reason"] == READS_IDS
