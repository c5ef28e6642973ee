"""Preference pairs of the training people, in the Pick-a-Pic v2 schema.

A pair is one caption that the person asks for, drawn twice in random styles; the pictures stand
for other models' images. The label is the person's noisy choice. Only training combinations for
`train`; the same people with validation combinations for `validation`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from ppdbench.data.images import encode_png
from ppdbench.data.pickapic import PreferencePair
from ppdbench.protocols import Split
from ppdbench.suites.shapes.attributes import measure
from ppdbench.suites.shapes.people import Group, Person, people, preference
from ppdbench.suites.shapes.renderer import render, sample_styles
from ppdbench.suites.shapes.scenes import Scene, caption_of, double_scenes, single_scenes

if TYPE_CHECKING:
    from numpy.typing import NDArray

PAIRS_PER_PERSON: dict[Split, int] = {"train": 24, "validation": 4}
DOUBLE_SHARE = 0.3
TIE_LOG_ODDS = 0.15
"""Pictures nearer than this are a tie for half of the people's showings."""


def choices(group: Group, split: Split, per_person: int) -> Iterator[PreferencePair]:
    """The pairs of a group's people, person by person; the same on every machine and call."""
    for number, person in enumerate(people(group)):
        yield from _pairs_of(person, number, split, per_person)


def draw_pairs(
    person: Person, split: Split, count: int, rng: np.random.Generator
) -> tuple[list[Scene], list[str], NDArray[np.uint8], NDArray[np.float64]]:
    """What a person sees: scenes, captions, pictures (2, N, 64, 64, 3) and utilities (2, N)."""
    scenes = [_ask(person, split, rng) for _ in range(count)]
    captions = [caption_of(scene, reverse=bool(rng.random() < 0.5)) for scene in scenes]
    pictures = render(scenes * 2, sample_styles(2 * count, rng))
    utility = person.utility(measure(pictures))
    return scenes, captions, pictures.reshape(2, count, *pictures.shape[1:]), utility.reshape(2, -1)


def choose(
    utility: NDArray[np.float64], rng: np.random.Generator
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Noisy choices for utilities (2, N): whether picture 0 wins (N,), and whether it is a tie."""
    chance = preference(utility[0], utility[1])
    near = np.abs(np.log(chance) - np.log1p(-chance)) < TIE_LOG_ODDS
    return rng.random(len(chance)) < chance, near & (rng.random(len(chance)) < 0.5)


def _pairs_of(person: Person, number: int, split: Split, count: int) -> Iterator[PreferencePair]:
    from PIL import Image

    rng = np.random.default_rng([person.id, {"train": 0, "validation": 1, "test": 2}[split]])
    _, captions, pictures, utility = draw_pairs(person, split, count, rng)
    wins, ties = choose(utility, rng)
    for row, caption in enumerate(captions):
        label = 0.5 if ties[row] else float(wins[row])
        yield PreferencePair(
            id=str(number * count + row),
            caption=caption,
            image_0=encode_png(Image.fromarray(pictures[0, row])),
            image_1=encode_png(Image.fromarray(pictures[1, row])),
            label_0=label,
            label_1=1 - label,
            user_id=person.id,
            model_0="shapes-renderer",
            model_1="shapes-renderer",
        )


@cache
def _pool(split: Split, double: bool) -> tuple[Scene, ...]:
    scenes = double_scenes() if double else single_scenes()
    return tuple(scene for scene in scenes if scene.split == split)


def _ask(person: Person, split: Split, rng: np.random.Generator) -> Scene:
    """A scene this person asks for: favourites are likelier, three in ten have two objects."""
    pool = _pool(split, bool(rng.random() < DOUBLE_SHARE))
    # Rejection keeps it simple: weights are at most FAVOURITE_WEIGHT squared.
    while True:
        scene = pool[rng.integers(len(pool))]
        if rng.random() < person.asks_for(scene) / 16:
            return scene
