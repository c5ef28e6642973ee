"""The one training loop: steps on accelerate, checkpoints, metrics, progress; for every method.

A step is a function of (seed, step) and the weights (`draws.py`), and the saved state is all that
a step leaves behind, so a killed run that is started again ends as an uninterrupted one, on a CPU
bit for bit. Elsewhere: what a step computes (`steps.py`), what surrounds a run (`recipe.py`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ppdbench.errors import PpdbenchError
from ppdbench.runs.records import RecordWriter
from trainers.adapters.checkpoints import load_state, save_state
from trainers.config import TrainConfig
from trainers.training.batches import batch_of, rows_a_forward
from trainers.training.compiled import compile_blocks
from trainers.training.job import METRICS_FILE, TOLERATED, Job
from trainers.training.metrics import DriftWatch, open_metrics, read_metrics
from trainers.training.moving_average import averaged, follow
from trainers.training.optimizer import learning_rate, make_optimizer
from trainers.training.reference_cache import Visits
from trainers.training.reference_exchange import agreed, learn
from trainers.training.sharding import (
    all_like,
    is_sharded,
    load_optimizer,
    shard,
    sync_gradients,
    whole,
)
from trainers.training.stop import StopRequest, stop_requests, stopped

if TYPE_CHECKING:
    from accelerate import Accelerator


@dataclass(slots=True)
class _State:
    """What a step leaves behind, beside the weights and the optimizer's state."""

    step: int = 0
    seconds: float = 0.0
    average: dict[str, Tensor] = field(default_factory=dict)
    """Moving average of the adapter, by tensor name; empty without `optimizer.ema`."""
    warned: bool = False


def fit(job: Job) -> float:
    """Train to the last step; the policy then holds the adapter to keep. Returns the seconds.

    Raises:
        UsageError: the batch does not divide over processes and micro-batches.
        FingerprintMismatch: `job.output` holds a run with other settings.
        PpdbenchError: the loss, or another number of a step, is no longer finite.
        Interrupted: SIGINT, or as `Preempted` SIGTERM; the state is saved.
    """
    config, accelerator = job.config, job.accelerator
    micro = _micro_batches(config, accelerator)
    policy, optimizer = _prepare(job)
    state = _restore(job, optimizer)
    job.events.stage(f"train {config.method}", job.total_steps)
    job.events.advance(state.step)
    if state.step:
        job.events.note(f"goes on at step {state.step}")
    log = None
    if accelerator.is_main_process:
        log = open_metrics(job.output / METRICS_FILE, step=state.step)
    try:
        with stop_requests() as stop:
            _walk(job, policy, optimizer, micro, state, log, stop)
    finally:
        if log is not None:
            log.close()
    if state.average:
        job.policy.adapter.load_tensors(state.average)
    return state.seconds


def _prepare(job: Job) -> tuple[nn.Module, Any]:
    """The policy and its optimizer as the steps use them: compiled, wrapped or split."""
    config, accelerator = job.config, job.accelerator
    if config.gradient_checkpointing:
        job.policy.adapter.enable_checkpointing(job.policy.base.unet)
    if config.compile:
        compile_blocks(job.policy.base.unet)
    job.policy.train()
    if config.shard and accelerator.num_processes > 1:
        shard(job.policy)
    parameters = job.policy.adapter.parameters()
    optimizer = make_optimizer(parameters, config.optimizer, accelerator.device)
    if is_sharded(job.policy):
        return job.policy, accelerator.prepare(optimizer)
    policy, prepared = accelerator.prepare(job.policy, optimizer)
    return policy, prepared


