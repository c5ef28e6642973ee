"""The promise of splits, held over every pair in use: nothing crosses where it must not.

- No pair is used twice, and nobody is in two evaluated splits.
- Users of the unseen, validation-unseen and calibration splits have no training pair; those of the
  seen ones have, and every training user has more pairs than the shots of an embedding.
- No caption and no image is both in training and in an evaluated split, nor in two of test,
  validation and calibration.
- A user's sets of shots and choices share no pair, caption or image.
- A user's training groups are disjoint by pair, caption and image and of one size, so that a pair
  is in one of them at most (`shot_groups.group_for`). A pair in none may have its caption, or one
  of its images, in one; who trains under groups looks for that.

Captions and images are compared by `pair_table`'s hashes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ppdbench.data.assignment import KINDS, LEAST_TRAINED, ROLES, SEEN, SHOTS, SPLITS, Assignment
from ppdbench.errors import PpdbenchError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Leak(PpdbenchError):
    """Something crosses a border of the splits."""

    def __init__(self, cause: str) -> None:
        super().__init__(
            f"the splits leak: {cause}", fix="do not use them; report this as a defect of ppdbench"
        )


def check_leakage(
    rows: Assignment, *, caption: NDArray[np.uint64], images: NDArray[np.uint64]
) -> None:
    """Look at all rows of an assignment.

    Args:
        rows: which pair has which part, (M,).
        caption: (M,) equal for equal captions.
        images: (M, 2) equal for equal images.

    Raises:
        Leak: a rule is broken; the first one found is named with a pair or a user.
    """
    import numpy as np

    _unique(rows.pair, "the pair {} is used twice")
    _users(rows)
    part = np.full(len(rows), -1)
    for number, names in enumerate([("train",), *KINDS]):
        part[np.isin(rows.split, [SPLITS.index(name) for name in names])] = number
    for what, values in (("caption", caption[:, None]), ("image", images)):
        width = values.shape[1]
        pair, user = np.repeat(rows.pair, width), np.repeat(rows.user, width)
        flat = values.ravel()
        _one_part(
            [flat],
            np.repeat(part, width),
            pair,
            f"the {what} of pair {{}} crosses from one part to another",
        )
        held = np.repeat(part > 0, width)
        _one_part(
            [user[held], flat[held]],
            np.repeat(rows.role, width)[held],
            pair[held],
            f"the {what} of pair {{}} is in two of its user's sets of shots and choices",
        )
        grouped = np.repeat((part == 0) & (rows.group >= 0), width)
        _one_part(  # not even within a group
            [user[grouped], flat[grouped]],
            np.repeat(np.arange(len(rows)), width)[grouped],
            pair[grouped],
            f"the {what} of pair {{}} is twice in its user's groups of shots",
        )
    _groups(rows)


def _users(rows: Assignment) -> None:
    import numpy as np

    of = [np.unique(rows.user[rows.split == number]) for number in range(len(SPLITS))]
    _unique(np.concatenate(of[1:]), "the user {} is in two evaluated splits")
    train, count = np.unique(rows.user[rows.split == 0], return_counts=True)
    for name, users in zip(SPLITS[1:], of[1:], strict=True):
        inside = np.isin(users, train)
        if name in SEEN and not inside.all():
            raise Leak(f"the user {users[~inside][0]} of split {name} has no training pair")
        if name not in SEEN and inside.any():
            raise Leak(f"the user {users[inside][0]} of split {name} has training pairs")
    if (count < LEAST_TRAINED).any():
        raise Leak(
            f"the user {train[count < LEAST_TRAINED][0]} has fewer than {LEAST_TRAINED} training "
            "pairs, so that a pair would be among the shots of its own embedding"
        )


def _groups(rows: Assignment) -> None:
    """Shots and groups of shots are of one size."""
    import numpy as np

    shots = (rows.role != ROLES.index("choice")) & (rows.group >= 0)
    where = np.stack([rows.user, rows.split, rows.group], 1)[shots]
    kinds, count = np.unique(where, axis=0, return_counts=True)
    if (wrong := count != SHOTS).any():
        user, split, group = kinds[wrong][0]
        raise Leak(
            f"group {group} of user {user} in split {SPLITS[split]} has {count[wrong][0]} pairs "
            f"instead of {SHOTS}"
        )


def _unique(values: NDArray[np.int64], cause: str) -> None:
    import numpy as np

    found, count = np.unique(values, return_counts=True)
    if (count > 1).any():
        raise Leak(cause.format(found[count > 1][0]))


def _one_part(
    key: Sequence[NDArray[np.integer[Any]]],
    part: NDArray[np.integer[Any]],
    pair: NDArray[np.int64],
    cause: str,
) -> None:
    """See that rows of equal keys are of one part.

    Raises:
        Leak: they are not; `cause` is filled in with the pair.
    """
    import numpy as np

    order = np.lexsort((part, *key))
    same = np.ones(max(len(order) - 1, 0), bool)
    for values in key:
        same &= values[order][1:] == values[order][:-1]
    wrong = same & (part[order][1:] != part[order][:-1])
    if wrong.any():
        raise Leak(cause.format(pair[order][1:][wrong][0]))
