"""What a person's captions tell of whom they are: favourite colours and shapes, by exact Bayes.

Elsewhere: how captions are asked for (`people.py`, `pairs.py`), what choices tell (`beliefs.py`).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ppdbench.protocols import Split
from ppdbench.suites.shapes.people import FAVOURITE_WEIGHT
from ppdbench.suites.shapes.scenes import (
    COLOURS,
    SHAPES,
    Scene,
    double_scenes,
    parse,
    single_scenes,
)

Floats = NDArray[np.float64]

HABITS: tuple[tuple[frozenset[str], str], ...] = tuple(
    (frozenset(colours), shape)
    for colours in itertools.combinations(COLOURS, 2)
    for shape in SHAPES
)
"""All 168 that a person can have, equally likely: two favourite colours and a favourite shape."""


def caption_log_likelihood(captions: Sequence[str], split: Split = "train") -> Floats:
    """Ln P(caption | habit), (N, 168), but for what is the same for every habit.

    Captions are taken as asked for one by one. The people's are of different scenes within a
    group of pairs, which tells a little more.
    """
    scenes = [parse(caption) for caption in captions]
    ways = np.array([len(scene.things) - 1 for scene in scenes], dtype=int)
    return np.asarray(_log_weight(scenes) - _log_total(split)[ways])


def _log_weight(scenes: Sequence[Scene]) -> Floats:
    """Ln `Person.asks_for`, (N, 168)."""
    words = (*COLOURS, *SHAPES)
    column = {word: at for at, word in enumerate(words)}
    share = np.zeros((len(scenes), len(words)))
    for row, scene in enumerate(scenes):
        for thing in scene.things:
            share[row, column[thing.colour]] += 1 / len(scene.things)
            share[row, column[thing.shape]] += 1 / len(scene.things)
    liked = np.array([[word in (*colours, shape) for word in words] for colours, shape in HABITS])
    return np.asarray(np.log(FAVOURITE_WEIGHT) * share @ liked.T)


@cache
def _log_total(split: Split) -> Floats:
    """Ln of the weights' sum over all scenes of one and of two objects, (2, 168)."""
    pools = (single_scenes(), double_scenes())
    return np.stack(
        [
            np.log(np.exp(_log_weight([scene for scene in pool if scene.split == split])).sum(0))
            for pool in pools
        ]
    )