def _walk(
    job: Job,
    policy: nn.Module,
    optimizer: Any,
    micro: int,
    state: _State,
    log: RecordWriter | None,
    stop: StopRequest,
) -> None:
    """Take the steps that `state` has not taken yet; what `fit` says of stops and errors."""
    config, accelerator = job.config, job.accelerator
    total = job.total_steps
    main = accelerator.is_main_process
    watch = DriftWatch()
    if log is not None:
        watch.recall(read_metrics(log.path), warned=state.warned)
    began = time.monotonic() - state.seconds
    started = state.step, time.monotonic()
    if job.takes_part and 0 < state.step < total:  # the state is saved before they are drawn
        _look(job, state, config.validation.every, job.validate)
    while state.step < total:
        row = _train_step(job, policy, optimizer, micro, state.step, stop)
        if row is None:  # given up before the optimizer moved: the state is that of the last step
            _save(job, state, optimizer)
            raise stopped(stop.anywhere(accelerator), state.step, total)
        if config.optimizer.ema is not None:
            follow(state.average, job.policy, config.optimizer.ema, state.step)
        state.step += 1
        state.seconds = time.monotonic() - began
        _tell(job, log, row, state, started)
        if main and (warning := watch.see(row)):
            job.events.note(warning)
        state.warned = watch.warned
        asked = stop.anywhere(accelerator)
        due = state.step % config.checkpoint_every == 0 or state.step == total
        if job.takes_part and state.step < total:  # before the state: it goes on from what was kept
            _look(job, state, config.keep_every, job.keep)
        if asked or due:
            _save(job, state, optimizer)
        if asked:
            raise stopped(asked, state.step, total)
        if job.takes_part and state.step < total:
            _look(job, state, config.validation.every, job.validate)


def _look(job: Job, state: _State, every: int, act: Callable[[int], None]) -> None:
    """Let `act` see the adapter as it would be kept, each `every` steps; never for 0."""
    if every and state.step % every == 0:
        with averaged(job.policy, state.average):
            act(state.step)


@torch.no_grad()
def measure(job: Job) -> dict[str, float]:
    """Means over all of `job.examples`, each drawn once, of what a step logs; trains nothing.

    Users and captions are dropped as often as in training.
    """
    config = job.config
    size = min(config.micro_batch or config.batch_size, len(job.examples))
    sums: dict[str, float] = {}
    count = len(job.examples)
    for start in range(0, count, size):
        part = range(start, min(start + size, count))
        batch, _ = batch_of(job, 0, part, batch_size=count)
        with job.accelerator.autocast():
            rows = job.step(job.policy, job.policy, batch).rows
        for name, row in rows.items():
            sums[name] = sums.get(name, 0.0) + float(row.cpu().double().sum())
    return {name: total / count for name, total in sums.items()}


def _train_step(
    job: Job, policy: nn.Module, optimizer: Any, micro: int, step: int, stop: StopRequest
) -> dict[str, Any] | None:
    """One optimizer step; what is logged of it, the same on every process.

    None where a request to stop came between two of its micro-batches: nothing has changed then.
    A scheduler's patience may be shorter than a step.
    """
    config, accelerator = job.config, job.accelerator
    lr = learning_rate(step, job.total_steps, config.optimizer)
    for group in optimizer.param_groups:
        group["lr"] = lr
    rows = range(accelerator.process_index, config.batch_size, accelerator.num_processes)
    logged: list[Tensor] = []
    learnt: list[tuple[Visits, Tensor]] = []
    names: list[str] = []
    norm = 0.0
    for start in range(0, len(rows), micro):
        # Looked up while the device is still at the last one: nothing before waits for it.
        batch, users = batch_of(job, step, rows[start : start + micro])
        if start and stop.anywhere(accelerator):
            return None
        batch = agreed(job, batch)
        sync_gradients(policy, start + micro >= len(rows))
        with accelerator.accumulate(policy):
            with accelerator.autocast():
                result = job.step(policy, job.policy, batch)
            accelerator.backward(result.loss)
            if accelerator.sync_gradients:
                limit = config.optimizer.grad_clip or math.inf  # infinite: measured, not clipped
                clip = accelerator.clip_grad_norm_
                norm = float(whole(clip(job.policy.adapter.parameters(), limit)))
            optimizer.step()
            optimizer.zero_grad()
        names = list(result.rows)
        heard = (batch.users != 0).any(1)  # a dropped user's row says nothing of that user
        logged.append(torch.stack([*result.rows.values(), users.where(heard, -1)], 1).float())
        if batch.reference is not None and result.reference is not None:
            learnt.append((batch.reference.visits, result.reference))
    learn(job, learnt)
    table = accelerator.gather(torch.cat(logged)).cpu().double().numpy()
    return _row(job, names, table, {"grad_norm": norm, "lr": lr}, step)


