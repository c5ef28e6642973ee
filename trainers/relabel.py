"""Pairs relabelled by rewards: each pair's two images scored once and kept in the latent cache.

Only a suite's trainable rewards are used; a gold one is never even loaded here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save

from ppdbench.data.images import decode_image
from ppdbench.protocols import Events, PreferencePair, Reward, RewardSpec, Suite
from ppdbench.rewards.engine import score_images
from ppdbench.rewards.identity import scorer_identity
from ppdbench.rewards.load import load_reward
from ppdbench.runs.atomic import write_atomic
from trainers.latents import LatentCache, batches, shard_count


def trainable(suite: Suite) -> list[RewardSpec]:
    """The suite's rewards without the gold ones, in the suite's order."""
    return [spec for spec in suite.rewards() if not spec.gold]


def reward_margins(
    specs: Sequence[RewardSpec],
    pairs: Path,
    cache: LatentCache,
    *,
    device: str,
    events: Events,
    load: Callable[[RewardSpec, str], Reward] | None = None,
    share: tuple[int, int] = (0, 1),
    wait: Callable[[], None] = lambda: None,
) -> dict[str, NDArray[np.float64]]:
    """Name -> (N,) score of image 1 less score of image 0, for each reward, cached by identity.

    `load` replaces the entry points of the rewards' kinds; `share` and `wait` are those of
    `latents.encode_pairs`.
    """
    rewards = {spec.name: (load or load_reward)(spec, device) for spec in specs}
    rank, world = share
    shards = shard_count(pairs, cache.limit)
    events.stage("score pairs", shards)
    for number, batch in batches(pairs, cache.limit, cache.unreadable):
        if number % world == rank:
            missing = {
                file: reward
                for reward in rewards.values()
                if not (file := _file(cache, reward, number)).is_file()
            }
            if missing:
                for file, scores in _score(batch, missing).items():
                    write_atomic(file, save({"scores": torch.from_numpy(scores)}))
        events.advance(1)
    wait()
    return {name: _read(cache, reward) for name, reward in rewards.items()}


def _file(cache: LatentCache, reward: Reward, number: int) -> Path:
    return cache.folder / f"{_stem(reward)}-{number:05}.safetensors"


def _stem(reward: Reward) -> str:
    """Changes with a reward's checkpoint or preprocessing."""
    return f"reward-{reward.info.name}-{scorer_identity(reward.info)}"


def _score(
    batch: Sequence[PreferencePair], rewards: dict[Path, Reward]
) -> dict[Path, NDArray[np.float64]]:
    """File -> (n, 2) scores of the images of n pairs."""
    images = [decode_image(data) for pair in batch for data in (pair.image_0, pair.image_1)]
    captions = [pair.caption for pair in batch for _ in range(2)]
    by_name = {reward.info.name: reward for reward in rewards.values()}
    scores = score_images(by_name, images, captions)
    return {file: scores[reward.info.name].reshape(-1, 2) for file, reward in rewards.items()}


def _read(cache: LatentCache, reward: Reward) -> NDArray[np.float64]:
    parts = []
    for file in sorted(cache.folder.glob(f"{_stem(reward)}-*.safetensors")):
        with safe_open(file, framework="pt") as opened:
            parts.append(opened.get_tensor("scores"))
    scores = torch.cat(parts).numpy()
    margins: NDArray[np.float64] = scores[:, 1] - scores[:, 0]
    return margins
