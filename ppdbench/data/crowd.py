"""Pairs sorted by user: users in an order of hashes, each one's pairs in an order of hashes.

That order is all the chance there is in splits: it depends on user ids and on what the pairs are,
never on where they stand in a file. Elsewhere: what is decided by it (`assign`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING

from ppdbench.data.pair_table import PairTable
from ppdbench.data.shot_groups import disjoint_groups
from ppdbench.protocols import PreferencePair

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ALGORITHM = 1
"""Raised whenever the same pairs would be sorted or split otherwise."""


class Crowd:
    """A table in that order: users are numbered by it, and each is a slice of rows."""

    def __init__(self, table: PairTable) -> None:
        import numpy as np

        ids, user = np.unique(table.user, return_inverse=True)
        hashes = np.array([_user_hash(int(each)) for each in ids], np.uint64)
        place = np.empty(len(ids), np.int64)
        place[np.lexsort((ids, hashes))] = np.arange(len(ids))
        order = np.lexsort((table.id, place[user]))
        self.table = table.take(order)
        self.user: NDArray[np.int64] = place[user][order]
        """(N,) the user's number in this order."""
        self.count = len(ids)
        self.starts: NDArray[np.int64] = np.searchsorted(self.user, np.arange(len(ids) + 1))
        self._distinct: dict[int, list[int]] = {}

    @cached_property
    def captions(self) -> NDArray[np.int64]:
        """(users,) different captions of each."""
        import numpy as np

        order = np.lexsort((self.table.caption, self.user))
        user, caption = self.user[order], self.table.caption[order]
        new = np.ones(len(order), bool)
        new[1:] = (user[1:] != user[:-1]) | (caption[1:] != caption[:-1])
        return np.bincount(user[new], minlength=self.count)

    def distinct(self, user: int) -> list[int]:
        """Rows of a user's pairs that share neither captions nor images, in the order of hashes."""
        if user not in self._distinct:
            rows = range(int(self.starts[user]), int(self.starts[user + 1]))
            self._distinct[user] = [row for (row,) in self.grouped(rows, 1)]
        return self._distinct[user]

    def grouped(self, rows: Iterable[int], size: int) -> list[tuple[int, ...]]:
        """Rows of one user as `shot_groups.disjoint_groups` has it, in their order."""
        groups = disjoint_groups(map(self._stand_in, rows), size)
        return [tuple(map(int, group)) for own in groups.values() for group in own]

    def _stand_in(self, row: int) -> PreferencePair:
        """A pair with its row for an id, and hashes for its caption and images."""
        first, second = self.table.images[row]
        return PreferencePair(
            id=str(row),
            caption=str(self.table.caption[row]),
            image_0=first.tobytes(),
            image_1=second.tobytes(),
            label_0=1.0,
            label_1=0.0,
            user_id=0,
        )


def _user_hash(user: int) -> int:
    digest = hashlib.sha256(f"ppdbench/splits/{ALGORITHM}/user/{user}".encode()).digest()
    return int.from_bytes(digest[:8], "big")
