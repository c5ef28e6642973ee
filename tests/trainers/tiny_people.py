"""People of the tiny world, each with a favourite colour channel, and an encoder of their shots.

Run as a script it trains for them: `tiny_people.py METHOD BASE OUTPUT`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from itertools import count, product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tiny_cascade import COLOURS, OVERRIDES, Log, TinySuite

from ppdbench.data.images import encode_png
from ppdbench.data.pickapic import write_pairs
from ppdbench.protocols import (
    EncoderInfo,
    LoadContext,
    PreferencePair,
    Split,
    Suite,
    UserCode,
    UserContext,
)
from trainers.training import opening

CAPTIONS = [f"a {first} {second} square" for first, second in product(COLOURS, COLOURS)]
FEW, JUST_ENOUGH, STRANGER = 4, 5, 99
"""A user with three pairs, one with five, and one who is in the validation pairs alone."""


class PeopleSuite(TinySuite):
    """Pairs of people who prefer the picture with more of their own channel."""

    def pairs(self, split: Split) -> Path:
        file = self.folder / f"people-{split}.parquet"
        if not file.is_file():
            write_pairs(file, _training() if split == "train" else _validation())
        return file


def _training() -> Iterator[PreferencePair]:
    rng, ids = np.random.default_rng(1), count()
    for user in range(4):
        for caption in CAPTIONS:  # two groups of four, and one pair in none
            yield _pair(rng, next(ids), user, caption)
        yield _pair(rng, next(ids), user, CAPTIONS[0])
        yield _pair(rng, next(ids), user, "a red square", tie=True)
        yield _pair(rng, next(ids), user, "a blue square", different=False)
    for user, pairs in ((FEW, 3), (JUST_ENOUGH, 5)):
        for caption in CAPTIONS[:pairs]:
            yield _pair(rng, next(ids), user, caption)


def _validation() -> Iterator[PreferencePair]:
    rng, ids = np.random.default_rng(2), count()
    for user in (0, 1, 2, 3, STRANGER):
        yield _pair(rng, next(ids), user, CAPTIONS[user % 9])


def _pair(
    rng: Any, number: int, user: int, caption: str, *, tie: bool = False, different: bool = True
) -> PreferencePair:
    colours = rng.integers(0, 256, (2, 3), np.uint8)
    label = 0.5 if tie else float(colours[1, user % 3] > colours[0, user % 3])
    images = [
        encode_png(Image.fromarray(colour[None, None]).resize((32, 32))) for colour in colours
    ]
    return PreferencePair(
        id=str(number),
        caption=caption,
        image_0=images[0],
        image_1=images[1],
        label_0=1 - label,
        label_1=label,
        user_id=user,
        are_different=different,
    )


class ColourEncoder:
    """How much more of each channel the preferred pictures have, and a number that never moves."""

    def __init__(self, *, uses: Any = "shots", revision: str = "1") -> None:
        self.info = EncoderInfo(name="colours", revision=revision, dim=4, uses=uses)
        self.asked = 0

    def encode(self, users: Sequence[UserContext]) -> list[UserCode | None]:
        self.asked += len(users)
        return [UserCode(embedding=self._embedding(user)) for user in users]

    def _embedding(self, user: UserContext) -> Any:
        if self.info.uses != "shots":
            return np.eye(4, dtype=np.float32)[int(user.id) % 4]
        gains = [
            np.asarray(shot.preferred).mean((0, 1)) - np.asarray(shot.dispreferred).mean((0, 1))
            for shot in user.shots
        ]
        return np.array([*np.mean(gains, 0) / 255, 1], np.float32)


class LikedColourEncoder(ColourEncoder):
    """What the preferred pictures look like, whatever stood beside them."""

    def _embedding(self, user: UserContext) -> Any:
        liked = [np.asarray(shot.preferred).mean((0, 1)) for shot in user.shots]
        return np.array([*np.mean(liked, 0) / 255, 1], np.float32)


def use_encoder(patch: Any, encoder: ColourEncoder) -> None:
    """Put it in place of the plug-ins; `patch` is `setattr` or a monkeypatch's."""

    def make(name: str, _context: LoadContext) -> ColourEncoder:
        assert name == "colours"
        return encoder

    patch(opening, "make_encoder", make)


def train_for_people(
    method: str,
    base: Path,
    output: Path,
    overrides: Sequence[str] = (),
    *,
    suite: Suite | None = None,
    log: Log | None = None,
) -> Path:
    """Train a method for the tiny people, or for those of a suite."""
    from trainers import diffusion_kto, ip_adapter, ppd, ppd_learnt, sft
    from trainers.config import OF_USERS
    from trainers.config_file import CONFIGS

    trainers: dict[str, Any] = {
        "ppd": ppd,
        "sft": sft,
        "diffusion-kto": diffusion_kto,
        "ip-adapter": ip_adapter,
        "ppd-learnt": ppd_learnt,
    }
    name = method if method in OF_USERS else f"{method}-users"
    result: Path = trainers[method].train(
        suite or PeopleSuite(output.parent),
        output=output,
        config=CONFIGS / "shapes" / f"{name}.yaml",
        overrides=[*OVERRIDES, "users.encoder=colours", f"base={base}", *overrides],
        device="cpu",
        events=log or Log(),
    )
    return result


if __name__ == "__main__":
    method, base, output = sys.argv[1:]
    use_encoder(setattr, ColourEncoder())
    torch.set_num_threads(1)
    train_for_people(method, Path(base), Path(output))
