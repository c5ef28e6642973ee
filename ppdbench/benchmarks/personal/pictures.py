"""A row's images in benchmark `personal`: whose caption, for whom, and what users make of them.

Each distinct image is rated once a user: equal attributes are one rating, so two equal images tie
to the last bit whatever batch they are rated in. Elsewhere: rows (`rows`), who is drawn for whom
(`personal.roles`), where tastes come from (`protocols.Truth`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ppdbench.benchmarks.personal.roles import Member, PersonalSplit, Roles
from ppdbench.benchmarks.plan import Context
from ppdbench.benchmarks.rows import Row
from ppdbench.protocols import Caption, Truth

Attributes = tuple[float, ...]
Floats = NDArray[np.float64]


class Tastes:
    """Remembers ratings."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self._known: dict[str, dict[Attributes, float]] = {}

    def rate(self, user: str, images: Sequence[Attributes]) -> list[float]:
        """Utilities of images for a user, by id, in order; only differences mean anything."""
        known = self._known.setdefault(user, {})
        new = [image for image in dict.fromkeys(images) if image not in known]
        if new:
            known.update(zip(new, self._truth.utility(user, np.array(new)).tolist(), strict=True))
        return [known[image] for image in images]

    def dominant(self, user: str) -> str:
        """The attribute that the user cares most for, with its sign."""
        return self._truth.dominant(user)


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


def cases(roles: Roles, split: PersonalSplit | None = None) -> list[Case]:
    """Every caption of every user, or of a split's, in the run's order."""
    return [
        Case(member, caption, sample)
        for member in roles.members
        if split in (None, member.split)
        for caption in member.captions
        for sample in range(roles.samples)
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
