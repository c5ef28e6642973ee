"""One training run, as the loop is given it, and which of its settings may change on the way.

Elsewhere: who makes it (`recipe.py`), who works it off (`loop.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppdbench.protocols import Events
from trainers.config import TrainConfig
from trainers.encoded.latents import LatentCache
from trainers.examples import Examples
from trainers.training.policy import Policy
from trainers.training.reference_cache import ReferenceCache
from trainers.training.steps import StepFunction

if TYPE_CHECKING:
    from accelerate import Accelerator

METRICS_FILE = "metrics.jsonl"
TOLERATED = (
    "config.base", "config.micro_batch", "config.gradient_checkpointing", "config.tracker",
    "config.checkpoint_every", "config.keep_every", "config.log_every",
    "config.validation.every", "config.validation.captions", "config.validation.pairs",
    "config.reference_cache", "config.compile", "config.shard",
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
    """Draws validation pictures with the policy as it stands; on the main process, of a sharded
    policy on all."""
    keep: Callable[[int], None] = field(default=lambda _step: None)
    """Keeps the adapter as it stands, under its step; on the same."""
    references: ReferenceCache | None = None
    """The base's losses, of `config.reference_cache`."""

    @property
    def total_steps(self) -> int:
        """Steps to take, over this table of examples."""
        return self.config.steps_over(len(self.examples))

    @property
    def takes_part(self) -> bool:
        """Whether this process is needed where one writes: a sharded policy is nobody's alone."""
        return bool(self.accelerator.is_main_process) or self.config.shard
