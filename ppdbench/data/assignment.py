"""Which pair has which part: the words of splits, what may be chosen, and the rows in use.

Elsewhere: who decides (`assign`), what must hold (`leakage`), how it is kept (`split_files`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING, Literal, get_args

from ppdbench.data.pair_table import ImageCheck
from ppdbench.protocols import UserSplit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SHOTS, SETS = 4, 2
"""Pairs of a set of shots, and most sets of an evaluated user."""
LEAST_TRAINED = SHOTS + 1
"""Pairs of a training user: the shots of an embedding, and one that they do not show."""
IDENTIFIED, TRAIN_GROUPS, TEST_GROUPS = 300, 4, 1
"""Users whom a classifier tells apart, and the groups of each; PPD's authors have 300 users."""

Role = Literal["train", "shot-0", "shot-1", "choice"]
ROLES: tuple[Role, ...] = get_args(Role)
SplitName = Literal["train"] | UserSplit
SPLITS: tuple[SplitName, ...] = (
    "train",
    "unseen",
    "seen",
    "validation-seen",
    "validation-unseen",
    "calibration",
)
"""In the order in which they take users, and in which files list them."""
SEEN: tuple[SplitName, ...] = ("seen", "validation-seen")
"""Evaluated splits whose users gave training pairs."""
KINDS: tuple[tuple[SplitName, ...], ...] = (
    ("unseen", "seen"),
    ("validation-seen", "validation-unseen"),
    ("calibration",),
)
"""Evaluated splits by kind; kinds share no caption and no image, and a later one yields."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitSettings:
    """What a user may choose; recorded with the splits."""

    seen: int = 277
    unseen: int = 192
    validation_seen: int = 96
    validation_unseen: int = 96
    calibration: int = 120
    """Users whom judges are calibrated on."""
    choices: int = 8
    """Held-out choices of an evaluated user, at most."""
    calibration_choices: int = 20
    max_pairs_per_user: int = 1000
    images: ImageCheck = "header"
    """How images are looked at."""

    def wanted(self, split: SplitName) -> int:
        """Users that a split should have."""
        return int(getattr(self, split.replace("-", "_")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of the funnel: what is left after it, and why the rest is not."""

    name: str
    pairs: int
    users: int
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Reason -> pairs that the step before still had."""


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """The M pairs in use, one row each: split by split, user by user, role by role."""

    pair: NDArray[np.int64]
    """(M,) pair ids, `pair_table.PairTable.id`."""
    row: NDArray[np.int64]
    """(M,) numbers of their rows in the source."""
    user: NDArray[np.int64]
    """(M,) `user_id`."""
    split: NDArray[np.int8]
    """(M,) index of `SPLITS`."""
    role: NDArray[np.int8]
    """(M,) index of `ROLES`."""
    group: NDArray[np.int32]
    """(M,) of a training pair the number of its group of shots among its user's, of a shot that
    of its set; -1 for what is in none."""
    captions: Mapping[int, str]
    """Row -> caption, of every pair that is not trained on."""

    def __len__(self) -> int:
        return len(self.pair)

    @cached_property
    def identified(self) -> Mapping[int, tuple[tuple[int, ...], ...]]:
        """User -> rows of the groups of shots by which users are told apart.

        They are the first training users, in order, who have `TRAIN_GROUPS` and `TEST_GROUPS`.
        """
        wanted = TRAIN_GROUPS + TEST_GROUPS
        train = self.of("train")
        train = train[(self.group[train] >= 0) & (self.group[train] < wanted)]
        found: dict[int, tuple[tuple[int, ...], ...]] = {}
        for user, own in groupby(train.tolist(), key=lambda row: int(self.user[row])):
            groups: dict[int, list[int]] = {}
            for row in own:
                groups.setdefault(int(self.group[row]), []).append(row)
            if len(groups) == wanted:
                found[user] = tuple(tuple(groups[number]) for number in sorted(groups))
            if len(found) == IDENTIFIED:
                break
        return found

    @cached_property
    def shown(self) -> NDArray[np.intp]:
        """(N,) rows that evaluated and identified users are known by, ascending."""
        import numpy as np

        groups = [row for own in self.identified.values() for group in own for row in group]
        held = np.flatnonzero(self.role != ROLES.index("train"))
        return np.union1d(held, np.array(groups, np.intp)).astype(np.intp)

    def of(self, split: SplitName, *roles: Role) -> NDArray[np.intp]:
        """Rows of a split, in order; only those of these roles where any are given."""
        import numpy as np

        inside = self.split == SPLITS.index(split)
        if roles:
            inside &= np.isin(self.role, [ROLES.index(role) for role in roles])
        return np.flatnonzero(inside)

    @cached_property
    def sha256(self) -> str:
        """Over every row, in order, and the captions.

        Not over where pairs stand in the source: it is the same for the same pairs in any order.
        """
        import numpy as np

        digest = hashlib.sha256(f"{SPLITS}{ROLES}".encode())
        for values in (self.pair, self.user, self.split, self.role, self.group):
            digest.update(np.ascontiguousarray(values.astype("<i8")).tobytes())
        for row, caption in sorted(self.captions.items()):
            digest.update(f"{row}\0{caption}\0".encode("utf-8", "surrogatepass"))
        return digest.hexdigest()
