"""The people of splits of real users: implements `protocols.People`.

Evaluated users have the shots and choices that the splits hold out; captions to draw are those of
their first choices. Users are identified (benchmark `users`) by groups of four of their training
pairs. Nobody knows what real users like: there is no truth. Elsewhere: who is in which split
(`splits`), which file holds the pairs (`suites`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from ppdbench.data.assignment import (
    IDENTIFIED,
    ROLES,
    SEEN,
    TEST_GROUPS,
    TRAIN_GROUPS,
    Assignment,
)
from ppdbench.data.pair_store import PairStore
from ppdbench.data.splits import Splits
from ppdbench.errors import MissingPrerequisite
from ppdbench.protocols import Caption, EvaluatedUser, IdentifiedUser, PreferencePair, UserSplit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DRAWN_CAPTIONS = 4
"""Captions drawn for a user, at most."""
CATEGORY = "the user's own"
"""Of every caption here: nobody has sorted them."""


@dataclass(frozen=True)
class SplitPeople:
    """Real users, as splits have them."""

    splits: Callable[[], Splits]
    """The splits; made or read on first use."""
    shown: Callable[[], Path]
    """A file with at least the pairs of `shown_rows`, under the splits' ids (`extract`)."""
    trained: Callable[[], Path]
    """The same, with the training pairs."""
    opponents: tuple[str, ...] = ()
    """Nobody: without truth nothing is drawn for them."""
    training_digest: None = None
    """Whose training pairs teach something, only a reading of all tells."""

    @cached_property
    def digest(self) -> str:
        """sha256 over the splits, source included, and what is made of them here."""
        facts = [self._splits.digest, DRAWN_CAPTIONS, IDENTIFIED, TRAIN_GROUPS, TEST_GROUPS]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def users(self, split: UserSplit) -> Sequence[EvaluatedUser]:
        """The users of a split; as many as the pair data has, which may be none."""
        rows = self._rows.of(split)
        of_user = groupby(rows.tolist(), key=lambda row: int(self._rows.user[row]))
        return [self._evaluated(split, user, list(own)) for user, own in of_user]

    def identified(self, *, topics: bool) -> Sequence[IdentifiedUser]:
        """The first training users, in the splits' order, with enough groups of shots.

        Raises:
            MissingPrerequisite: captions common to all are asked for; real users have their own.
        """
        if not topics:
            raise MissingPrerequisite(
                "real users have no captions in common", fix="ask for a suite of simulated people"
            )
        return [
            IdentifiedUser(id=str(user), train=sets[:TRAIN_GROUPS], test=sets[TRAIN_GROUPS:])
            for user, groups in self._rows.identified.items()
            for sets in [tuple(map(self._ids, groups))]
        ]

    def pairs(self, ids: Sequence[str]) -> list[PreferencePair]:
        """The pairs of these ids, in their order; images encoded.

        Raises:
            MissingPrerequisite: a pair is in no split, or its file cannot be made.
        """
        known = self._shown_ids
        near = [identity for identity in ids if identity in known]
        far = [identity for identity in ids if identity not in known]
        found = {pair.id: pair for pair in self._shown.get(near)} if near else {}
        if far:
            found |= {pair.id: pair for pair in self._trained.get(far)}
        return [found[identity] for identity in ids]

    @property
    def truth(self) -> None:
        """None: what real users like is known from their choices alone."""
        return

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of results must know, a line each."""
        return self._splits.notes

    @property
    def shown_rows(self) -> NDArray[np.intp]:
        """(N,) rows of the assignment that evaluated and identified users are known by."""
        return self._rows.shown

    @cached_property
    def _splits(self) -> Splits:
        return self.splits()

    @property
    def _rows(self) -> Assignment:
        return self._splits.assignment

    @cached_property
    def _shown_ids(self) -> frozenset[str]:
        return frozenset(map(str, self._rows.pair[self.shown_rows].tolist()))

    @cached_property
    def _shown(self) -> PairStore:
        return PairStore(self.shown())

    @cached_property
    def _trained(self) -> PairStore:
        return PairStore(self.trained())

    def _evaluated(self, split: UserSplit, user: int, rows: list[int]) -> EvaluatedUser:
        """A user of these rows, which are sorted by role."""
        by_role = {
            ROLES[role]: list(own)
            for role, own in groupby(rows, key=lambda row: int(self._rows.role[row]))
        }
        choices = by_role.pop("choice")
        return EvaluatedUser(
            id=str(user),
            seen=split in SEEN,
            shots=tuple(self._ids(own) for own in by_role.values()),
            choices=self._ids(choices),
            captions=tuple(
                Caption(
                    id=f"{split}-{user}-{number}", text=self._rows.captions[row], category=CATEGORY
                )
                for number, row in enumerate(choices[:DRAWN_CAPTIONS])
            ),
        )

    def _ids(self, rows: Sequence[int]) -> tuple[str, ...]:
        return tuple(str(self._rows.pair[row]) for row in rows)
