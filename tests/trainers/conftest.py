"""Fixtures of the trainers' tests: the tiny base on disk and loaded, and its rewards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
import torch
from published_layout import SIDE, write_hub
from tiny_cascade import run_training, use_channel_rewards, write_base

from trainers.stable_cascade import sizes
from trainers.stable_cascade.load import load_base
from trainers.stable_cascade.stage_c import Base


@pytest.fixture(scope="session")
def tiny_base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("base"))


@pytest.fixture
def tiny_base(tiny_base_folder: Path) -> Base:
    return load_base(tiny_base_folder)


@pytest.fixture
def channel_rewards(monkeypatch: pytest.MonkeyPatch) -> None:
    use_channel_rewards(monkeypatch.setattr)


@pytest.fixture(scope="session")
def uninterrupted(
    tmp_path_factory: pytest.TempPathFactory, tiny_base_folder: Path
) -> Callable[[str], Path]:
    """A method's training that nobody disturbed, made once."""

    @cache
    def of(method: str) -> Path:
        with pytest.MonkeyPatch.context() as patch:
            use_channel_rewards(patch.setattr)
            folder = tmp_path_factory.mktemp(method) / "out"
            return run_training(method, tiny_base_folder, folder)

    return of


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def published_hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the hub's two repositories, tiny (`published_layout`)."""
    return write_hub(tmp_path_factory.mktemp("published"))


@pytest.fixture
def small_side(monkeypatch: pytest.MonkeyPatch) -> None:
    """Published bases have 3 x 3 latents: 96 pixels in, 128 out."""
    monkeypatch.setattr(sizes, "LATENT_SIDE", SIDE)
