"""How often a judge says what the labels say, asked about each item in both orders.

Four figures that belong together. all-call: the share of right calls, of every call that came; an
abstention is half right. tie-half: an item is right where both calls are, wrong where neither is,
else half. consistent-only: the share of right items among those with the same pick in both orders,
which a worse judge can raise by keeping only easy ones; so beside it, coverage, the share of items
that it rests on. With no failed call and no abstention all-call and tie-half are one number.

Elsewhere: win rates of a system from the same calls (`order_flip`), one judge against another on
the same items (`paired`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ppdbench.statistics.clusters import Clusters
from ppdbench.statistics.intervals import Interval
from ppdbench.statistics.mirrored import mirrored_mean, mirrored_rate
from ppdbench.statistics.order_flip import NONE_CONSISTENT, OrderTable, order_table


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Shares in [0, 1]; what is unknown is None, and `reason` says why."""

    all_call: Interval
    """Its n counts calls."""
    tie_half: Interval
    """Of items with both calls, like what follows."""
    consistent: Interval
    coverage: Interval
    table: OrderTable
    """With the right image in place of "ours"."""
    n_failed: int
    """Items that lack a call, or both."""
    reason: str | None = None

    def fields(self) -> dict[str, Any]:
        """The figures as files hold them."""
        table = self.table
        found: dict[str, Any] = {
            **self.all_call.fields("all_call"),
            "n_calls": self.all_call.n,
            **self.tie_half.fields("tie_half"),
            **self.consistent.fields("consistent"),
            "n_consistent": table.n_consistent,
            **self.coverage.fields("coverage"),
            "first_pick_bias": table.first_pick_bias,
            "first_pick_bias_p_value": table.first_pick_bias_p_value,
            "first_pick_bias_flagged": table.first_pick_bias_flagged,
            "n": table.n,
            "n_users": self.tie_half.n_clusters,
            "n_failed": self.n_failed,
        }
        if self.reason:
            found["reason"] = self.reason
        elif self.consistent.reason:
            found["consistent_reason"] = self.consistent.reason
        return found


def agreement(
    right_first_order: ArrayLike,
    right_second_order: ArrayLike,
    clusters: Clusters,
    *,
    right_shown_first: ArrayLike | None = None,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Agreement:
    """All-call, tie-half and consistent-only agreement, beside coverage and first-pick bias.

    Args:
        right_first_order: of each item's call in the first order, shape (N,): 1 right, 0 wrong,
            0.5 abstained, NaN failed.
        right_second_order: the same with the images swapped.
        clusters: cluster of each item (the user), shape (N,).
        right_shown_first: whether the first order shows the right image first, shape (N,) of
            booleans; everywhere, if not given. Only the first-pick bias looks at it.
        confidence: two-sided coverage of the intervals.
        resamples: of the bootstrap.
        seed: seeds it.

    Raises:
        ValueError: shapes differ, or a number is none of 0, 0.5, 1 and NaN.
    """
    first = np.asarray(right_first_order, dtype=np.float64)
    second = np.asarray(right_second_order, dtype=np.float64)
    labels = np.asarray(clusters)
    if not first.shape == second.shape == labels.shape:
        raise ValueError(f"calls of {first.shape} and {second.shape}, clusters of {labels.shape}")
    in_order = (
        np.ones(first.shape, dtype=bool)
        if right_shown_first is None
        else np.asarray(right_shown_first, dtype=bool)
    )
    if in_order.shape != first.shape:
        raise ValueError(f"{in_order.shape} places for {first.shape} items")
    calls = np.concatenate([first, second])
    came = ~np.isnan(calls)
    if not np.isin(calls[came], (0.0, 0.5, 1.0)).all():
        raise ValueError("calls are 0, 0.5 or 1, or NaN where they failed")
    both = ~(np.isnan(first) | np.isnan(second))
    table = order_table(
        np.where(in_order, first, second)[both], np.where(in_order, second, first)[both]
    )
    one, two, users = first[both], second[both], labels[both]
    kept = (one == two) & (one != 0.5)

    def mean(values: NDArray[np.float64], of: NDArray[np.generic]) -> Interval:
        return mirrored_mean(
            values, of, bounds=(0.0, 1.0), confidence=confidence, resamples=resamples, seed=seed
        )

    def rate(values: NDArray[np.float64], of: NDArray[np.generic]) -> Interval:
        return mirrored_rate(values, of, confidence=confidence, resamples=resamples, seed=seed)

    consistent = rate(one[kept], users[kept])
    if table.n and not table.n_consistent:
        consistent = replace(consistent, reason=NONE_CONSISTENT)
    return Agreement(
        all_call=mean(calls[came], np.concatenate([labels, labels])[came]),
        tie_half=mean(np.where(kept, one, 0.5), users),
        consistent=consistent,
        coverage=rate(kept.astype(np.float64), users),
        table=table,
        n_failed=int((~both).sum()),
        reason=None if table.n else "no item was judged in both orders",
    )
