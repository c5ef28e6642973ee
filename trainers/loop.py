"""The one training loop: steps on accelerate, checkpoints, metrics, progress; for every method.

A step is a function of (seed, step) and the weights (`draws.py`), and the saved state is all that
a step leaves behind, so a killed run that is started again ends as an uninterrupted one, on a CPU
bit for bit. Elsewhere: what a step computes (`steps.py`), what surrounds a run (`recipe.py`).
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ppdbench.errors import Interrupted, PpdbenchError, UsageError
from ppdbench.protocols import Events
from ppdbench.runs.records import RecordWriter
from trainers.checkpoints import load_state, save_state
from trainers.config import OptimizerConfig, TrainConfig
from trainers.draws import draw
from trainers.examples import Examples
from trainers.latents import LatentCache
from trainers.metrics import DriftWatch, open_metrics, read_metrics
from trainers.moving_average import averaged, follow
from trainers.policy import Policy
from trainers.steps import Batch, StepFunction

if TYPE_CHECKING:
    from accelerate import Accelerator

METRICS_FILE = "metrics.jsonl"
TOLERATED = (
    "config.base", "config.micro_batch", "config.gradient_checkpointing", "config.tracker",
    "config.checkpoint_every", "config.keep_every", "config.log_every",
    "config.validation.every", "config.validation.captions", "config.validation.pairs",
)  # fmt: skip
"""Settings that may change when a run goes on: they do not change what it learns."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """All that a run is made of."""

    config: TrainConfig
    policy: Policy
    cache: LatentCache
    examples: Examples
    step: StepFunction
    output: Path
    accelerator: Accelerator
    events: Events
    identity: Mapping[str, Any]
    """What the run's outcome depends on; a state with another identity is refused."""
    validate: Callable[[int], None] = field(default=lambda _step: None)
    """Draws validation pictures with the policy as it stands; called on the main process."""
    keep: Callable[[int], None] = field(default=lambda _step: None)
    """Keeps the adapter as it stands, under its step; called on the main process."""


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
        Interrupted: SIGINT or SIGTERM; the state is saved.
    """
    config, accelerator = job.config, job.accelerator
    micro = _micro_batches(config, accelerator)
    if config.gradient_checkpointing:
        job.policy.adapter.enable_checkpointing(job.policy.base.unet)
    optimizer = torch.optim.AdamW(
        job.policy.adapter.parameters(),
        lr=config.optimizer.lr,
        betas=config.optimizer.betas,
        weight_decay=config.optimizer.weight_decay,
    )
    job.policy.train()
    policy, optimizer = accelerator.prepare(job.policy, optimizer)
    state = _restore(job, optimizer)
    job.events.stage(f"train {config.method}", config.total_steps)
    job.events.advance(state.step)
    if state.step:
        job.events.note(f"goes on at step {state.step}")
    log = None
    if accelerator.is_main_process:
        log = open_metrics(job.output / METRICS_FILE, step=state.step)
    try:
        with _stop_requests() as stop:
            _walk(job, policy, optimizer, micro, state, log, stop)
    finally:
        if log is not None:
            log.close()
    if state.average:
        job.policy.adapter.load_tensors(state.average)
    return state.seconds


def _walk(
    job: Job,
    policy: nn.Module,
    optimizer: Any,
    micro: int,
    state: _State,
    log: RecordWriter | None,
    stop: threading.Event,
) -> None:
    """Take the steps that `state` has not taken yet; what `fit` says of stops and errors."""
    config, accelerator = job.config, job.accelerator
    total = config.total_steps
    main = accelerator.is_main_process
    watch = DriftWatch()
    if log is not None:
        watch.recall(read_metrics(log.path), warned=state.warned)
    began = time.monotonic() - state.seconds
    started = state.step, time.monotonic()
    while state.step < total:
        row = _train_step(job, policy, optimizer, micro, state.step)
        if config.optimizer.ema is not None:
            follow(state.average, job.policy, config.optimizer.ema, state.step)
        state.step += 1
        state.seconds = time.monotonic() - began
        _tell(job, log, row, state, started)
        if main and (warning := watch.see(row)):
            job.events.note(warning)
        state.warned = watch.warned
        stopped = _anyone(accelerator, stop.is_set())
        due = state.step % config.checkpoint_every == 0 or state.step == total
        if main and state.step < total:  # before the state: what a start goes on from was kept
            _look(job, state, config.keep_every, job.keep)
        if main and (stopped or due):
            save_state(job.output, _saved(job, state, optimizer))
        if stopped:
            raise Interrupted(
                f"training stopped at step {state.step} of {total}",
                fix="run the same command again: it goes on from there",
            )
        if main and state.step < total:
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


def learning_rate(step: int, total: int, config: OptimizerConfig) -> float:
    """The rate of a step, counted from 0: linear warm-up, then constant or half a cosine."""
    if step < config.warmup:
        return config.lr * (step + 1) / config.warmup
    if config.schedule == "constant":
        return config.lr
    done = (step - config.warmup) / max(1, total - config.warmup)
    cosine = 0.5 * (1 + math.cos(math.pi * done))
    return config.lr * (config.final_lr + (1 - config.final_lr) * cosine)


def batch_of(
    job: Job, step: int, rows: range, *, batch_size: int | None = None
) -> tuple[Batch, NDArray[np.int64]]:
    """The batch of some rows of a step, on the device, and each one's row of `examples.users`."""
    config, examples = job.config, job.examples
    draws = draw(
        seed=config.seed,
        step=step,
        rows=rows,
        batch_size=batch_size or config.batch_size,
        examples=len(examples),
        latent_shape=job.cache.latent_shape,
        timesteps=config.timesteps,
        user_dropout=config.objective.user_dropout,
        caption_dropout=config.data.caption_dropout,
        share_noise=config.objective.share_noise,
    )
    pair = examples.pair[draws.example]
    rows_of_users = examples.user_rows(draws.example, draws.vector)
    winner, loser = job.cache.latents(pair, examples.winner[draws.example])
    users = np.where(draws.drop_user[:, None], np.float32(0), examples.users[rows_of_users])
    device = job.accelerator.device
    batch = Batch(
        winner=winner,
        loser=loser,
        noise_w=torch.from_numpy(draws.noise[:, 0]),
        noise_l=torch.from_numpy(draws.noise[:, 1]),
        timestep=torch.from_numpy(draws.timestep),
        text=job.cache.text(pair, draws.drop_caption),
        users=torch.from_numpy(users),
    )
    return batch.to(device), rows_of_users


