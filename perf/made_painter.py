"""Two made-up generators that cost next to nothing: the pictures of a large run that measures load.

Every item has a picture of its own, so no question of a judge is another one's. Elsewhere: who has
them judged (`judge_load`, `summary_scale`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
from PIL import Image

from ppdbench.protocols import GenerationRequest, GeneratorInfo, LoadContext

CELLS = 8
"""Coloured squares along a side."""


class Painter:
    """Implements `protocols.Generator`: coloured squares by seed, and by user where it hears one.

    Args:
        name: in records.
        conditions_on: what it hears of users.
    """

    def __init__(self, name: str, conditions_on: Sequence[Literal["shots"]]) -> None:
        self.info = GeneratorInfo(
            name=name,
            version="1",
            revision=hashlib.sha256(f"{name} 1".encode()).hexdigest(),
            licence="Apache-2.0",
            conditions_on=frozenset(conditions_on),
        )

    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[Image.Image]:
        """Yield a picture of the size of each request."""
        for request in requests:
            user = request.user.id if request.user else ""
            digest = hashlib.sha256(f"{self.info.name}/{request.seed}/{user}".encode()).digest()
            rng = np.random.default_rng(int.from_bytes(digest[:8], "big"))
            pixels = rng.integers(0, 256, (CELLS, CELLS, 3), dtype=np.uint8)
            picture = Image.fromarray(pixels)
            yield picture.resize((request.width, request.height), Image.Resampling.NEAREST)


def squares(_: LoadContext) -> Painter:
    """The measured one: it hears users by their shots."""
    return Painter("squares", ["shots"])


def plain_squares(_: LoadContext) -> Painter:
    """The one that it is held against; it hears nobody."""
    return Painter("plain-squares", [])
