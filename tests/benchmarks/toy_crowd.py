"""A crowd whose tastes and topics are known, and encoders that read one, both or neither.

A user likes a direction in colour and asks for words of their own; images are plain colours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ppdbench.data.images import encode_png
from ppdbench.errors import MissingPrerequisite
from ppdbench.protocols import (
    EncoderInfo,
    EvaluatedUser,
    IdentifiedUser,
    PreferencePair,
    Shot,
    UserCode,
    UserContext,
    UserSplit,
)

SHOTS, TRAIN, TEST, CHOICES = 4, 4, 1, 6
WORDS = 10
Floats = NDArray[np.float64]


class ToyTruth:
    """Implements `protocols.Truth`: taste is linear in mean colour."""

    identity = "toy"
    attributes = ("red", "green", "blue")

    def measure(self, images: Sequence[Any]) -> Floats:
        return np.array([colour(image) for image in images])

    def utility(self, user: str, attributes: Floats) -> Floats:
        return np.asarray(attributes @ taste(user))

    def dominant(self, user: str) -> str:
        return self.attributes[int(np.abs(taste(user)).argmax())]

    def ceilings(self, split: UserSplit) -> Mapping[str, float]:
        return {"choice": 0.9, "choice_noisy": 0.9} if split else {}

    def identification_ceilings(self, *, topics: bool) -> Mapping[str, float]:
        return {"top16": 0.7, "both_top16": 0.9} if topics else {"top16": 0.8}


class ToyPeople:
    """Implements `protocols.People`; pair ids say whose pair it is and what it is for."""

    digest = "toy crowd"
    truth = ToyTruth()
    opponents = ()
    training_digest = None

    def __init__(self, size: int, *, common: bool = True, tests: int = TEST) -> None:
        self.size, self.common, self.tests = size, common, tests
        self.read = 0

    def users(self, split: UserSplit) -> Sequence[EvaluatedUser]:
        first = {"unseen": 500_000}[split]
        return [
            EvaluatedUser(
                id=str(first + user),
                seen=False,
                shots=(_ids(first + user, 0, SHOTS),),
                choices=_ids(first + user, SHOTS, CHOICES),
                captions=(),
            )
            for user in range(self.size)
        ]

    def identified(self, *, topics: bool) -> Sequence[IdentifiedUser]:
        if not topics and not self.common:
            raise MissingPrerequisite("no captions in common", fix="another suite")
        first = 0 if topics else 50
        groups = [
            [_ids(user, first + at * SHOTS, SHOTS) for at in range(TRAIN + self.tests)]
            for user in range(self.size)
        ]
        return [
            IdentifiedUser(id=str(user), train=tuple(own[:TRAIN]), test=tuple(own[TRAIN:]))
            for user, own in enumerate(groups)
        ]

    def pairs(self, ids: Sequence[str]) -> list[PreferencePair]:
        self.read += len(ids)
        return [_pair(identity) for identity in ids]


def taste(user: str) -> Floats:
    """Unit direction in colour."""
    drawn = np.random.default_rng([3, int(user)]).normal(size=3)
    return np.asarray(drawn / np.linalg.norm(drawn))


def colour(image: Any) -> Floats:
    return np.asarray(np.asarray(image, np.float64).mean(axis=(0, 1)) / 255)


def _ids(user: int, first: int, count: int) -> tuple[str, ...]:
    return tuple(str(user * 100 + first + row) for row in range(count))


@cache
def _pair(identity: str) -> PreferencePair:
    user, row = divmod(int(identity), 100)
    rng = np.random.default_rng([4, int(identity)])
    drawn = rng.integers(30, 226, (2, 3))
    first = bool((drawn[0] - drawn[1]) @ taste(str(user)) > 0)
    habits = [user % WORDS, (user // WORDS) % WORDS]
    words = [habit if rng.random() < 0.4 else int(rng.integers(WORDS)) for habit in habits]
    if row >= 50:
        words, identity = [row, row], str(row)  # what everybody asks for
    images = [encode_png(Image.fromarray(np.full((2, 2, 3), tone, np.uint8))) for tone in drawn]
    return PreferencePair(
        id=str(user * 100 + row),
        caption=f"word{words[0]} word{words[1] + WORDS}, take {identity}",
        image_0=images[0],
        image_1=images[1],
        label_0=float(first),
        label_1=float(not first),
        user_id=user,
    )


class Reader:
    """Implements `protocols.UserEncoder`: what `read` says of each context."""

    def __init__(
        self,
        name: str,
        read: Callable[[UserContext], Floats | None],
        dim: int,
        *,
        revision: str = "1",
        uses: Any = "shots",
    ) -> None:
        self.info = EncoderInfo(name=name, revision=revision, dim=dim, uses=uses)
        self.read = read
        self.asked = 0

    def encode(self, users: Sequence[UserContext]) -> list[UserCode | None]:
        self.asked += len(users)
        found = [self.read(user) for user in users]
        return [None if e is None else UserCode(embedding=e.astype(np.float32)) for e in found]


def tastes_of(user: UserContext) -> Floats:
    """How preferred differ from the others in colour: preference alone."""
    return _mean(user, lambda shot: colour(shot.preferred) - colour(shot.dispreferred))


def colours_of(user: UserContext) -> Floats:
    """Mean colour, whoever was preferred: pictures alone."""
    return _mean(user, lambda shot: colour(shot.preferred) + colour(shot.dispreferred))


def topics_of(user: UserContext) -> Floats:
    """Which words are asked for: captions alone."""

    def words(shot: Shot) -> Floats:
        found = np.zeros(2 * WORDS)
        for word in shot.caption.split(",")[0].split():
            number = int(word.removeprefix("word"))
            found[number % len(found)] += 1
        return found

    return _mean(user, words)


def both_of(user: UserContext) -> Floats:
    return np.concatenate([tastes_of(user), 0.1 * topics_of(user)])


def noise_of(user: UserContext) -> Floats:
    """Something of its own for every context."""
    text = "".join(f"{shot.caption}{np.asarray(shot.preferred).tobytes()!r}" for shot in user.shots)
    return _drawn(text)


def peek(user: UserContext) -> Floats:
    """Tells the id it is given, if it is one."""
    return _drawn(user.id)


def taste_reader(**options: Any) -> Reader:
    return Reader("tastes", tastes_of, 3, **options)


def topic_reader() -> Reader:
    return Reader("topics", topics_of, 2 * WORDS)


def both_reader() -> Reader:
    return Reader("both", both_of, 2 * WORDS + 3)


def _mean(user: UserContext, of: Callable[[Shot], Floats]) -> Floats:
    return np.asarray(np.mean([of(shot) for shot in user.shots], axis=0))


def _drawn(text: str) -> Floats:
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    return np.random.default_rng(seed).normal(size=8)
