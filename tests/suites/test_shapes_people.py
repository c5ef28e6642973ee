"""The simulated people: groups apart, tastes without a common bent, choices nearly sure."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from ppdbench.suites.shapes.attributes import ATTRIBUTES
from ppdbench.suites.shapes.pairs import choose, draw_pairs
from ppdbench.suites.shapes.people import (
    ATTRIBUTE_SCALE,
    CHOICE_SHARPNESS,
    GROUP_SIZES,
    Group,
    Person,
    people,
    preference,
)
from ppdbench.suites.shapes.scenes import COLOURS, SHAPES, parse

GROUPS: tuple[Group, ...] = get_args(Group)
USERS: tuple[Group, ...] = ("train", "unseen", "calibration")


def mean_taste(group: Group) -> NDArray[np.float64]:
    return np.asarray(np.mean([person.taste for person in people(group)], axis=0))


def test_groups_have_their_sizes() -> None:
    assert {group: len(people(group)) for group in GROUPS} == GROUP_SIZES
    assert GROUP_SIZES == {
        "train": 320,
        "validation": 96,
        "unseen": 192,
        "calibration": 120,
        "hps": 48,
        "raters": 12,
    }


def test_nobody_is_in_two_groups() -> None:
    everyone = [person for group in GROUPS for person in people(group)]
    assert len({person.id for person in everyone}) == len(everyone)
    assert len({person.taste for person in everyone}) == len(everyone)


def test_people_are_the_same_on_every_call() -> None:
    first = people("unseen")
    people.cache_clear()
    assert people("unseen") == first


def test_ids_fit_the_user_column_and_tell_nothing() -> None:
    for group in GROUPS:
        ids = [person.id for person in people(group)]
        assert all(0 <= number < 2**32 for number in ids)
        assert ids != sorted(ids)


def test_tastes_are_unit_vectors() -> None:
    tastes = np.array([person.taste for group in GROUPS for person in people(group)])
    assert tastes.shape[1] == len(ATTRIBUTES) == len(ATTRIBUTE_SCALE)
    np.testing.assert_allclose(np.linalg.norm(tastes, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("group", USERS)
def test_users_have_no_common_taste(group: Group) -> None:
    assert np.linalg.norm(mean_taste(group)) < 0.1


@pytest.mark.parametrize("group", USERS)
def test_every_attribute_is_loved_and_hated(group: Group) -> None:
    tastes = np.array([person.taste for person in people(group)])
    assert ((tastes > 0.5).sum(0) >= 5).all()
    assert ((tastes < -0.5).sum(0) >= 5).all()


def test_annotators_have_tastes_of_their_own() -> None:
    """Else population Diffusion-DPO would simply be the upper bound of HPS."""
    hps, raters = mean_taste("hps"), mean_taste("raters")
    assert np.linalg.norm(hps) > 0.5 and np.linalg.norm(raters) > 0.5
    assert np.linalg.norm(hps - mean_taste("train")) > 0.5
    assert abs(hps @ raters) / np.linalg.norm(hps) / np.linalg.norm(raters) < 0.3


def test_people_agree_with_themselves_85_to_90_percent() -> None:
    same, shown = 0, 0
    for person in people("train")[:120:2]:
        rng = np.random.default_rng([8, person.id])
        utility = draw_pairs(person, "train", 24, rng)[3]
        first, second = choose(utility, rng)[0], choose(utility, rng)[0]
        same, shown = same + int((first == second).sum()), shown + len(first)
    assert shown == 1440
    assert 0.85 <= same / shown <= 0.90


def test_preference_is_bradley_terry() -> None:
    first, second = np.array([0.0, 0.3, 2.0]), np.array([0.0, 0.0, -2.0])
    chance = preference(first, second)
    assert chance[0] == 0.5
    np.testing.assert_allclose(np.log(chance / (1 - chance)), CHOICE_SHARPNESS * (first - second))
    np.testing.assert_allclose(chance + preference(second, first), 1)


def test_utility_is_linear_in_scaled_attributes() -> None:
    person = Person(1, (0.6, 0, 0, 0.8, 0, 0), (), ())
    step = np.diag(ATTRIBUTE_SCALE)
    np.testing.assert_allclose(person.utility(step), [0.6, 0, 0, 0.8, 0, 0])
    base = np.ones((1, 6))
    np.testing.assert_allclose(person.utility(base + step[3]) - person.utility(base), 0.8)


def test_favourites_are_asked_for_more() -> None:
    person = Person(1, (1.0,) * 6, ("red",), ("ring",))
    weight = {
        caption: person.asks_for(parse(f"{caption} on a teal background"))
        for caption in (
            "a small blue square",
            "a small red square",
            "a small red ring",
            "a red ring left of a blue square",
        )
    }
    assert list(weight.values()) == [1, 4, 16, 4]


def test_favourites_are_words_of_the_world() -> None:
    for person in people("train"):
        assert len(set(person.favourite_colours) & set(COLOURS)) == 2
        assert len(set(person.favourite_shapes) & set(SHAPES)) == 1
