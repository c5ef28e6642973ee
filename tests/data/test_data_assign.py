"""Whatever the crowd: nothing leaks, everything is counted, and order does not matter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ppdbench.data.assign import assign
from ppdbench.data.assignment import SPLITS, Assignment, SplitSettings, Step
from ppdbench.data.pair_table import Met, PairTable


def a_crowd(seed: int) -> tuple[PairTable, SplitSettings]:
    """Few users or many, uneven, sharing captions and images to any degree; settings at random."""
    rng = np.random.default_rng(seed)
    n, users = int(rng.integers(300, 1500)), int(rng.integers(2, 80))
    user = np.minimum(rng.geometric(min(1.0, 3 / users), n) - 1, users - 1)
    caption = rng.integers(0, rng.integers(3, 800), n)
    if rng.random() < 0.7:  # most captions are their user's own
        caption = caption + 1000 * (1 + user) * (rng.random(n) < 0.9)
    images = np.arange(2 * n).reshape(n, 2) - 2 * (rng.random((n, 1)) < rng.random())
    table = PairTable(
        id=rng.permutation(n).astype(np.int64),
        row=np.arange(n),
        user=user.astype(np.int64),
        caption=caption.astype(np.uint64),
        images=images.astype(np.uint64),
    )
    sizes: Any = {name.replace("-", "_"): int(rng.integers(0, 20)) for name in SPLITS[1:]}
    return table, SplitSettings(**sizes, max_pairs_per_user=int(rng.integers(5, 200)))


def split(table: PairTable, settings: SplitSettings) -> tuple[Assignment, tuple[Step, ...]]:
    def captions(rows: NDArray[Any]) -> Mapping[int, str]:
        return {int(row): "a caption" for row in rows}

    met = Met(rows=len(table), users=1, left_out=Counter(), by_uid=True)
    return assign(table, met, settings, captions)


@pytest.mark.parametrize("seed", range(25))
def test_any_crowd_is_split_without_a_leak(seed: int) -> None:
    """`assign` holds its own result against `leakage`; here it must not raise."""
    table, settings = a_crowd(seed)
    made, funnel = split(table, settings)
    for before, after in pairwise(funnel):
        assert before.pairs - sum(after.left_out.values()) == after.pairs
    assert funnel[-1].pairs == len(made)
    for name in SPLITS[1:]:
        assert len(np.unique(made.user[made.of(name)])) <= settings.wanted(name)
    other = np.random.default_rng(seed).permutation(len(table))
    assert split(table.take(other), settings)[0].sha256 == made.sha256


def test_every_split_is_met_above() -> None:
    """None of the splits is always empty above."""
    users = Counter[str]()
    for seed in range(25):
        made, _ = split(*a_crowd(seed))
        users += Counter({name: len(np.unique(made.user[made.of(name)])) for name in SPLITS})
    assert all(users[name] > 10 for name in SPLITS), users


def test_where_all_pairs_share_an_image_nobody_is_evaluated() -> None:
    table, settings = a_crowd(1)
    same = PairTable(
        **{name: getattr(table, name) for name in ("id", "row", "user", "caption")},
        images=np.stack([np.zeros(len(table)), np.arange(1, len(table) + 1)], 1).astype(np.uint64),
    )
    made, _ = split(same, settings)
    assert len(made) and not made.split.any() and (made.group == -1).all()
