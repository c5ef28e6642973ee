"""The batch of some rows of a step: what was drawn for them, looked up and put on the device.

Elsewhere: chance (`draws.py`), the table (`examples.py`), the tensors (`encoded/latents.py`).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ppdbench.errors import PpdbenchError, UsageError
from trainers.config import TrainConfig
from trainers.training.draws import Draws, draw, for_pairs
from trainers.training.job import Job
from trainers.training.reference_cache import Visits, as_known
from trainers.training.steps import Batch, Reference


def batch_of(
    job: Job, step: int, rows: range, *, batch_size: int | None = None
) -> tuple[Batch, Tensor]:
    """The batch of some rows of a step, and each one's row of `examples.users`; on the device.

    Raises:
        PpdbenchError: a latent of a pair is not finite.
    """
    examples = job.examples
    draws = _draws(job, step, rows, batch_size or job.config.batch_size)
    pair, side = examples.pair[draws.example], examples.winner[draws.example]
    rows_of_users = examples.user_rows(draws.example, draws.vector)
    winner, loser = job.cache.latents(pair, side)
    _check_finite(job, pair, winner, loser)
    users = np.where(draws.drop_user[:, None], np.float32(0), examples.users[rows_of_users])
    reference = None
    if job.references is not None:
        visits = Visits(pair, draws.epoch, side)
        known = job.references.known(visits)
        reference = Reference(visits=visits, known=~np.isnan(known), errors=as_known(known))
    batch = Batch(
        winner=winner,
        loser=loser,
        noise_w=torch.from_numpy(draws.noise[:, 0]),
        noise_l=torch.from_numpy(draws.noise[:, 1]),
        timestep=torch.from_numpy(draws.timestep),
        text=job.cache.text(pair, draws.drop_caption),
        users=torch.from_numpy(users),
        reference=reference,
    )
    device = job.accelerator.device
    return batch.to(device), torch.from_numpy(rows_of_users).to(device)


def rows_a_forward(config: TrainConfig, processes: int) -> int:
    """Rows of a micro-batch.

    Raises:
        UsageError: the batch does not divide over processes and micro-batches.
    """
    micro = config.micro_batch or config.batch_size // processes
    if not micro or config.batch_size % (micro * processes):
        raise UsageError(
            f"batch_size {config.batch_size} does not divide into micro-batches of "
            f"{max(micro, 1)} on {processes} process{'es' if processes > 1 else ''}",
            fix="choose batch_size as a multiple of micro_batch times the processes",
        )
    return micro


def _draws(job: Job, step: int, rows: range, batch_size: int) -> Draws:
    config, examples = job.config, job.examples
    by_pair = config.draws == "pair"
    draws = draw(
        seed=config.seed,
        step=step,
        rows=rows,
        batch_size=batch_size,
        examples=len(examples),
        latent_shape=(0,) if by_pair else job.cache.latent_shape,
        timesteps=config.timesteps,
        user_dropout=config.objective.user_dropout,
        caption_dropout=config.data.caption_dropout,
        share_noise=config.objective.share_noise,
    )
    if not by_pair:
        return draws
    return for_pairs(
        draws,
        seed=config.seed,
        pair=examples.pair[draws.example],
        winner=examples.winner[draws.example],
        latent_shape=job.cache.latent_shape,
        timesteps=config.timesteps,
        caption_dropout=config.data.caption_dropout,
        share_noise=config.objective.share_noise,
    )


def _check_finite(job: Job, pair: NDArray[np.int64], *latents: Tensor) -> None:
    """See that every latent (B, C, H, W) is a number.

    Raises:
        PpdbenchError: one is not; its pair is named. Nothing was learnt from it.
    """
    odd = [
        bool(row) for row in ~torch.stack([x.flatten(1).isfinite().all(1) for x in latents]).all(0)
    ]
    if not any(odd):
        return
    row = int(pair[odd.index(True)])
    number = row if job.cache.id is None else int(job.cache.id[row])  # as the file has it
    caption = job.cache.captions[job.cache.caption[row]]
    shown = caption if len(caption) < 60 else f"{caption[:59]}…"
    raise PpdbenchError(
        f"the latents of pair {number} ({shown!r}) are not finite",
        fix=f"delete the folder {job.cache.folder.name} of encoded pairs; the next start makes it "
        "anew, and an image that still gives no numbers is damaged: leave its pair out",
    )
