"""Preference pairs of the people, in the Pick-a-Pic v2 schema.

A pair is one caption that the person asks for, drawn twice in random styles; the pictures stand
for other models' images. The label is the person's noisy choice. Training people choose in pairs
of training combinations, for `train`, and of validation combinations, for `validation`. People
who are evaluated choose in further pairs, of other captions each (`distinct_pairs`); elsewhere:
which of them are what (`evaluated.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ppdbench.data.images import encode_png
from ppdbench.data.pickapic import write_pairs
from ppdbench.errors import MissingPrerequisite, PpdbenchError
from ppdbench.protocols import PreferencePair, Split
from ppdbench.suites.made_once import made_once
from ppdbench.suites.shapes.attributes import measure
from ppdbench.suites.shapes.people import (
    CHOICE_SHARPNESS,
    Group,
    Person,
    people,
    preference,
)
from ppdbench.suites.shapes.renderer import render, sample_styles
from ppdbench.suites.shapes.scenes import Scene, caption_of, double_scenes, single_scenes

if TYPE_CHECKING:
    from numpy.typing import NDArray

PAIRS_PER_PERSON: dict[Split, int] = {"train": 24, "validation": 4}
DOUBLE_SHARE = 0.3
_EVALUATED: dict[Split, int] = {"validation": 11, "test": 12}
_COMMON = 20
"""Streams of a person's random numbers; those of the training pairs are 0 and 1."""
TIE_LOG_ODDS = 0.15
"""Pictures nearer than this are a tie for half of the people's showings."""


def kept(path: Path, pairs: Iterator[PreferencePair], *, megabytes: int) -> Path:
    """The file of pairs, written where it is not there yet; until then nothing is rendered.

    Raises:
        MissingPrerequisite: it cannot be written; so many megabytes are asked for.
    """
    try:
        return made_once(path, lambda: write_pairs(path, pairs), tmp=f".{path.name}.*.tmp")
    except PpdbenchError as error:
        raise MissingPrerequisite(
            error.cause,
            fix=f"set PPDBENCH_CACHE to a writable folder with {megabytes} MB of free space",
        ) from error


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
    near = np.abs(CHOICE_SHARPNESS * (utility[0] - utility[1])) < TIE_LOG_ODDS
    return rng.random(len(chance)) < chance, near & (rng.random(len(chance)) < 0.5)


def distinct_pairs(
    person: Person, first_id: int, split: Split, count: int
) -> Iterator[PreferencePair]:
    """Pairs of different captions, in all of which the person chose one."""
    scenes, captions, rng = _distinct(person, split, count)
    yield from _shown(person, first_id, scenes, captions, rng)


def pair_captions(person: Person, split: Split, count: int) -> list[str]:
    """The captions of `distinct_pairs`; renders nothing."""
    return _distinct(person, split, count)[1]


def common_pairs(person: Person, first_id: int, count: int) -> Iterator[PreferencePair]:
    """Pairs whose captions are the same for everybody, of training combinations."""
    scenes = _common_scenes(count)
    rng = np.random.default_rng([person.id, _COMMON])
    yield from _shown(person, first_id, scenes, [caption_of(scene) for scene in scenes], rng)


def _distinct(
    person: Person, split: Split, count: int
) -> tuple[list[Scene], list[str], np.random.Generator]:
    rng = np.random.default_rng([person.id, _EVALUATED[split]])
    scenes: dict[str, Scene] = {}
    while len(scenes) < count:
        scene = _ask(person, split, rng)
        scenes.setdefault(scene.key, scene)
    chosen = list(scenes.values())
    return chosen, [caption_of(scene, reverse=bool(rng.random() < 0.5)) for scene in chosen], rng


@cache
def _common_scenes(count: int) -> list[Scene]:
    rng = np.random.default_rng(_COMMON)
    pools = [_pool("train", bool(rng.random() < DOUBLE_SHARE)) for _ in range(count)]
    return [pool[rng.integers(len(pool))] for pool in pools]


def _shown(
    person: Person,
    first_id: int,
    scenes: list[Scene],
    captions: list[str],
    rng: np.random.Generator,
) -> Iterator[PreferencePair]:
    """Two pictures a scene, and the person's noisy choice, which is never a tie."""
    count = len(scenes)
    pictures = render(scenes * 2, sample_styles(2 * count, rng))
    utility = person.utility(measure(pictures)).reshape(2, -1)
    wins, _ = choose(utility, rng)
    yield from _as_pairs(
        person, first_id, captions, pictures.reshape(2, count, *pictures.shape[1:]),
        wins.astype(float),
    )  # fmt: skip


def _pairs_of(person: Person, number: int, split: Split, count: int) -> Iterator[PreferencePair]:
    rng = np.random.default_rng([person.id, {"train": 0, "validation": 1, "test": 2}[split]])
    _, captions, pictures, utility = draw_pairs(person, split, count, rng)
    wins, ties = choose(utility, rng)
    yield from _as_pairs(
        person, number * count, captions, pictures, np.where(ties, 0.5, wins.astype(float))
    )


def _as_pairs(
    person: Person,
    first_id: int,
    captions: list[str],
    pictures: NDArray[np.uint8],
    labels: NDArray[np.float64],
) -> Iterator[PreferencePair]:
    from PIL import Image

    for row, caption in enumerate(captions):
        yield PreferencePair(
            id=str(first_id + row),
            caption=caption,
            image_0=encode_png(Image.fromarray(pictures[0, row])),
            image_1=encode_png(Image.fromarray(pictures[1, row])),
            label_0=float(labels[row]),
            label_1=1 - float(labels[row]),
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
