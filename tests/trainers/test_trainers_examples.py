"""The table of examples: who wins for whom, ties and narrow margins left out and counted."""

from __future__ import annotations

import numpy as np
import pytest

from ppdbench.errors import MissingPrerequisite
from trainers.examples import Labels, one_hot, table

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


def test_nothing_preferred_is_said() -> None:
    with pytest.raises(MissingPrerequisite, match="clip"):
        table([labels("clip", 0, 0)])
