"""What processes tell each other of the base's losses, so that all know and do the same.

Elsewhere: where the losses are kept (`reference_cache.py`), who computes them (`steps.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from trainers.training.job import Job
from trainers.training.reference_cache import Visits
from trainers.training.steps import Batch


def agreed(job: Job, batch: Batch) -> Batch:
    """The batch, whose base is asked by all processes or by none.

    Of a split policy, a forward that one of them took alone would wait for the others' shares.
    """
    if not job.config.shard or batch.reference is None:
        return batch
    own = torch.from_numpy(np.atleast_2d(batch.reference.known.all(0)).astype(np.int32))
    all_know = job.accelerator.gather(own.to(job.accelerator.device)).cpu().numpy().all(0)
    reference = replace(batch.reference, known=batch.reference.known & all_know)
    return replace(batch, reference=reference)


def learn(job: Job, learnt: Sequence[tuple[Visits, Tensor]]) -> None:
    """Let every process know the base's errors that any of them computed in this step."""
    if job.references is None or not learnt:
        return
    device, gather = job.accelerator.device, job.accelerator.gather
    own = np.concatenate([np.stack([v.pair, v.visit, v.winner], 1) for v, _ in learnt])
    places = gather(torch.from_numpy(own).to(device)).cpu().numpy()
    errors = gather(torch.cat([errors for _, errors in learnt])).cpu().numpy()
    job.references.learn(Visits(*places.T), errors)
