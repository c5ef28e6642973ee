"""One tiny vision-language model for all tests, and users with noise for pictures."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_vlm import SIDE, write_vlm

from ppdbench.protocols import Shot, UserContext


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own."""
    monkeypatch.setenv("PPDBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def vlm_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_vlm(tmp_path_factory.mktemp("vlm") / "tiny")


@pytest.fixture
def vlm_copy(vlm_folder: Path, tmp_path: Path) -> Path:
    """The model's folder, to be changed."""
    return Path(shutil.copytree(vlm_folder, tmp_path / "copy"))


Users = Callable[..., list[UserContext]]


@pytest.fixture
def users() -> Users:
    """users(1, 4): two users with so many shots, the same at every call."""

    def make(*counts: int) -> list[UserContext]:
        rng = np.random.default_rng(0)

        def picture() -> Image.Image:
            return Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8))

        def shot(number: int) -> Shot:
            caption = " and ".join(["a red circle"] * (1 + number % 3)) + f" {number}"
            return Shot(caption=caption, preferred=picture(), dispreferred=picture())

        return [
            UserContext(id=str(at), shots=tuple(shot(number) for number in range(count)))
            for at, count in enumerate(counts)
        ]

    return make
