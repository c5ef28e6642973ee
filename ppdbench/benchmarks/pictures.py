"""A row's images in benchmark `personal`, found by whose caption they are and for whom.

Elsewhere: rows (`rows`), who is drawn for whom (`assignment`), utilities (`tastes`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ppdbench.benchmarks.assignment import Assignment, Member, PersonalSplit
from ppdbench.benchmarks.plan import Context
from ppdbench.benchmarks.rows import Row
from ppdbench.benchmarks.tastes import Attributes, Tastes
from ppdbench.protocols import Caption

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Case:
    """One caption of its owner, from one noise: what systems are paired by."""

    owner: Member
    caption: Caption
    sample: int


class Pictures:
    """What was drawn and measured of one row."""

    def __init__(self, row: Row) -> None:
        self.conditioned = row.conditioned
        self._found = {
            (r.user, r.caption_id, r.sample): r.attributes
            for r in row.results
            if r.attributes is not None
        }

    def of(self, context: Context | None, caption: Caption, sample: int = 0) -> Attributes | None:
        """The image's attributes; None where it is not there or was not measured."""
        return self._found.get((context.id if context else None, caption.id, sample))

    def own(self, case: Case) -> Attributes | None:
        """The image for the caption's owner; the only one, of who draws for nobody."""
        return self.of(case.owner.own if self.conditioned else None, case.caption, case.sample)


def cases(assignment: Assignment, split: PersonalSplit | None = None) -> list[Case]:
    """Every caption of every user, or of a split's, in the run's order."""
    return [
        Case(member, caption, sample)
        for member in assignment.members
        if split in (None, member.split)
        for caption in member.captions
        for sample in range(assignment.samples)
    ]


def utilities(
    found: Sequence[Case], tastes: Tastes, picture: Callable[[Case], Attributes | None]
) -> Floats:
    """What each caption's owner makes of an image for it, (N,); NaN where there is none."""
    values = np.full(len(found), np.nan)
    for row, case in enumerate(found):
        attributes = picture(case)
        if attributes is not None:
            (values[row],) = tastes.rate(case.owner.user.id, [attributes])
    return values


def users_of(found: Sequence[Case]) -> NDArray[np.int64]:
    """The owner's number of each case, (N,): what figures are clustered by."""
    return np.array([case.owner.number for case in found], dtype=np.int64)
