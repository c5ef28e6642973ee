"""An encoder without a model: embeds the mean of the preferred less that of the other images.

As a script it embeds users of noise, slowly enough to be killed, or has a model do so:
`python toy_encoder.py STORE USERS SECONDS_A_BATCH [VLM_FOLDER]`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ppdbench.protocols import EncoderInfo, Shot, UserCode, UserContext
from ppdbench.users.encode import embed
from ppdbench.users.llava_onevision import LlavaOnevisionEncoder
from ppdbench.users.vlm_files import find_vlm

DIM = 3


class ToyEncoder:
    """Counts what it is asked; `serve` may raise or answer otherwise."""

    def __init__(self, revision: str = "1", seconds: float = 0.0) -> None:
        self.info = EncoderInfo(name="toy", revision=revision, dim=DIM, uses="shots")
        self.batches: list[list[str]] = []
        self._seconds = seconds

    def encode(self, users: Sequence[UserContext]) -> list[UserCode | None]:
        self.batches.append([user.id for user in users])
        time.sleep(self._seconds)
        return [self.serve(user) for user in users]

    def serve(self, user: UserContext) -> UserCode | None:
        if not user.shots:
            return None
        difference = sum(
            np.asarray(shot.preferred, float).mean((0, 1))
            - np.asarray(shot.dispreferred, float).mean((0, 1))
            for shot in user.shots
        )
        return UserCode(
            embedding=np.asarray(difference, np.float32), profile=f"likes {user.shots[0].caption}"
        )


class SlowVlm(LlavaOnevisionEncoder):
    """The encoder that writes, with a pause before each batch, whose users it counts."""

    def __init__(self, folder: str, seconds: float = 0.0) -> None:
        super().__init__(find_vlm(folder))
        self.batches: list[list[str]] = []
        self._seconds = seconds

    def encode(self, users: Sequence[UserContext]) -> list[UserCode | None]:
        self.batches.append([user.id for user in users])
        time.sleep(self._seconds)
        return super().encode(users)


def noise_users(count: int) -> list[UserContext]:
    rng = np.random.default_rng(1)

    def picture() -> Image.Image:
        return Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8))

    return [
        UserContext(
            id=str(number),
            shots=(Shot(caption=f"{number}", preferred=picture(), dispreferred=picture()),),
        )
        for number in range(count)
    ]


if __name__ == "__main__":
    store, count, pause, *vlm = sys.argv[1:]
    encoder = SlowVlm(vlm[0], float(pause)) if vlm else ToyEncoder(seconds=float(pause))
    codes = embed(encoder, noise_users(int(count)), batch_size=2, cache=Path(store))
    sys.stdout.write(f"{len(encoder.batches)} {sum(code is not None for code in codes)}\n")
