"""The simulated people of the world: what they like, how surely, and what they ask for.

A person's taste is a unit vector over the pixel-measured attributes; a choice between two
pictures of one caption is Bradley-Terry with that utility. Frozen under the suite's version: six
groups that share nobody. Elsewhere: what they are shown and choose (`pairs.py`), who of them is
evaluated (`evaluated.py`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ppdbench.suites.shapes.attributes import ATTRIBUTES
from ppdbench.suites.shapes.scenes import COLOURS, SHAPES, Scene

Group = Literal["train", "validation", "unseen", "calibration", "hps", "raters"]

GROUP_SIZES: dict[Group, int] = {
    "train": 320,
    "validation": 96,
    "unseen": 192,
    "calibration": 120,
    "hps": 48,
    "raters": 12,
}

ATTRIBUTE_SCALE = np.array([0.0575, 0.0188, 0.0578, 8.86, 0.0972, 0.333])
"""Standard deviation of each attribute within a caption, over renders; measured once, frozen."""

CHOICE_SHARPNESS = 4.6
"""Utility to log-odds. Gives a person's agreement with themselves on a second showing of 88%."""

FAVOURITE_WEIGHT = 4.0
"""How much likelier a favourite colour or shape is in a person's own captions."""

_SHARED_TASTE: dict[Group, dict[str, float]] = {
    "hps": {"warmth": 0.7, "colourfulness": 0.6},
    "raters": {"brightness": 0.6, "centredness": 0.55, "detail": -0.45},
}
"""What the annotators behind the HPS and aesthetic rewards have in common. The other people
have nothing in common: their mean taste is near zero."""


@dataclass(frozen=True, slots=True)
class Person:
    """One simulated user."""

    id: int
    """Opaque; stands in the `user_id` column."""
    taste: tuple[float, ...]
    """Unit weights over `ATTRIBUTES`, each in units of `ATTRIBUTE_SCALE`."""
    favourite_colours: tuple[str, ...]
    favourite_shapes: tuple[str, ...]

    def utility(self, attributes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Utility (N,) of pictures with attributes (N, 6); only differences mean anything."""
        return np.asarray((attributes / ATTRIBUTE_SCALE) @ np.array(self.taste))

    def asks_for(self, scene: Scene) -> float:
        """Unnormalised weight of a scene among this person's captions."""
        weight = 1.0
        for thing in scene.things:
            weight *= FAVOURITE_WEIGHT if thing.colour in self.favourite_colours else 1
            weight *= FAVOURITE_WEIGHT if thing.shape in self.favourite_shapes else 1
        return float(weight ** (1 / len(scene.things)))


@cache
def people(group: Group) -> tuple[Person, ...]:
    """Everyone of a group, in frozen order."""
    return tuple(_person(group, number) for number in range(GROUP_SIZES[group]))


def person_of(identity: str) -> Person:
    """The person of that user id.

    Raises:
        KeyError: there is none.
    """
    return _by_id()[identity]


def random_person(rng: np.random.Generator) -> Person:
    """A person of nobody's group, drawn as those of `train` are: for what learns about people."""
    first, sign = int(rng.integers(len(ATTRIBUTES))), int(rng.choice([-1, 1]))
    return _drawn(rng, -1, first, sign)


@cache
def _by_id() -> dict[str, Person]:
    return {str(person.id): person for group in GROUP_SIZES for person in people(group)}


def preference(
    utility_0: NDArray[np.float64], utility_1: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Probability (N,) that picture 0 is chosen (Bradley-Terry)."""
    return np.asarray(1 / (1 + np.exp(-CHOICE_SHARPNESS * (utility_0 - utility_1))))


def _person(group: Group, number: int) -> Person:
    digest = hashlib.sha256(f"shapes/1/{group}/{number}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "big"))
    identity = int.from_bytes(digest[8:12], "big")
    if group in _SHARED_TASTE:
        return _drawn(rng, identity, shared=_SHARED_TASTE[group])
    # Going round the attributes and signs keeps the population's mean taste near zero.
    return _drawn(rng, identity, (number // 2) % len(ATTRIBUTES), 1 - 2 * (number % 2))


def _drawn(
    rng: np.random.Generator,
    identity: int,
    first: int = 0,
    sign: int = 1,
    *,
    shared: dict[str, float] | None = None,
) -> Person:
    """A person whose dominant attribute is `first`, liked or disliked; or one of shared taste."""
    weights = rng.normal(0, 0.15, len(ATTRIBUTES))
    if shared is None:
        dominant = rng.choice(len(ATTRIBUTES), size=2, replace=False)
        weights[first] = sign
        second = dominant[0] if dominant[0] != first else dominant[1]
        if rng.random() < 0.5:
            weights[second] = rng.choice([-1, 1]) * rng.uniform(0.5, 0.9)
    else:
        weights = weights + [shared.get(name, 0.0) for name in ATTRIBUTES]
    taste = weights / np.linalg.norm(weights)
    colours = rng.choice(COLOURS, size=2, replace=False)
    shapes = rng.choice(SHAPES, size=1)
    return Person(
        id=identity,
        taste=tuple(round(float(w), 6) for w in taste),
        favourite_colours=tuple(str(c) for c in colours),
        favourite_shapes=tuple(str(s) for s in shapes),
    )
