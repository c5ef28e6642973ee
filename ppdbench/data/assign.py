"""Decide by hash alone which pair has which part; the rules are told in `splits`.

Elsewhere: the pairs as numbers (`pair_table`), the words (`assignment`), the promise (`leakage`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ppdbench.data.assignment import (
    KINDS,
    LEAST_TRAINED,
    ROLES,
    SEEN,
    SETS,
    SHOTS,
    SPLITS,
    Assignment,
    SplitName,
    SplitSettings,
    Step,
)
from ppdbench.data.crowd import Crowd
from ppdbench.data.leakage import check_leakage
from ppdbench.data.pair_table import Met, PairTable
from ppdbench.errors import MissingPrerequisite
from ppdbench.protocols import Events

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

_SHARE: Mapping[SplitName, float] = {
    "unseen": 1 / 5,
    "seen": 3 / 4,
    "validation-seen": 1 / 2,
    "validation-unseen": 1 / 8,
    "calibration": 1 / 7,
}
"""Largest share of those who could be in a split and are not yet in another: with few users, some
are left to learn from."""
_ROUNDS, _LESS = 16, 0.75
"""How often the choice is made anew: without seen users who are left too little to learn from, or,
where captions are so many people's that those are many, or that training would lose more than half
of its pairs, with this share of the users."""


def assign(
    table: PairTable,
    met: Met,
    settings: SplitSettings,
    captions: Callable[[NDArray[np.int64]], Mapping[int, str]],
    *,
    events: Events | None = None,
) -> tuple[Assignment, tuple[Step, ...]]:
    """Decide; the table's order does not matter.

    Args:
        table: the usable pairs.
        met: what was left out before, for the funnel.
        settings: sizes and limits.
        captions: number of a row in the source -> its caption, for many at once.
        events: who is told of progress.

    Raises:
        MissingPrerequisite: no user is left to learn from.
        Leak: the result breaks a promise, which is a defect of this module.
    """
    import numpy as np

    crowd, too_few = _crowd(table, settings.max_pairs_per_user)
    held, train, not_used = _parted(crowd, settings)
    if not len(train):
        lost = Counter(met.left_out) + Counter(too_few) + Counter(not_used)
        raise MissingPrerequisite(
            f"no user has {LEAST_TRAINED} usable pairs to learn from; of {met.rows} rows were "
            "left out: " + (", ".join(f"{n} {why}" for why, n in lost.items()) or "none"),
            fix="give pair data with more pairs a user",
        )
    row, assignment = _laid_out(crowd, held, train, _groups(crowd, train, events))
    used = crowd.table.take(row)
    check_leakage(assignment, caption=used.caption, images=used.images)
    shown = np.flatnonzero(assignment.role != ROLES.index("train"))
    texts = captions(used.row[shown])
    return (
        replace(assignment, captions={int(n): texts[int(used.row[n])] for n in shown}),
        (
            Step(name="rows", pairs=met.rows, users=met.users),
            _step("usable", table, met.left_out),
            _step("of users with enough pairs", crowd.table, too_few),
            _step("in a split", used, not_used),
        ),
    )


def _step(name: str, table: PairTable, left_out: Mapping[str, int]) -> Step:
    import numpy as np

    users = len(np.unique(table.user))
    return Step(name=name, pairs=len(table), users=users, left_out=dict(left_out))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """What of an evaluated user is held out, by row."""

    split: SplitName
    sets: tuple[tuple[int, ...], ...]
    choices: tuple[int, ...]

    @property
    def rows(self) -> list[int]:
        return [*(row for shots in self.sets for row in shots), *self.choices]


def _crowd(table: PairTable, most: int) -> tuple[Crowd, dict[str, int]]:
    """The users who have enough pairs, and what was left out for that."""
    import numpy as np

    crowd = Crowd(table)
    above = np.arange(len(table)) - crowd.starts[crowd.user] >= most
    counts = np.bincount(crowd.user[~above], minlength=crowd.count)[crowd.user]
    reasons = {
        f"beyond {most} pairs of one user": above,
        f"of a user with fewer than {SHOTS} pairs": ~above & (counts < SHOTS),
        f"of a user with {SHOTS} pairs": ~above & (counts == SHOTS),
    }
    kept = ~np.logical_or.reduce(list(reasons.values()))
    left_out = {name: int(mask.sum()) for name, mask in reasons.items() if mask.any()}
    return Crowd(crowd.table.take(kept)), left_out


def _parted(
    crowd: Crowd, settings: SplitSettings
) -> tuple[dict[int, _Held], NDArray[np.intp], dict[str, int]]:
    """Held-out pairs of each evaluated user, the training rows, and what is neither."""
    import numpy as np

    barred: set[int] = set()
    share = 1.0
    for _ in range(_ROUNDS):
        held = _held_out(crowd, settings, share, barred)
        masks = _not_trained(crowd, held)
        train = _trained(masks)
        counts = _counts(crowd, train)
        seen = [user for user, own in held.items() if own.split in SEEN]
        short = {user for user in seen if counts[user] < LEAST_TRAINED}
        own = ~masks[_HIDDEN]  # rows of those who may learn
        lost = own & ~masks[_USED] & (masks[_CAPTION] | masks[_IMAGE])
        if 2 * lost.sum() > own.sum() or 4 * len(short) > len(seen):
            share *= _LESS
        elif short:
            barred |= short
        else:
            break
    else:  # without these, then; each that goes leaves the others more to learn from
        held = {user: own for user, own in held.items() if user not in short}
        masks = _not_trained(crowd, held)
        train = _trained(masks)
        counts = _counts(crowd, train)
    few = train & (counts < LEAST_TRAINED)[crowd.user]
    masks[f"of a user left with fewer than {LEAST_TRAINED} pairs"] = few
    out = masks.pop(_USED)
    left_out, taken = {}, out.copy()
    for name, mask in masks.items():
        if count := int((mask & ~taken).sum()):
            left_out[name] = count
        taken |= mask
    return held, np.flatnonzero(~taken), left_out


_USED = "held out"
_HIDDEN = "of a held-out user, beyond their shots and choices"
_CAPTION = "of a caption that is held out"
_IMAGE = "of an image that is held out"


def _trained(masks: Mapping[str, NDArray[np.bool_]]) -> NDArray[np.bool_]:
    import numpy as np

    return np.asarray(~np.logical_or.reduce(list(masks.values())), bool)


def _counts(crowd: Crowd, rows: NDArray[np.bool_]) -> NDArray[np.int64]:
    import numpy as np

    return np.bincount(crowd.user[rows], minlength=crowd.count)


def _not_trained(crowd: Crowd, held: Mapping[int, _Held]) -> dict[str, NDArray[np.bool_]]:
    """Reason -> rows that nobody may learn from; a row may have several."""
    import numpy as np

    rows = np.array(sorted(row for own in held.values() for row in own.rows), np.int64)
    used = np.zeros(len(crowd.table), bool)
    used[rows] = True
    hidden = np.array([user for user, own in held.items() if own.split not in SEEN], np.int64)
    shown = np.isin(crowd.table.images, np.unique(crowd.table.images[rows]))
    return {
        _USED: used,
        _HIDDEN: np.isin(crowd.user, hidden),
        _CAPTION: np.isin(crowd.table.caption, crowd.table.caption[rows]),
        _IMAGE: shown[:, 0] | shown[:, 1],
    }


def _held_out(
    crowd: Crowd, settings: SplitSettings, share: float, barred: set[int]
) -> dict[int, _Held]:
    """Choose users and their held-out pairs, split by split.

    Args:
        crowd: who there is.
        settings: how many are wanted.
        share: of them, where captions are shared by many.
        barred: users who are not to be seen ones.
    """
    least = {n: SHOTS + 1 + (LEAST_TRAINED if n in SEEN else 0) for n in SPLITS[1:]}
    held: dict[int, _Held] = {}
    taken: list[tuple[set[int], set[int]]] = [(set(), set()) for _ in KINDS]  # captions, images
    for name in SPLITS[1:]:
        kind = next(number for number, kind in enumerate(KINDS) if name in kind)
        able = [
            user
            for user in (crowd.captions >= least[name]).nonzero()[0].tolist()
            if user not in held and not (name in SEEN and user in barred)
        ]
        most = int(min(settings.wanted(name), len(able) * _SHARE[name]))
        most = max(min(most, 1), int(most * share))
        for user in able:
            if most <= 0:
                break
            own = _of_user(crowd, user, name, settings, taken[:kind])
            if own is None:
                continue
            held[user] = own
            most -= 1
            captions, images = taken[kind]
            captions |= set(crowd.table.caption[own.rows].tolist())
            images |= set(crowd.table.images[own.rows].ravel().tolist())
    return held


def _of_user(
    crowd: Crowd,
    user: int,
    name: SplitName,
    settings: SplitSettings,
    yields_to: Sequence[tuple[set[int], set[int]]],
) -> _Held | None:
    """A user's shots and choices for a split, or None where the pairs do not suffice."""
    free = [
        row
        for row in crowd.distinct(user)
        if not any(
            int(crowd.table.caption[row]) in captions
            or not images.isdisjoint(map(int, crowd.table.images[row]))
            for captions, images in yields_to
        )
    ]
    spare = len(free) - (max(LEAST_TRAINED, len(free) // 2) if name in SEEN else 0)
    if spare < SHOTS + 1:
        return None
    sets = SETS if spare > SHOTS * SETS else 1
    choices = settings.calibration_choices if name == "calibration" else settings.choices
    shown = free[: SHOTS * sets]
    return _Held(
        split=name,
        sets=tuple(tuple(shown[at : at + SHOTS]) for at in range(0, len(shown), SHOTS)),
        choices=tuple(free[len(shown) : min(spare, len(shown) + choices)]),
    )


def _groups(
    crowd: Crowd, train: NDArray[np.intp], events: Events | None
) -> dict[int, list[tuple[int, ...]]]:
    """User -> the groups of shots of their training pairs, by row."""
    import numpy as np

    users, starts = np.unique(crowd.user[train], return_index=True)
    ends = [*starts[1:], len(train)]
    if events is not None:
        events.stage("group shots", len(users))
    found = {}
    for user, start, end in zip(users, starts, ends, strict=True):
        found[int(user)] = crowd.grouped(map(int, train[start:end]), SHOTS)
        if events is not None:
            events.advance(1)
    return found


def _laid_out(
    crowd: Crowd,
    held: Mapping[int, _Held],
    train: NDArray[np.intp],
    groups: Mapping[int, Sequence[tuple[int, ...]]],
) -> tuple[NDArray[np.int64], Assignment]:
    """Rows of the crowd's table that are in use, and what they are; captions are added later."""
    import numpy as np

    of_row = np.full(len(crowd.table), -1, np.int32)
    for own in groups.values():
        for number, group in enumerate(own):
            of_row[list(group)] = number
    parts: list[tuple[Sequence[int], int, int, int]] = []  # rows, split, role, group
    for split, name in enumerate(SPLITS[1:], start=1):
        for user in sorted(user for user, own in held.items() if own.split == name):
            for number, shots in enumerate(held[user].sets):
                parts.append((shots, split, ROLES.index("shot-0") + number, number))
            parts.append((held[user].choices, split, ROLES.index("choice"), -1))
    length = [len(train), *(len(rows) for rows, *_ in parts)]
    row = np.concatenate([train, *(np.array(rows, np.int64) for rows, *_ in parts)])
    codes = np.array([(0, 0, -1), *(part[1:] for part in parts)])
    split_of, role_of, group_of = np.repeat(codes, length, axis=0).T
    group_of[: len(train)] = of_row[train]
    return row, Assignment(
        pair=crowd.table.id[row],
        row=crowd.table.row[row],
        user=crowd.table.user[row],
        split=split_of.astype(np.int8),
        role=role_of.astype(np.int8),
        group=group_of.astype(np.int32),
        captions={},
    )
