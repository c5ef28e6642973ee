"""People for tests of what can be known: strangers by numbers, and a few who have pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ppdbench.protocols import IdentifiedUser
from ppdbench.suites.shapes import evaluated, pairs
from ppdbench.suites.shapes.beliefs import Prediction, posterior, predict, taste_prior
from ppdbench.suites.shapes.evaluated import ShapesPeople
from ppdbench.suites.shapes.people import CHOICE_SHARPNESS, Person, random_person
from ppdbench.suites.shapes.suite import ShapesSuite
from ppdbench.suites.shapes.topics import HABITS

Floats = NDArray[np.float64]
STRANGERS = 400


def some(*shape: int, seed: int = 0) -> Floats:
    """Differences as wide as those of two renders."""
    return np.random.default_rng(seed).normal(0, 2**0.5, (*shape, 6))


@dataclass(frozen=True)
class Simulated:
    """People of nobody's group, and what they chose: preferred minus dispreferred."""

    tastes: Floats
    shots: Floats
    choices: Floats


@cache
def strangers() -> Simulated:
    """The same on every call."""
    rng = np.random.default_rng(99)
    tastes = np.array([random_person(rng).taste for _ in range(STRANGERS)])
    shown = some(STRANGERS, 16, seed=5)
    log_odds = CHOICE_SHARPNESS * np.einsum("uca,ua->uc", shown, tastes)
    first = rng.random(log_odds.shape) < 1 / (1 + np.exp(-log_odds))
    chosen = np.where(first[..., None], shown, -shown)
    return Simulated(tastes, chosen[:, :8], chosen[:, 8:])


def choice_posterior(shots: Floats, candidates: Floats, tastes: Floats | None = None) -> Prediction:
    """What shots (S, 6) tell of candidate pairs (C, 6)."""
    return predict(posterior(shots, tastes), candidates, tastes)


def mean_taste(shots: Floats) -> Floats:
    """Posterior mean (6,) of the taste after shots (S, 6)."""
    return np.asarray(posterior(shots) @ taste_prior())


def habit_of(person: Person) -> int:
    """Which of `HABITS` is this person's."""
    return HABITS.index((frozenset(person.favourite_colours), person.favourite_shapes[0]))


class SmallWorld(ShapesPeople):
    """Twelve training people with twenty pairs each; identified by the last four of them."""

    def identified(self, *, topics: bool) -> Sequence[IdentifiedUser]:  # noqa: ARG002
        found = []
        for user in self.users("seen"):
            ids = [*user.shots[0], *user.shots[1], *user.choices]
            groups = tuple(tuple(ids[at : at + 4]) for at in range(0, 20, 4))
            found.append(IdentifiedUser(id=user.id, train=groups[:4], test=groups[4:]))
        return found


@contextmanager
def small_world(folder: Path) -> Iterator[SmallWorld]:
    """It, in place of the suite's people."""
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
