"""The toy world with people in it: whoever likes a channel likes more of it, or less of it.

Tastes are vectors over the three channels, shots are flat pictures that differ along them, and
generators say by their names what they make of a user. Calibration users chose between pictures
of any colours. Elsewhere: the judges (`toy_judges`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import EntryPoint
from typing import Any, Literal

import fake_world
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage
from PIL.Image import Image

from ppdbench.data.images import encode_png
from ppdbench.errors import MissingPrerequisite
from ppdbench.protocols import (
    Caption,
    EncoderInfo,
    EvaluatedUser,
    GenerationRequest,
    GeneratorInfo,
    IdentifiedUser,
    LoadContext,
    PreferencePair,
    SuiteFiles,
    UserCode,
    UserContext,
)

SIZES = {"seen": 34, "unseen": 18}
CHANNELS = ("red", "green", "blue")
FIRST = 1000
"""The first user's id; users are numbered through both splits."""
EACH = 8
CAPTIONS = 2
STRENGTH = 12.0
IDENTIFIED = range(FIRST, FIRST + 12)
CALIBRATION = range(2000, 2012)
CHOICES = 10
FIRST_CHOICE = 1_000_000
"""Ids of the pairs that calibration users chose in begin here."""

Hears = Literal["reward_weights", "shots", "embeddings", "profile"]

rename: Callable[[str], str] = str
"""What a user is called; tests give everybody another name."""


def taste(number: int) -> NDArray[np.float64]:
    """Three of four like a channel, one dislikes it; none is alike to the last digit."""
    weights = np.random.default_rng(number).normal(0, 0.1, 3)
    weights[number % 3] += -1.0 if number % 4 == 3 else 1.0
    return np.asarray(weights / np.linalg.norm(weights))


