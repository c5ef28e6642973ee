"""Which items benchmark `interpolation` draws: every mixture of the simplex, from the same noises.

Captions are taken in turn from each category, so that a part of them is balanced. The baseline
draws each caption for nobody: its pictures are the scale of gains, and the control that hears no
weights. Elsewhere: the mixtures (`interpolation.simplex`), what is found (`interpolation.figures`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ppdbench.benchmarks.interpolation.simplex import Simplex
from ppdbench.benchmarks.plan import Context, Item, items_of
from ppdbench.protocols import Caption, GeneratorInfo, Suite
from ppdbench.runs.captions import in_turn

CAPTIONS = 96
"""Captions, unless all are asked for."""
SAMPLES = 2
"""Pictures a caption and mixture at least: a caption's score at a place is their mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpolation:
    """What the benchmark draws for one model."""

    simplex: Simplex
    captions: tuple[Caption, ...]
    samples: int

    @property
    def spec(self) -> dict[str, Any]:
        """What its results depend on, beside suite and generators."""
        return {
            "step": self.simplex.step,
            "captions": len(self.captions),
            "samples": self.samples,
        }


def interpolation(
    suite: Suite, captions: Sequence[Caption], *, step: float, samples: int, full: bool
) -> Interpolation:
    """Lay out the benchmark.

    Args:
        suite: whose rewards are mixed, gold ones aside.
        captions: the captions of the run, in the suite's order.
        step: between neighbouring weights.
        samples: pictures a caption and mixture; `SAMPLES` at least are drawn.
        full: every caption, not the first `CAPTIONS` in turn.

    Raises:
        UsageError: the step is not one over a whole number.
    """
    rewards = [spec.name for spec in suite.rewards() if not spec.gold]
    return Interpolation(
        simplex=Simplex.of(rewards, step),
        captions=tuple(in_turn(captions)[: None if full else CAPTIONS]),
        samples=max(SAMPLES, samples),
    )


def plan_interpolation(
    suite: Suite, generator: str, info: GeneratorInfo, of: Interpolation
) -> list[Item]:
    """The items of one generator: all captions of a mixture, then the next one's."""
    hears = "reward_weights" in info.conditions_on
    contexts: list[Context | None] = [*of.simplex.points] if hears else [None]
    return items_of(suite, generator, contexts, of.captions, of.samples, benchmark="interpolation")
