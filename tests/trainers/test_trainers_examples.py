"""The table of examples: who wins for whom, ties and narrow margins left out and counted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ppdbench.errors import MissingPrerequisite
from trainers.examples import NO_ROW, Examples, Labels, one_hot, table

NAMES = ("clip", "hps")


def labels(name: str, *margins: float) -> Labels:
    return Labels(name, np.array(margins), one_hot(NAMES, name, 2))


def test_each_reward_labels_each_pair_for_its_own_user() -> None:
    made = table([labels("clip", 1, -2, 0), labels("hps", -1, -1, 3)])
    lines = list(zip(made.pair, made.winner, made.user, strict=True))
    assert lines == [(0, 1, 0), (1, 0, 0), (0, 0, 1), (1, 0, 1), (2, 1, 1)]
    assert made.users.tolist() == [[1, 0], [0, 1]]
    assert made.left_out["clip"] == {"tie": 1, "narrow margin": 0}
    assert len(made) == 5


def test_quantile_is_of_each_rewards_own_decided_margins() -> None:
    made = table(
        [labels("clip", 0, 1, -2, 3, 4), labels("hps", 100, 200, -300, 400, 0)],
        margin_quantile=0.5,
    )
    assert made.pair[made.user == 0].tolist() == [3, 4]
    assert made.pair[made.user == 1].tolist() == [2, 3]
    assert made.left_out["hps"] == {"tie": 1, "narrow margin": 2}


def test_one_of_a_users_vectors_is_drawn_and_no_barred_one() -> None:
    table = Examples(
        pair=np.arange(3),
        winner=np.zeros(3, np.int64),
        user=np.array([0, 5, 5]),
        users=np.zeros((9, 2), np.float32),
        names=("people",),
        left_out={},
        vectors=np.array([5, 4, 4]),
        barred=np.array([[3, 0, 1], [NO_ROW, 8, NO_ROW], [NO_ROW] * 3]),
    )
    chance = np.linspace(0, 1, 12, endpoint=False)
    drawn = [table.user_rows(np.full(12, example), chance).tolist() for example in range(3)]
    assert drawn[0] == [2] * 6 + [4] * 6
    assert drawn[1] == [5] * 4 + [6] * 4 + [7] * 4
    assert drawn[2] == [5] * 3 + [6] * 3 + [7] * 3 + [8] * 3
    free = replace(table, barred=None)
    assert free.user_rows(np.array([0, 1]), np.array([0.99, 0.0])).tolist() == [4, 5]


def test_nothing_preferred_is_said() -> None:
    with pytest.raises(MissingPrerequisite, match="clip"):
        table([labels("clip", 0, 0)])
