"""Questions whose images are noise, and what judges say to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from ppdbench.protocols import Judge, Question, Shot, Verdict

SIDE = 64


def pictures(count: int, seed: int = 0) -> list[Image.Image]:
    """So many, each of a colour and contrast of its own."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 1, (count, SIDE, SIDE, 3)) * rng.uniform(5, 60, (count, 1, 1, 1))
    pixels = (noise + rng.uniform(60, 200, (count, 1, 1, 3))).clip(0, 255)
    return [Image.fromarray(each) for each in pixels.astype(np.uint8)]


def shots(count: int, seed: int = 100) -> tuple[Shot, ...]:
    images = pictures(2 * count, seed)
    return tuple(
        Shot(
            caption=f"a shot {number}",
            preferred=images[2 * number],
            dispreferred=images[2 * number + 1],
        )
        for number in range(count)
    )


def questions(count: int, shown: tuple[Shot, ...], seed: int = 0) -> list[Question]:
    """So many about one user; captions of several lengths."""
    images = pictures(2 * count, seed)
    return [
        Question(
            caption=" and ".join(["a red circle"] * (1 + number % 3)),
            shots=shown,
            first=images[2 * number],
            second=images[2 * number + 1],
        )
        for number in range(count)
    ]


def swapped(asked: Sequence[Question]) -> list[Question]:
    """The same, the images in the other order."""
    return [replace(each, first=each.second, second=each.first) for each in asked]


def verdicts(judge: Judge, asked: Sequence[Question]) -> list[Verdict]:
    """In the order of the questions; each has one."""
    found = list(judge.judge(asked))
    assert sorted(index for index, _ in found) == list(range(len(asked)))
    return [verdict for _, verdict in sorted(found, key=lambda each: each[0])]
