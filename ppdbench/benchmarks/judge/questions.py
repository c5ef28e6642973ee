"""From calls to questions: shots from the suite's pairs, candidates from wherever they lie.

Elsewhere: which calls (`judge.calls`, `calibration.plan`), who asks them (`judges.ask`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

from ppdbench.data.images import decode_image
from ppdbench.judges.call import Call
from ppdbench.protocols import People, PreferencePair, Question, Shot
from ppdbench.users.contexts import user_context

if TYPE_CHECKING:
    from PIL.Image import Image

AT_HAND = 16
"""Sets of shots, images and pairs that are kept decoded: a user's are asked about in a row. Four
shots of 1,024 px are 25 MB."""


class QuestionMaker:
    """Makes the questions of calls, each when it is asked for."""

    def __init__(self, people: People, image: Callable[[str], Image]) -> None:
        """See where things are; nothing is read.

        Args:
            people: where shots are.
            image: reads a candidate by its name in a call.
        """
        self._people = people
        self._image = lru_cache(AT_HAND)(image)
        self.shots = lru_cache(AT_HAND)(self._shots)
        """Pair ids -> decoded; equal ids give the very same object while they are at hand."""

    def __call__(self, call: Call) -> Question:
        """Decode what a call shows.

        Raises:
            PpdbenchError: an image or a pair is damaged or missing.
        """
        first, second = call.images
        return Question(
            caption=call.caption,
            shots=self.shots(call.shots),
            first=self._image(first),
            second=self._image(second),
            repeat=call.repeat,
        )

    def _shots(self, pairs: tuple[str, ...]) -> tuple[Shot, ...]:
        return user_context(self._people, "", pairs).shots if pairs else ()


class PairImages:
    """Reads images of pairs by "<pair id>#<side>"."""

    def __init__(self, people: People) -> None:
        self._people = people
        self._pair = lru_cache(AT_HAND)(self._read)

    def get(self, name: str) -> Image:
        """One image of a pair.

        Raises:
            PpdbenchError: the pair is damaged or missing.
        """
        identity, _, side = name.rpartition("#")
        pair = self._pair(identity)
        data = pair.image_1 if side == "1" else pair.image_0
        return decode_image(data, name=f"image {side} of the pair {identity}")

    def _read(self, pair: str) -> PreferencePair:
        return self._people.pairs([pair])[0]
