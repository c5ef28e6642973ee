"""A workshop opened: its configuration resolved, its output folder held, its base loaded.

Elsewhere: what a run finds in it (`workshop.py`).
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ppdbench.errors import MissingPrerequisite, UsageError, from_os_error
from ppdbench.protocols import (
    Events,
    LoadContext,
    Suite,
    SuiteFiles,
    UserEncoder,
)
from ppdbench.rewards.sharding import shards
from ppdbench.runs.atomic import remove_leftovers
from ppdbench.runs.device import resolve as resolve_device
from ppdbench.runs.lock import RunLock
from ppdbench.users.load import make_encoder
from trainers.bases import base_of
from trainers.config import TrainConfig
from trainers.config_file import resolve
from trainers.encoded.relabel import trainable
from trainers.stable_cascade.load import load_base
from trainers.training.batches import rows_a_forward
from trainers.training.optimizer import check_optimizer
from trainers.training.progress import Silence
from trainers.training.trackers import check_tracker
from trainers.training.workshop import Workshop

if TYPE_CHECKING:
    from accelerate import Accelerator


@contextmanager
def open_workshop(
    method: str,
    suite: Suite,
    *,
    output: Path,
    config: Path | None,
    overrides: Sequence[str],
    device: str,
    events: Events,
) -> Iterator[Workshop]:
    """Resolve the configuration, take hold of the output folder and load the base.

    Raises:
        UsageError: the configuration is wrong, or does not go with the number of processes, or
            there is no such encoder, or it takes fewer shots than are asked for.
        MissingPrerequisite: the base, the encoder or the device is not there.
        FingerprintMismatch: the folder holds a run with other settings.
        PpdbenchError: another process works in the folder, or it cannot be written.
    """
    resolved = resolve(method, suite.name, config, overrides)
    check_optimizer(resolved.optimizer)
    check_tracker(resolved.tracker)
    accelerator = _accelerator(resolved, device, output)
    rows_a_forward(resolved, accelerator.num_processes)
    encoder = None
    if resolved.users.encoder is not None:
        context = LoadContext(suite=suite, device=device)
        encoder = make_encoder(resolved.users.encoder, context)
        _check_shots(resolved, encoder)
    resolved = _with_user_dim(resolved, suite, encoder)
    lock = None
    if accelerator.is_main_process:
        _make_folder(output)
        lock = RunLock(output)
        remove_leftovers(output)
    try:
        yield Workshop(
            suite=suite,
            config=resolved,
            output=output,
            accelerator=accelerator,
            events=events if accelerator.is_main_process else Silence(),
            command=_command(method, suite, config, overrides),
            encoder=encoder,
            base=load_base(
                resolved.base or base_of(suite),
                str(accelerator.device),
                dtype=_dtype(resolved),
            ),
        )
    finally:
        if lock is not None:
            lock.release()


def _with_user_dim(config: TrainConfig, suite: Suite, encoder: UserEncoder | None) -> TrainConfig:
    """The configuration with the user vector's length in it.

    Raises:
        UsageError: it has another one.
    """
    if encoder is None:
        count = len(trainable(suite))
        needed, why = max(1, count), f"{suite.name} has {count} rewards"
    else:
        needed = encoder.info.dim
        why = f"an embedding by {encoder.info.name} has {needed} numbers"
    if config.adapter.user_dim not in (None, needed):
        raise UsageError(
            f"adapter.user_dim is {config.adapter.user_dim}, but {why}",
            fix=f"set adapter.user_dim={needed}, or null",
        )
    return replace(config, adapter=replace(config.adapter, user_dim=needed))


def _check_shots(config: TrainConfig, encoder: UserEncoder) -> None:
    """See that the encoder takes as many shots as are asked for.

    Raises:
        UsageError: it does not.
    """
    most, name = encoder.info.max_shots, encoder.info.name
    if encoder.info.uses == "shots" and most is not None and config.users.shots > most:
        raise UsageError(
            f"users.shots is {config.users.shots}, and {name} takes {most} shots at most",
            fix=f"set users.shots={most}, or fewer",
        )


def _command(method: str, suite: Suite, config: Path | None, overrides: Sequence[str]) -> str:
    """The command that repeats a training; absolute paths are cut to their last part."""
    supplied: SuiteFiles = getattr(suite, "files", SuiteFiles())  # a suite need not have it
    files = {"--pairs": supplied.pairs, "--vlm": supplied.vlm, "--config": config}
    words = ["ppdbench", "train-reference", "--method", method, "--suite", suite.name]
    for option, file in files.items():
        if file is not None:
            words += [option, _named(str(file))]
    for override in overrides:
        key, equals, value = override.partition("=")
        words.append(f"{key}{equals}{_named(value)}")
    return shlex.join(words)


def _named(text: str) -> str:
    """An absolute path by its last part, which says nothing of the machine; the rest as it is."""
    return Path(text).name if Path(text).is_absolute() else text


def _make_folder(output: Path) -> None:
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise from_os_error(error, output) from error


def _dtype(config: TrainConfig) -> torch.dtype | None:
    return None if config.base_precision is None else getattr(torch, config.base_precision)


def _accelerator(config: TrainConfig, device: str, output: Path) -> Accelerator:
    from accelerate import Accelerator, DistributedType

    shards(device)  # joins them, to wait as long for each other as the longest share may take
    accelerator = Accelerator(
        cpu=resolve_device(device) == "cpu",
        mixed_precision="bf16" if config.precision == "bfloat16" else "no",
        log_with=config.tracker,
        project_dir=output if config.tracker else None,
    )
    if device != "auto" and not device.startswith(accelerator.device.type):
        raise MissingPrerequisite(f"no device {device} on this machine", fix="give --device cpu")
    kind = accelerator.distributed_type
    if kind in (DistributedType.FSDP, DistributedType.DEEPSPEED, DistributedType.MEGATRON_LM):
        raise UsageError(
            f"accelerate was told to split models by {kind.value}, which adapters do not go with",
            fix="answer no to it in accelerate config; shard=true splits base and adapter",
        )
    return accelerator
