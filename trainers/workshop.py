"""What surrounds a training run, the same for every method: base, data, output folder, results.

A recipe opens a workshop, makes its table of examples and its step, and calls `finish`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ppdbench.errors import MissingPrerequisite, UsageError, from_os_error, unknown_name
from ppdbench.protocols import RewardSpec, Split, Suite
from ppdbench.runs.atomic import remove_leftovers, write_atomic, write_json
from ppdbench.runs.lock import RunLock
from trainers.assets import base_folder
from trainers.checkpoints import (
    ADAPTER_FILE,
    AdapterHeader,
    load_state,
    save_adapter,
)
from trainers.config import TrainConfig, as_mapping, resolve, to_yaml
from trainers.examples import POPULATION, Examples, Labels, one_hot
from trainers.latents import LatentCache, encode_pairs, file_sha256
from trainers.loop import METRICS_FILE, TOLERATED, Job, fit, measure
from trainers.loss_plot import plot_losses
from trainers.metrics import read_metrics
from trainers.model_card import model_card
from trainers.policy import Policy
from trainers.progress import Events, Silence
from trainers.relabel import reward_margins, trainable
from trainers.stable_cascade.stage_c import Base, load_base
from trainers.stable_cascade.user_attention import AdapterShape, attention_blocks
from trainers.steps import StepFunction
from trainers.validation import draw_grid

if TYPE_CHECKING:
    from accelerate import Accelerator

MANIFEST_FILE = "manifest.json"
UserVector = Literal["reward_weights", "null"]


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """One run's surroundings."""

    suite: Suite
    config: TrainConfig
    output: Path
    accelerator: Accelerator
    events: Events
    base: Base
    command: str
    """What was asked for; recorded in the manifest."""
    caches: dict[Split, LatentCache] = field(default_factory=dict)

    @cached_property
    def rewards(self) -> list[RewardSpec]:
        """The rewards that may be trained on; their order is that of the user vector."""
        return trainable(self.suite)

    def pairs(self, split: Split) -> Path:
        """The split's pair file, made by one process where it is made on first use."""
        with self.accelerator.main_process_first():
            return self.suite.pairs(split)

    def cache(self, split: Split) -> LatentCache:
        """The split's pairs, encoded."""
        if split not in self.caches:
            sampling, config = self.suite.sampling, self.config
            limit = config.data.limit if split == "train" else config.validation.pairs
            self.caches[split] = encode_pairs(
                self.pairs(split),
                self.base,
                cache=self.output.parent / "cache",
                size=(sampling.width, sampling.height),
                limit=limit,
                events=self.events,
                share=self._share,
                wait=self.accelerator.wait_for_everyone,
            )
        return self.caches[split]

    @property
    def _share(self) -> tuple[int, int]:
        return self.accelerator.process_index, self.accelerator.num_processes

    @property
    def elements(self) -> int:
        """Numbers in one latent."""
        return int(np.prod(self.base.latent_shape))

    def population_labels(self, split: Split) -> Labels:
        """The labels that the file has, for the null user."""
        null = np.zeros(self.config.adapter.user_dim, np.float32)
        return Labels(POPULATION, self.cache(split).label_margin, null)

    def reward_labels(
        self, split: Split, names: Sequence[str], *, one_hot_users: bool
    ) -> list[Labels]:
        """The labels of some rewards, each for its own one-hot user or all for the null user.

        Raises:
            UsageError: the suite has no such reward to train on, or `adapter.user_dim` is not
                the number of rewards.
        """
        specs = {spec.name: spec for spec in self.rewards}
        for name in names:
            if name not in specs:
                raise unknown_name("reward to train on", name, specs)
        user_dim = self.config.adapter.user_dim
        if one_hot_users and user_dim != len(specs):
            raise UsageError(
                f"adapter.user_dim is {user_dim}, but {self.suite.name} has {len(specs)} rewards",
                fix=f"set adapter.user_dim={len(specs)}",
            )
        margins = reward_margins(
            [specs[name] for name in names],
            self.pairs(split),
            self.cache(split),
            device=str(self.accelerator.device),
            events=self.events,
            share=self._share,
            wait=self.accelerator.wait_for_everyone,
        )
        null = np.zeros(user_dim, np.float32)
        return [
            Labels(
                name, margins[name], one_hot(list(specs), name, user_dim) if one_hot_users else null
            )
            for name in names
        ]

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What the outcome depends on: the configuration, the data and the base."""
        return {
            "config": as_mapping(self.config),
            "suite": self.suite.digest,
            "pairs": file_sha256(self.pairs("train")),
            "base": self.base.sha256,
        }

    @property
    def done(self) -> bool:
        """Whether the folder already holds this run's adapter, trained to the end."""
        state = load_state(self.output, self.identity, tolerate=TOLERATED)
        whole = state is not None and state["step"] >= self.config.total_steps
        return whole and all(
            (self.output / name).is_file() for name in (ADAPTER_FILE, MANIFEST_FILE)
        )

    def finish(
        self,
        examples: Callable[[Split], Examples],
        step: StepFunction,
        *,
        user_vector: UserVector,
        facts: Mapping[str, Any],
    ) -> Path:
        """Train, measure, then write what a run leaves; returns the folder.

        Args:
            examples: the table of a split; the training one is learnt from.
            step: the method's loss.
            user_vector: what the adapter's user vector means.
            facts: further facts for header and card.
        """
        config, main = self.config, self.accelerator.is_main_process
        shape = AdapterShape(
            user_dim=config.adapter.user_dim,
            tokens=config.adapter.tokens,
            token_dim=config.adapter.token_dim,
            scale=config.adapter.scale,
        )
        policy = Policy(self.base, shape, seed=config.seed)

        def validate(at: int) -> None:
            file = self.output / "validation" / f"step-{at:06}.png"
            draw_grid(file, policy, self.suite, config, self._columns(user_vector))

        job = Job(
            config=config,
            policy=policy,
            cache=self.cache("train"),
            examples=examples("train"),
            step=step,
            output=self.output,
            accelerator=self.accelerator,
            events=self.events,
            identity=self.identity,
            validate=validate,
        )
        unseen = None
        if config.validation.pairs:  # made before training: what is missing is said at once
            cache = self.cache("validation")
            unseen = replace(job, cache=cache, examples=examples("validation"))
        if main:
            write_atomic(self.output / "config.yaml", to_yaml(config))
            # Not this run's, or it would be done: with it, a kill after the last step would
            # pass another run's adapter for this one's.
            (self.output / MANIFEST_FILE).unlink(missing_ok=True)
        if facts:
            self.events.note(", ".join(f"{name} {value}" for name, value in facts.items()))
        seconds = fit(job)
        held_out = measure(unseen) if unseen else {}
        if main:
            header = self._header(job, shape, user_vector, facts)
            self._leave(job, header, held_out, seconds)
        self.accelerator.wait_for_everyone()
        self.accelerator.end_training()
        return self.output

    def _header(
        self, job: Job, shape: AdapterShape, user_vector: UserVector, facts: Mapping[str, Any]
    ) -> AdapterHeader:
        """What the adapter's file says of itself."""
        config, train = self.config, job.examples
        blocks = attention_blocks(self.base.unet)
        return AdapterHeader(
            method=config.method,
            base_sha256=self.base.sha256,
            shape=shape,
            width=max(int(block.to_q.out_features) for block in blocks.values()),
            user_vector=user_vector,
            rewards=tuple(spec.name for spec in self.rewards),
            unconditional_user=config.sampling.unconditional_user,
            facts={
                "suite": self.suite.name,
                "suite_version": self.suite.version,
                "seed": config.seed,
                "steps": config.total_steps,
                "batch_size": config.batch_size,
                "reward": config.reward,
                "examples": len(train),
                "left_out": {name: dict(why) for name, why in train.left_out.items()},
                "pairs_sha256": job.cache.pairs_sha256,
                **facts,
            },
        )

    def _leave(
        self, job: Job, header: AdapterHeader, held_out: Mapping[str, float], seconds: float
    ) -> None:
        """Write plot, pictures, adapter, card and, last, the manifest: with it the run is done."""
        config, adapter = self.config, job.policy.adapter
        metrics = read_metrics(self.output / METRICS_FILE)
        plot_losses(self.output / "loss.png", metrics)
        adapter.eval()
        job.validate(config.total_steps)
        save_adapter(self.output, adapter.tensors(), header)
        card = model_card(header, config, metrics, held_out, seconds)
        write_atomic(self.output / "README.md", card)
        write_json(
            self.output / MANIFEST_FILE,
            {
                "schema_version": 1,
                "sha256": {ADAPTER_FILE: file_sha256(self.output / ADAPTER_FILE)},
                "command": self.command,
                "seed": config.seed,
                "steps": config.total_steps,
                "data": {
                    "suite": self.suite.name,
                    "version": self.suite.version,
                    "pairs_sha256": job.cache.pairs_sha256,
                },
                "base_sha256": self.base.sha256,
                "seconds": round(seconds, 1),
                "figures": {name: round(value, 6) for name, value in held_out.items()},
            },
        )

    def _columns(self, user_vector: UserVector) -> dict[str, np.ndarray[Any, np.dtype[np.float32]]]:
        """Title -> user vector of each column of the validation grid beside the base's."""
        user_dim = self.config.adapter.user_dim
        if user_vector == "null":
            return {self.config.method: np.zeros(user_dim, np.float32)}
        names = [spec.name for spec in self.rewards]
        return {name: one_hot(names, name, user_dim) for name in names}


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
        UsageError: the configuration is wrong.
        MissingPrerequisite: the base or the device is not there.
        FingerprintMismatch: the folder holds a run with other settings.
        PpdbenchError: another process works in the folder, or it cannot be written.
    """
    resolved = resolve(method, suite.name, config, overrides)
    accelerator = _accelerator(resolved, device, output)
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
            base=load_base(resolved.base or base_folder(suite.name), str(accelerator.device)),
        )
    finally:
        if lock is not None:
            lock.release()


def _command(method: str, suite: Suite, config: Path | None, overrides: Sequence[str]) -> str:
    words = ["ppdbench train-reference", "--method", method, "--suite", suite.name]
    if config is not None:
        words += ["--config", config.name]
    return " ".join([*words, *overrides])


def _make_folder(output: Path) -> None:
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise from_os_error(error, output) from error


def _accelerator(config: TrainConfig, device: str, output: Path) -> Accelerator:
    from accelerate import Accelerator

    accelerator = Accelerator(
        cpu=device == "cpu",
        mixed_precision="bf16" if config.precision == "bfloat16" else "no",
        log_with=config.tracker,
        project_dir=output if config.tracker else None,
    )
    if device != "auto" and not device.startswith(accelerator.device.type):
        raise MissingPrerequisite(f"no device {device} on this machine", fix="give --device cpu")
    if config.tracker:
        accelerator.init_trackers("ppdbench", config=json.loads(json.dumps(_flat(config))))
    return accelerator


def _flat(config: TrainConfig) -> dict[str, Any]:
    flat: dict[str, Any] = {"started": time.strftime("%Y-%m-%dT%H:%M:%S")}
    for key, value in as_mapping(config).items():
        if isinstance(value, dict):
            flat |= {f"{key}.{name}": str(inner) for name, inner in value.items()}
        else:
            flat[key] = str(value)
    return flat
