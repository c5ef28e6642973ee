"""The promise of splits: an assignment that keeps it passes, and each way to break it is named."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from ppdbench.data.assignment import ROLES, SPLITS, Assignment, Role, SplitName
from ppdbench.data.leakage import Leak, check_leakage


@dataclass
class Table:
    """An assignment under way: a row a pair, each of a caption and two images of its own."""

    rows: list[list[Any]] = field(default_factory=list)

    def add(self, user: int, split: SplitName, role: Role, group: int = -1) -> None:
        n = len(self.rows)
        self.rows.append([n, user, SPLITS.index(split), ROLES.index(role), group, n, 2 * n + 500,
                          2 * n + 501])  # fmt: skip

    def check(self) -> None:
        pair, user, split, role, group, caption, *images = np.array(self.rows).T
        check_leakage(
            Assignment(
                pair=pair,
                row=pair,
                user=user,
                split=split.astype(np.int8),
                role=role.astype(np.int8),
                group=group.astype(np.int32),
                captions={},
            ),
            caption=caption.astype(np.uint64),
            images=np.stack(images, 1).astype(np.uint64),
        )


PAIR, USER, SPLIT, ROLE, GROUP, CAPTION, IMAGE_0, IMAGE_1 = range(8)
TRAIN_1, TRAIN_2, SEEN, UNSEEN, VALIDATION, CALIBRATION = 0, 9, 14, 23, 32, 37
"""First row of each."""


@pytest.fixture
def table() -> Table:
    made = Table()
    for number in range(9):
        made.add(1, "train", "train", number // 4 if number < 8 else -1)
    for _ in range(5):
        made.add(2, "train", "train")
    for user, split in ((2, "seen"), (3, "unseen")):
        for number in range(8):
            made.add(user, split, f"shot-{number // 4}", number // 4)  # type: ignore[arg-type]
        made.add(user, split, "choice")  # type: ignore[arg-type]
    for user, other in ((4, "validation-unseen"), (5, "calibration")):
        for _ in range(4):
            made.add(user, other, "shot-0", 0)  # type: ignore[arg-type]
        made.add(user, other, "choice")  # type: ignore[arg-type]
    return made


def test_a_sound_assignment_passes(table: Table) -> None:
    table.check()
    # One caption may be asked for twice in training, or by two users who are tested.
    table.rows[TRAIN_2][CAPTION] = table.rows[TRAIN_2 + 1][CAPTION]
    table.rows[TRAIN_2][IMAGE_1] = table.rows[TRAIN_2 + 1][IMAGE_0]
    table.rows[SEEN][CAPTION] = table.rows[UNSEEN][CAPTION]
    table.rows[8][CAPTION] = table.rows[0][CAPTION]
    table.check()


@pytest.mark.parametrize(
    ("row", "column", "like", "said"),
    [
        (UNSEEN, PAIR, TRAIN_1, "pair 0 is used twice"),
        (UNSEEN, CAPTION, TRAIN_1, "the caption of pair .* crosses"),
        (SEEN + 8, CAPTION, TRAIN_2, "the caption of pair .* crosses"),
        (UNSEEN, IMAGE_0, TRAIN_1, "the image of pair .* crosses"),
        (VALIDATION, CAPTION, SEEN, "the caption of pair .* crosses"),
        (CALIBRATION, IMAGE_1, UNSEEN, "the image of pair .* crosses"),
        (CALIBRATION, CAPTION, VALIDATION, "the caption of pair .* crosses"),
        (UNSEEN + 8, CAPTION, UNSEEN, "in two of its user's sets of shots and choices"),
        (UNSEEN + 8, IMAGE_0, UNSEEN + 4, "in two of its user's sets of shots and choices"),
        (UNSEEN + 5, IMAGE_1, UNSEEN + 1, "in two of its user's sets of shots and choices"),
        (TRAIN_1 + 1, CAPTION, TRAIN_1 + 6, "twice in its user's groups of shots"),
        (TRAIN_1 + 1, CAPTION, TRAIN_1, "twice in its user's groups of shots"),
        (TRAIN_1 + 1, IMAGE_0, TRAIN_1 + 7, "twice in its user's groups of shots"),
    ],
)
def test_what_is_shared_where_it_must_not_be_is_named(
    row: int, column: int, like: int, said: str, table: Table
) -> None:
    table.rows[row][column] = table.rows[like][column]
    with pytest.raises(Leak, match=f"the splits leak: .*{said}"):
        table.check()


def test_an_image_that_changes_sides_is_still_one_image(table: Table) -> None:
    table.rows[UNSEEN][IMAGE_0] = table.rows[TRAIN_1][IMAGE_1]
    with pytest.raises(Leak, match=r"the image of pair .* crosses"):
        table.check()


@pytest.mark.parametrize(
    ("rows", "user", "said"),
    [
        (range(UNSEEN, UNSEEN + 9), 1, "user 1 of split unseen has training pairs"),
        (range(VALIDATION, VALIDATION + 5), 1, "of split validation-unseen has training pairs"),
        (range(SEEN, SEEN + 9), 9, "user 9 of split seen has no training pair"),
        (range(CALIBRATION, CALIBRATION + 5), 4, "user 4 is in two evaluated splits"),
        (range(TRAIN_2, TRAIN_2 + 1), 6, "has fewer than 5 training pairs"),
    ],
)
def test_users_who_are_where_they_must_not_be_are_named(
    rows: range, user: int, said: str, table: Table
) -> None:
    for row in rows:
        table.rows[row][USER] = user
    with pytest.raises(Leak, match=said):
        table.check()


@pytest.mark.parametrize("row", [TRAIN_1, UNSEEN])
def test_a_group_of_another_size_is_named(row: int, table: Table) -> None:
    table.rows[row][GROUP] = 1
    with pytest.raises(Leak, match="pairs instead of 4"):
        table.check()


def test_it_is_an_error_of_ours_with_a_fix() -> None:
    error = Leak("something")
    assert error.exit_code == 1 and "do not use them" in error.fix
