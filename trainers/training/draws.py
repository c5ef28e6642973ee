"""What chance decides in a training step, as a function of (seed, step, row) and nothing else.

A counter-based generator (Philox) is opened for each row of each step: which example, timestep,
noise, whether the user or the caption is dropped, which of a user's vectors. So a run that was
killed and started again draws what an uninterrupted one draws, and so do runs split over other
numbers of processes.

`for_pairs` makes what the base's own loss depends on a function of (seed, pair, visit) instead, so
that runs of other methods, tables and batches meet a pair with the same timestep and noise.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtri

if TYPE_CHECKING:
    from trainers.config import TimestepConfig

TIMESTEP_MIN, TIMESTEP_MAX = 1e-3, 1.0
_ROW, _ORDER, _PAIR = 1, 2, 3  # streams of one seed


@dataclass(frozen=True, slots=True)
class Draws:
    """The draws for N rows of one step."""

    example: NDArray[np.int64]
    """(N,) row in the table of examples."""
    timestep: NDArray[np.float32]
    """(N,) in [0.001, 1], 1 = noise."""
    drop_user: NDArray[np.bool_]
    """(N,) True where the null user stands in."""
    drop_caption: NDArray[np.bool_]
    """(N,) True where the empty caption stands in."""
    noise: NDArray[np.float32]
    """(N, 2, C, H, W): for the winner's and the loser's latent."""
    vector: NDArray[np.float64]
    """(N,) uniform in [0, 1): which vector of its user, where a user has several."""
    epoch: NDArray[np.int64]
    """(N,) how often the whole table was walked before."""


def draw(
    *,
    seed: int,
    step: int,
    rows: range,
    batch_size: int,
    examples: int,
    latent_shape: tuple[int, ...],
    timesteps: TimestepConfig,
    user_dropout: float = 0.0,
    caption_dropout: float = 0.0,
    share_noise: bool = True,
) -> Draws:
    """Draw for `rows` of the `batch_size` rows of `step`, out of `examples` in shuffled order.

    `share_noise` gives winner and loser the same noise (published practice); False, two draws
    (PPD Eq. 6). The winner's noise is the same either way.
    """
    uniforms, vector = np.empty((len(rows), 3)), np.empty(len(rows))
    noise = np.empty((len(rows), 2, *latent_shape), np.float32)
    for index, row in enumerate(rows):
        rng = _generator(seed, _ROW, step, row)
        uniforms[index] = rng.random(3)
        noise[index, 0] = rng.standard_normal(latent_shape, dtype=np.float32)
        noise[index, 1] = (
            noise[index, 0] if share_noise else rng.standard_normal(latent_shape, dtype=np.float32)
        )
        vector[index] = rng.random()  # last: what came before it is as it was without
    chance = uniforms[:, 0]
    if timesteps.stratified:  # one timestep in each of batch_size equal slices of probability
        chance = (np.asarray(rows) + chance) / batch_size
    positions = step * batch_size + np.asarray(rows)
    return Draws(
        example=_in_order(seed, positions, examples),
        timestep=_timesteps(chance, timesteps),
        drop_user=uniforms[:, 1] < user_dropout,
        drop_caption=uniforms[:, 2] < caption_dropout,
        noise=noise,
        vector=vector,
        epoch=positions // examples,
    )


def for_pairs(
    draws: Draws,
    *,
    seed: int,
    pair: NDArray[np.int64],
    winner: NDArray[np.int64],
    latent_shape: tuple[int, ...],
    timesteps: TimestepConfig,
    caption_dropout: float = 0.0,
    share_noise: bool = True,
) -> Draws:
    """The same rows, with timestep, noise and dropped captions of their pairs.

    Args:
        draws: of N rows, by `draw`; users, order and vectors stay.
        seed: the run's.
        pair: (N,) the rows' pairs, by number.
        winner: (N,) 0 or 1: which image is preferred. A noise belongs to an image, so that two
            who prefer different ones meet the same two noised images.
        latent_shape: of one latent.
        timesteps: how they are distributed; never stratified, that would need a batch.
        caption_dropout: share of visits under the empty caption.
        share_noise: one noise for both images, the first one's, or two.
    """
    uniforms = np.empty((len(pair), 2))
    noise = np.empty((len(pair), 2, *latent_shape), np.float32)
    for index, (number, visit) in enumerate(zip(pair, draws.epoch, strict=True)):
        rng = _generator(seed, _PAIR, int(visit), int(number))
        uniforms[index] = rng.random(2)
        noise[index] = rng.standard_normal(latent_shape, dtype=np.float32)
        if not share_noise:
            other = rng.standard_normal(latent_shape, dtype=np.float32)
            noise[index, 1 - winner[index]] = other  # the side that image 1 is on
    return replace(
        draws,
        timestep=_timesteps(uniforms[:, 0], timesteps),
        drop_caption=uniforms[:, 1] < caption_dropout,
        noise=noise,
    )


def _timesteps(chance: NDArray[np.float64], config: TimestepConfig) -> NDArray[np.float32]:
    """Timesteps of uniform chances, by the inverse of the wanted distribution."""
    if config.distribution == "logit-normal":
        chance = expit(config.mean + config.std * ndtri(chance))
    clipped: NDArray[np.float64] = np.clip(chance, TIMESTEP_MIN, TIMESTEP_MAX)
    return clipped.astype(np.float32)


def _in_order(seed: int, positions: NDArray[np.int64], examples: int) -> NDArray[np.int64]:
    """The examples at these positions of an endless stream that reshuffles at every epoch."""
    epochs, places = np.divmod(positions, examples)
    return np.array(
        [
            _epoch(seed, int(epoch), examples)[place]
            for epoch, place in zip(epochs, places, strict=True)
        ]
    )


@lru_cache(maxsize=4)
def _epoch(seed: int, epoch: int, examples: int) -> NDArray[np.int64]:
    return _generator(seed, _ORDER, epoch, 0).permutation(examples)


def _generator(seed: int, stream: int, major: int, minor: int) -> np.random.Generator:
    # The lowest counter word is Philox's own; the others name the draw.
    return np.random.Generator(np.random.Philox(key=seed, counter=[0, minor, major, stream]))
