"""Pairs relabelled by rewards: each pair's two images scored once and kept in the latent cache.

Only a suite's trainable rewards are used; a gold one is never even loaded here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import overload

import numpy as np
import torch
from numpy.typing import NDArray
from PIL.Image import Image
from safetensors.torch import save

from ppdbench.data.images import decode_image
from ppdbench.protocols import Events, PreferencePair, Reward, RewardSpec, Suite
from ppdbench.rewards.engine import score_images
from ppdbench.rewards.identity import scorer_identity
from ppdbench.rewards.load import load_reward
from ppdbench.runs.atomic import write_atomic
from trainers.encoded import pair_shards
from trainers.encoded.claims import claims, takes
from trainers.encoded.latents import LatentCache
from trainers.encoded.pair_shards import batches
from trainers.encoded.sharded_tensor import read_tensor


def trainable(suite: Suite) -> list[RewardSpec]:
    """The suite's rewards without the gold ones, in the suite's order."""
    return [spec for spec in suite.rewards() if not spec.gold]


def check_rewards(specs: Sequence[RewardSpec]) -> None:
    """Load each and let it go, so that what is missing is named before the work and not after it.

    Raises:
        MissingPrerequisite: a checkpoint, or a module that it needs, is not there.
    """
    for spec in specs:
        load_reward(spec, "cpu")


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

    Raises:
        PpdbenchError: the pairs were changed since they were hashed.
    """
    rewards = {spec.name: (load or load_reward)(spec, device) for spec in specs}
    rank, world = share
    own = range(rank, -(-len(cache) // pair_shards.SHARD_PAIRS), world)
    left = {number for number in own if _missing(cache, number, rewards.values())}
    if left:  # else, nothing is written: the folder may be one that others share, and read-only
        _score_shards(left, rewards.values(), pairs, cache, events)
    wait()
    return {name: _read(cache, reward) for name, reward in rewards.items()}


def _score_shards(
    left: set[int],
    rewards: Collection[Reward],
    pairs: Path,
    cache: LatentCache,
    events: Events,
) -> None:
    """Score the shards that are left, but for those that another process meanwhile scored."""
    events.stage("score pairs", len(left))
    with claims(cache.folder / ".rewards.lock") as held:
        for patient in (False, True):  # then what others were at, where they did not make it
            wanted = takes(
                held, lambda n: not _missing(cache, n, rewards), left.__contains__, wait=patient
            )
            shards = batches(pairs, cache.limit, cache.skipped, wanted=wanted) if left else ()
            for number, batch in shards:
                if batch is not None:
                    scored = _score(list(batch), _missing(cache, number, rewards))
                    cache.require_pairs_at_rest()
                    for file, scores in scored.items():
                        write_atomic(file, save({"scores": torch.from_numpy(scores)}))
                    held.leave(number)
                if number in left and not _missing(cache, number, rewards):
                    left.remove(number)
                    events.advance(1)


def _missing(cache: LatentCache, number: int, rewards: Collection[Reward]) -> dict[Path, Reward]:
    """The files of a shard that do not hold its scores yet.

    One may hold fewer: those of a training that took the first pairs of the same cache.
    """
    files = {_file(cache, reward, number): reward for reward in rewards}
    return {
        file: reward
        for file, reward in files.items()
        if not file.is_file() or len(read_tensor(file, "scores")) < _rows(cache, number)
    }


def _rows(cache: LatentCache, number: int) -> int:
    """Pairs of a shard."""
    return min(pair_shards.SHARD_PAIRS, len(cache) - number * pair_shards.SHARD_PAIRS)


def _file(cache: LatentCache, reward: Reward, number: int) -> Path:
    return cache.folder / f"{_stem(reward)}-{number:05}.safetensors"


def _stem(reward: Reward) -> str:
    """Changes with a reward's checkpoint or preprocessing."""
    return f"reward-{reward.info.name}-{scorer_identity(reward.info)}"


def _score(
    batch: Sequence[PreferencePair], rewards: dict[Path, Reward]
) -> dict[Path, NDArray[np.float64]]:
    """File -> (n, 2) scores of the images of n pairs."""
    images = _Decoded([data for pair in batch for data in (pair.image_0, pair.image_1)])
    captions = [pair.caption for pair in batch for _ in range(2)]
    by_name = {reward.info.name: reward for reward in rewards.values()}
    scores = score_images(by_name, images, captions)
    return {file: scores[reward.info.name].reshape(-1, 2) for file, reward in rewards.items()}


class _Decoded(Sequence[Image]):
    """Images decoded when they are asked for: a shard's decoded at once would take GB."""

    def __init__(self, encoded: Sequence[bytes]) -> None:
        self._encoded = encoded

    def __len__(self) -> int:
        return len(self._encoded)

    @overload
    def __getitem__(self, index: int) -> Image: ...
    @overload
    def __getitem__(self, index: slice) -> list[Image]: ...
    def __getitem__(self, index: int | slice) -> Image | list[Image]:
        if isinstance(index, slice):
            return [decode_image(data) for data in self._encoded[index]]
        return decode_image(self._encoded[index])


def _read(cache: LatentCache, reward: Reward) -> NDArray[np.float64]:
    numbers = range(-(-len(cache) // pair_shards.SHARD_PAIRS))
    parts = [
        read_tensor(_file(cache, reward, number), "scores")[: _rows(cache, number)]
        for number in numbers
    ]
    scores = torch.cat(parts).numpy()
    margins: NDArray[np.float64] = scores[:, 1] - scores[:, 0]
    return margins