class ToyTruth:
    identity = "7" * 12
    attributes = CHANNELS

    def measure(self, images: Sequence[Image]) -> NDArray[np.float64]:
        fake_world.calls.append(f"measures {len(images)}")
        return np.array([np.asarray(image).mean(axis=(0, 1)) for image in images])

    def utility(self, user: str, attributes: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(attributes @ taste(_number(user)))

    def dominant(self, user: str) -> str:
        weights = taste(_number(user))
        first = int(np.abs(weights).argmax())
        return f"{'+' if weights[first] > 0 else '-'}{CHANNELS[first]}"

    def ceilings(self, split: str) -> Mapping[str, float]:
        assert split in (*SIZES, "calibration")
        found = {"choice": 0.9, "choice_noisy": 0.8, "dominant": 0.95}
        return {**found, "choice_noisy_shots_4": 0.8} if split == "calibration" else found

    def identification_ceilings(self, *, topics: bool) -> Mapping[str, float]:
        return {"top1": 0.5, "top5": 0.9, "top16": 1.0, **({"both_top16": 1.0} if topics else {})}


class ToyPeople:
    @property
    def digest(self) -> str:
        return hashlib.sha256(rename("people").encode()).hexdigest()

    truth: Any = ToyTruth()
    opponents: tuple[str, ...] = ("plain", "brighter")
    training_digest: str | None = "5" * 64

    def users(self, split: str) -> list[EvaluatedUser]:
        if split == "validation-seen":  # two of the seen, shown and drawn for by other pairs
            return [_user(number, split) for number in (FIRST, FIRST + 1)]
        if split == "calibration":
            return [_chooser(number) for number in CALIBRATION]
        first = FIRST + (SIZES["seen"] if split == "unseen" else 0)
        return [_user(number, split) for number in range(first, first + SIZES.get(split, 0))]

    def identified(self, *, topics: bool) -> list[IdentifiedUser]:
        if not topics:
            raise MissingPrerequisite("no captions are common to all", fix="use topics")
        users = [(str(n), [str(n * EACH + row) for row in range(EACH)]) for n in IDENTIFIED]
        return [
            IdentifiedUser(
                id=rename(user),
                train=tuple(tuple(ids[at : at + 2]) for at in (0, 2, 4)),
                test=(tuple(ids[6:]),),
            )
            for user, ids in users
        ]

    def pairs(self, ids: Sequence[str]) -> list[PreferencePair]:
        fake_world.calls.append(f"reads {len(ids)} pairs")
        return [
            _choice(int(identity)) if int(identity) >= FIRST_CHOICE else _pair(int(identity))
            for identity in ids
        ]


class Town(fake_world.ToySuite):
    name = "town"
    opponents = ("plain", "brighter")
    people: Any = ToyPeople()


def _number(user: str) -> int:
    everybody: tuple[int, ...] = (*range(FIRST, FIRST + sum(SIZES.values())), *CALIBRATION)
    return next(n for n in everybody if rename(str(n)) == user)


def _user(number: int, split: str) -> EvaluatedUser:
    ids = [str(number * EACH + row) for row in range(EACH)]
    sets = (tuple(ids[:4]), tuple(ids[4:]))
    return EvaluatedUser(
        id=rename(str(number)),
        seen=split != "unseen",
        shots=sets if split in SIZES else sets[::-1],
        choices=(),
        captions=tuple(
            Caption(id=f"{split}-{number}-{row}", text=f"wish {number} {row}", category="any")
            for row in range(CAPTIONS)
        ),
    )


def _chooser(number: int) -> EvaluatedUser:
    """Somebody who is in no benchmark, and chose."""
    shown = _user(number, "seen")
    return EvaluatedUser(
        id=shown.id,
        seen=False,
        shots=shown.shots,
        choices=tuple(str(FIRST_CHOICE + number * CHOICES + row) for row in range(CHOICES)),
        captions=(),
    )


def _choice(identity: int) -> PreferencePair:
    """Two flat pictures, and which of them the user says to like; a choice in ten is a tie."""
    number, row = divmod(identity - FIRST_CHOICE, CHOICES)
    rng = np.random.default_rng(identity)
    colours = rng.integers(40, 216, (2, 3))
    liked = int(np.argmax(colours @ taste(number) + rng.normal(0, 15, 2)))
    labels = (0.5, 0.5) if row == CHOICES - 1 else (float(liked == 0), float(liked == 1))
    return PreferencePair(
        id=str(identity),
        caption=f"choice {identity}",
        image_0=encode_png(PilImage.new("RGB", (4, 4), tuple(map(int, colours[0])))),
        image_1=encode_png(PilImage.new("RGB", (4, 4), tuple(map(int, colours[1])))),
        label_0=labels[0],
        label_1=labels[1],
        user_id=number,
    )


def _pair(identity: int) -> PreferencePair:
    """More of what the user likes on one side, less on the other; each pair a little different."""
    number = identity // EACH
    around = 128 + np.random.default_rng(identity).normal(0, 4, 3)
    liked, other = (
        PilImage.new("RGB", (4, 4), tuple(int(v) for v in around + sign * 40 * taste(number)))
        for sign in (1, -1)
    )
    return PreferencePair(
        id=str(identity),
        caption=f"shot {identity}",
        image_0=encode_png(other),
        image_1=encode_png(liked),
        label_0=0.0,
        label_1=1.0,
        user_id=number,
    )


def difference(user: UserContext) -> NDArray[np.float64]:
    """What the shots show that a user likes, (3,), about a unit vector."""
    shown = [
        (np.asarray(shot.preferred, float) - np.asarray(shot.dispreferred)).mean(axis=(0, 1))
        for shot in user.shots
    ]
    return np.asarray(np.mean(shown, axis=0) / 80)


class PairEncoder:
    """Reads shots; writes a profile."""

    info = EncoderInfo(name="pairs", revision="1", dim=3, uses="shots")

    def encode(self, users: Sequence[UserContext]) -> list[UserCode | None]:
        fake_world.calls.append(f"encodes {len(users)}")
        return [
            UserCode(embedding=found.astype(np.float32), profile=f"likes <{CHANNELS[first]}>")
            for user in users
            for found in [difference(user)]
            for first in [int(np.abs(found).argmax())]
        ]


class IdEncoder:
    """Knows the seen users by name."""

    info = EncoderInfo(name="ids", revision="1", dim=3, uses="id")

    def encode(self, users: Sequence[UserContext]) -> list[UserCode | None]:
        assert not any(user.shots for user in users)
        return [
            UserCode(embedding=taste(number).astype(np.float32))
            if (number := _number(user.id)) < FIRST + SIZES["seen"]
            else None
            for user in users
        ]


class Painter:
    """Adds to the noise that everybody starts from what `add` makes of a request."""

    def __init__(
        self,
        name: str,
        add: Callable[[UserContext | None], Any],
        encoder: str | None,
        *hears: Hears,
    ) -> None:
        self.info = GeneratorInfo(
            name=name,
            version="1.0",
            revision=fake_world.revision,
            licence="MIT",
            conditions_on=frozenset(hears),
            encoder=encoder,
        )
        self._add = add

    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[Image]:
        fake_world.calls.append(f"{self.info.name} draws {len(requests)}")
        fake_world.generate_error(requests)
        for request in requests:
            noise = np.random.default_rng(request.seed).uniform(60, 140, (8, 8, 3))
            pixels = noise + self._add(request.user)
            yield PilImage.fromarray(pixels.clip(0, 255).astype(np.uint8))


def oracle(_: LoadContext) -> Painter:
    return Painter("oracle", _by_shots, None, "shots")


def embedder(_: LoadContext) -> Painter:
    return Painter("embedder", _by_embedding("pairs"), "pairs", "embeddings")


def ider(_: LoadContext) -> Painter:
    return Painter("ider", _by_embedding("ids"), "ids", "embeddings")


def deaf(_: LoadContext) -> Painter:
    return Painter("deaf", lambda _user: 0.0, None, "shots")


def bright_for_all(_: LoadContext) -> Painter:
    """Told of its user, and always brighter."""
    return Painter("bright-for-all", lambda _user: STRENGTH, None, "shots")


def brighter(_: LoadContext) -> Painter:
    return Painter("brighter", lambda _user: 2.0, None)


def reader(_: LoadContext) -> Painter:
    """Reads profiles only."""
    return Painter("reader", _by_profile, "pairs", "profile")


def _by_shots(user: UserContext | None) -> Any:
    return 0.0 if user is None else STRENGTH * difference(user)


def _by_embedding(encoder: str) -> Callable[[UserContext | None], Any]:
    def add(user: UserContext | None) -> Any:
        if user is None:
            return 0.0
        assert not user.shots and user.profile is None and set(user.embeddings) == {encoder}
        return STRENGTH * user.embeddings[encoder].astype(np.float64)

    return add


def _by_profile(user: UserContext | None) -> Any:
    if user is None:
        return 0.0
    assert user.profile is not None and not user.embeddings and not user.shots
    return STRENGTH * np.array([float(name in user.profile) for name in CHANNELS])


def town(_: SuiteFiles) -> Town:
    return Town()


def pair_encoder(_: LoadContext) -> PairEncoder:
    return PairEncoder()


def id_encoder(_: LoadContext) -> IdEncoder:
    return IdEncoder()


OWN = {
    "suites": {"town": "town"},
    "encoders": {"pairs": "pair_encoder", "ids": "id_encoder"},
    "generators": {
        "oracle": "oracle",
        "embedder": "embedder",
        "ider": "ider",
        "deaf": "deaf",
        "bright-for-all": "bright_for_all",
        "brighter": "brighter",
        "reader": "reader",
    },
    "judges": {
        "taste": "toy_judges:taste",
        "blind": "toy_judges:blind",
        "refuser": "toy_judges:refuser",
        "paid": "toy_judges:paid",
        "always-first": "ppdbench.judges.placebos:always_first",
        "random": "ppdbench.judges.placebos:random",
        "replay": "ppdbench.judges.replay:judge",
        "scalar": "ppdbench.judges.scalar:judge",
    },
}


def entry_points(group: str) -> list[EntryPoint]:
    own = [
        EntryPoint(
            name=name,
            value=where if ":" in where else f"people_world:{where}",
            group=f"ppdbench.{group}",
        )
        for name, where in OWN.get(group, {}).items()
    ]
    return [*fake_world.entry_points(group), *own]