def _train_step(
    job: Job, policy: nn.Module, optimizer: Any, micro: int, step: int
) -> dict[str, Any]:
    """One optimizer step; what is logged of it, the same on every process."""
    config, accelerator = job.config, job.accelerator
    lr = learning_rate(step, config.total_steps, config.optimizer)
    for group in optimizer.param_groups:
        group["lr"] = lr
    rows = range(accelerator.process_index, config.batch_size, accelerator.num_processes)
    logged: list[Tensor] = []
    names: list[str] = []
    norm = 0.0
    for start in range(0, len(rows), micro):
        batch, users = batch_of(job, step, rows[start : start + micro])
        with accelerator.accumulate(policy):
            with accelerator.autocast():
                result = job.step(policy, job.policy, batch)
            accelerator.backward(result.loss)
            if accelerator.sync_gradients:
                limit = config.optimizer.grad_clip or math.inf  # infinite: measured, not clipped
                norm = float(accelerator.clip_grad_norm_(job.policy.adapter.parameters(), limit))
            optimizer.step()
            optimizer.zero_grad()
        names = list(result.rows)
        heard = (batch.users != 0).any(1)  # a dropped user's row says nothing of that user
        whose = torch.from_numpy(users).to(accelerator.device).where(heard, -1)
        logged.append(torch.stack([*result.rows.values(), whose], 1).float())
    table = accelerator.gather(torch.cat(logged)).cpu().double().numpy()
    row: dict[str, Any] = dict(zip(names, table[:, :-1].mean(0).tolist(), strict=True))
    row |= {"grad_norm": norm, "lr": lr}
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
    total = job.config.total_steps
    if state.step % job.config.log_every and state.step != total:
        return
    first, since = started
    left = (time.monotonic() - since) / (state.step - first) * (total - state.step)
    said = [f"step {state.step}/{total}", f"loss {row['loss']:.4f}"]
    if "implicit_accuracy" in row:
        said.append(f"implicit accuracy {row['implicit_accuracy']:.2f}")
    said += [f"divergence {row['divergence']:.5f}", f"{left / 60:.1f} min left"]
    job.events.note(", ".join(said))


def _anyone(accelerator: Accelerator, asked: bool) -> bool:
    """Whether any process was asked to stop; a signal may reach them at different steps."""
    if accelerator.num_processes == 1:
        return asked
    flag = torch.tensor([asked], dtype=torch.int32, device=accelerator.device)
    return bool(accelerator.gather(flag).any())


def _micro_batches(config: TrainConfig, accelerator: Accelerator) -> int:
    """Rows a forward on this process; tells accelerate how many of them make a step."""
    world = accelerator.num_processes
    micro = config.micro_batch or config.batch_size // world
    if not micro or config.batch_size % (micro * world):
        raise UsageError(
            f"batch_size {config.batch_size} does not divide into micro-batches of "
            f"{max(micro, 1)} on {world} process{'es' if world > 1 else ''}",
            fix="choose batch_size as a multiple of micro_batch times the processes",
        )
    accelerator.gradient_accumulation_steps = config.batch_size // (micro * world)
    return micro


def _saved(job: Job, state: _State, optimizer: Any) -> dict[str, Any]:
    return {
        "identity": dict(job.identity),
        "step": state.step,
        "seconds": state.seconds,
        "warned": state.warned,
        "adapter": job.policy.adapter.tensors(),
        "average": state.average,
        "optimizer": optimizer.state_dict(),
    }


def _restore(job: Job, optimizer: Any) -> _State:
    saved = load_state(job.output, job.identity, tolerate=TOLERATED)
    if saved is None:
        return _State()
    job.policy.adapter.load_tensors(saved["adapter"])
    optimizer.load_state_dict(saved["optimizer"])
    device = job.accelerator.device
    return _State(
        step=int(saved["step"]),
        seconds=float(saved["seconds"]),
        average={name: tensor.to(device) for name, tensor in saved["average"].items()},
        warned=bool(saved["warned"]),
    )


@contextmanager
def _stop_requests() -> Iterator[threading.Event]:
    """Within: SIGINT and SIGTERM ask to stop after the step at hand; a second one insists."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def ask(_number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