def _row(
    job: Job, names: list[str], table: NDArray[np.float64], also: Mapping[str, float], step: int
) -> dict[str, Any]:
    """What is logged of a step: means over its rows (B, names and whose row it is).

    Raises:
        PpdbenchError: one of them is no longer finite.
    """
    row: dict[str, Any] = dict(zip(names, table[:, :-1].mean(0).tolist(), strict=True))
    if job.references is not None and "divergence" in row:
        # It is not known of rows for which the base was not asked: the mean is over the others.
        known = table[:, names.index("divergence")]
        known = known[~np.isnan(known)]
        del row["divergence"]
        if len(known):
            row["divergence"] = float(known.mean())
    row |= also
    if odd := [name for name, value in row.items() if not math.isfinite(value)]:
        raise PpdbenchError(
            f"no longer finite at step {step + 1}: {', '.join(odd)}",
            fix="lower optimizer.lr, delete the output folder and run again",
        )
    if "implicit_accuracy" in row and len(job.examples.names) > 1:
        accuracy = table[:, names.index("implicit_accuracy")]
        row["implicit_accuracy_by_user"] = {
            name: float(accuracy[mine].mean())
            for index, name in enumerate(job.examples.names)
            if (mine := table[:, -1] == index).any()
        }
    return row


def _tell(
    job: Job,
    log: RecordWriter | None,
    row: Mapping[str, Any],
    state: _State,
    started: tuple[int, float],
) -> None:
    """Write a step's metrics, and now and then say how it goes."""
    job.events.advance(1)
    if log is not None:
        log.write([{"step": state.step, **row, "seconds": round(state.seconds, 2)}])
    if job.config.tracker:
        numbers = {name: value for name, value in row.items() if isinstance(value, float)}
        job.accelerator.log(numbers, step=state.step)
    total = job.total_steps
    if state.step % job.config.log_every and state.step != total:
        return
    first, since = started
    left = (time.monotonic() - since) / (state.step - first) * (total - state.step)
    said = [f"step {state.step}/{total}", f"loss {row['loss']:.4f}"]
    if "implicit_accuracy" in row:
        said.append(f"implicit accuracy {row['implicit_accuracy']:.2f}")
    if "divergence" in row:
        said.append(f"divergence {row['divergence']:.5f}")
    said.append(f"{left / 60:.1f} min left")
    job.events.note(", ".join(said))


def _micro_batches(config: TrainConfig, accelerator: Accelerator) -> int:
    """Rows a forward on this process; tells accelerate how many of them make a step."""
    world = accelerator.num_processes
    micro = rows_a_forward(config, world)
    accelerator.gradient_accumulation_steps = config.batch_size // (micro * world)
    return micro


def _save(job: Job, state: _State, optimizer: Any) -> None:
    """Write what the next start goes on from; of a split policy all processes take part."""
    if job.references is not None:
        job.references.flush()
    if not job.takes_part:
        return
    saved = {
        "identity": dict(job.identity),
        "step": state.step,
        "steps": job.total_steps,
        "seconds": state.seconds,
        "warned": state.warned,
        "adapter": whole(job.policy.adapter.tensors()),
        "average": whole(state.average),
        "optimizer": whole(optimizer.state_dict()),
    }
    if job.accelerator.is_main_process:
        save_state(job.output, saved)


def _restore(job: Job, optimizer: Any) -> _State:
    saved = load_state(job.output, job.identity, tolerate=TOLERATED)
    if saved is None:
        return _State()
    own = job.policy.adapter.tensors()
    job.policy.adapter.load_tensors(all_like(saved["adapter"], own))
    load_optimizer(optimizer, saved["optimizer"])
    return _State(
        step=int(saved["step"]),
        seconds=float(saved["seconds"]),
        average=all_like(saved["average"], own),
        warned=bool(saved["warned"]),
    )
