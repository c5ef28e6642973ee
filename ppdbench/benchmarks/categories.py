"""Win rates over the baseline by the captions' category, as PartiPrompts' are reported.

Described, not tested: a category has few captions, and there are many of them. Elsewhere: the
figures over all captions (`rewards`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ppdbench.benchmarks.cell import cell
from ppdbench.benchmarks.rows import Row


def by_category(
    model: Row,
    baseline: Row,
    rewards: Sequence[str],
    category_of: Mapping[str, str],
    withheld: str | None,
) -> dict[str, dict[str, Any]]:
    """Category -> reward -> win rate with interval and n; in the order of the captions.

    Args:
        model: each reward counts on its own user's images, or on the only ones.
        baseline: whom the win rates are over.
        rewards: names of the rewards.
        category_of: caption id -> category.
        withheld: why no figure is given, if so.
    """
    return {
        category: {
            reward: cell(
                {
                    key: result
                    for key, result in model.for_reward(reward).items()
                    if category_of.get(key[0]) == category
                },
                baseline,
                reward,
                withheld,
            )
            for reward in rewards
        }
        for category in dict.fromkeys(category_of.values())
    }
