"""Which items benchmark `tradeoff` draws: a few captions, each from several noises, for each user.

Pictures of one caption and user from several noises show how diverse a model still is; that their
captions are few keeps it affordable. As in benchmark `rewards`, who hears reward weights draws for
each reward's user, anyone else for nobody. Elsewhere: what is measured on the way and on the
pictures (`tradeoff.measure`), what is found (`tradeoff.figures`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ppdbench.benchmarks.plan import Context, Item, items_of, reward_users
from ppdbench.protocols import Caption, GeneratorInfo, Suite
from ppdbench.runs.captions import in_turn

CAPTIONS, FULL_CAPTIONS = 16, 48
SAMPLES = 8
"""Noises a caption and user: the pairs among them are what diversity is a mean over."""
DIVERGENCE_SAMPLES = 2
"""Noises of those from which divergence is measured: it costs two more walks a picture, and differs
less from noise to noise than a gain does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tradeoff:
    """What the benchmark draws of each generator."""

    captions: tuple[Caption, ...]
    samples: int = SAMPLES
    divergence_samples: int = DIVERGENCE_SAMPLES

    @property
    def spec(self) -> dict[str, Any]:
        """What its results depend on, beside suite and generators."""
        return {
            "captions": len(self.captions),
            "samples": self.samples,
            "divergence_samples": self.divergence_samples,
        }


def tradeoff(captions: Sequence[Caption], *, full: bool) -> Tradeoff:
    """Lay out the benchmark on captions of the run, in the suite's order."""
    return Tradeoff(captions=tuple(in_turn(captions)[: FULL_CAPTIONS if full else CAPTIONS]))


def plan_tradeoff(suite: Suite, generator: str, info: GeneratorInfo, of: Tradeoff) -> list[Item]:
    """The items of one generator: all captions of a user, each from all noises."""
    hears = "reward_weights" in info.conditions_on
    contexts: list[Context | None] = [*reward_users(suite)] if hears else [None]
    return items_of(suite, generator, contexts, of.captions, of.samples, benchmark="tradeoff")
