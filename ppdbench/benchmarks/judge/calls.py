"""The calls of benchmark `judge`: each comparison twice, the candidates swapped, shots fixed.

Order 0 shows the model's picture first. Nothing in a question tells which model drew what.
Elsewhere: the comparisons (`judge.plan`), asking (`judges.ask`), the figures (`judge.figures`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ppdbench.benchmarks.judge.plan import Comparison
from ppdbench.judges.call import Call
from ppdbench.runs.results import Result

ORDERS = (0, 1)
SWAP = "shuffled"
"""The arm of what was drawn for another user than the caption's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The two pictures of a comparison; None where one could not be drawn."""

    comparison: Comparison
    ours: Result | None
    theirs: Result | None

    @property
    def drawn(self) -> bool:
        """Whether both are there."""
        return bool(self.ours and self.ours.image and self.theirs and self.theirs.image)


def pair_up(
    found: Sequence[Comparison], results: Mapping[str, Result], model: str, baseline: str
) -> list[Pair]:
    """The pictures of comparisons: the model's as planned, the baseline's for the caption's owner.

    A baseline that knows users draws for the owner too, whatever context the model was given.
    """
    known = {(r.generator, r.user, r.caption_id, r.sample): r for r in results.values()}
    owners = {(r.generator, r.caption_id, r.sample): r for r in results.values() if r.arm != SWAP}
    return [
        Pair(
            comparison=each,
            ours=known.get(
                (model, each.context.id if each.context else None, each.caption.id, each.sample)
            ),
            theirs=owners.get((baseline, each.caption.id, each.sample)),
        )
        for each in found
    ]


def calls_of(pair: Pair) -> list[Call]:
    """Both orders of a pair whose pictures are there."""
    each, ours, theirs = pair.comparison, pair.ours, pair.theirs
    if ours is None or theirs is None or ours.image is None or theirs.image is None:
        return []
    both = (ours.image, theirs.image)
    return [
        Call(
            id=call_id(each, order),
            shots=each.shots,
            images=both if order == 0 else (both[1], both[0]),
            caption=each.caption.text,
            facts={
                "arm": each.arm,
                "user": each.owner.own.id,
                "split": each.owner.split,
                "caption_id": each.caption.id,
                "sample": each.sample,
                "order": order,
            },
        )
        for order in ORDERS
    ]


def call_id(comparison: Comparison, order: int) -> str:
    """Unique in a run."""
    return f"{comparison.id}/{order}"
