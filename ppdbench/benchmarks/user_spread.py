"""How users differ in what they gain: quantiles, who is worse off, minority tastes.

A mean over users hides those whom a model serves badly; here each user is one observation. By
dominant attribute it is described, not tested: there are many and each has few users.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ppdbench.benchmarks.pictures import Floats
from ppdbench.statistics.clusters import cluster_totals
from ppdbench.statistics.intervals import wilson
from ppdbench.statistics.win_rate import outcomes, win_rate

LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9)


def user_spread(own: Floats, opponent: Floats, users: Sequence[int]) -> dict[str, Any]:
    """Quantiles over users of win rate and utility gain, and the share who are worse off.

    Args:
        own: what owners make of their own images, (N,), finite.
        opponent: of the opponent's, (N,), finite.
        users: owner of each case, (N,).
    """
    totals = cluster_totals(users, outcomes(own, opponent), own - opponent)
    rates, gains = totals[:, 0] / totals[:, -1], totals[:, 1] / totals[:, -1]
    worse = wilson(int((gains < 0).sum()), len(gains))
    return {
        "quantiles": {"win_rate": _quantiles(rates), "utility_gain": _quantiles(gains)},
        "worse_off": worse.estimate,
        "worse_off_ci_low": worse.ci_low,
        "worse_off_ci_high": worse.ci_high,
    }


def by_dominant(
    own: Floats, opponent: Floats, users: Sequence[int], dominant: Mapping[int, str]
) -> dict[str, Any]:
    """Dominant attribute, with its sign -> win rate with interval, users and cases.

    Args:
        own: as for `user_spread`, like the next two.
        opponent: the opponent's.
        users: owner of each case.
        dominant: each owner's attribute.
    """
    labels = np.array([dominant[user] for user in users])
    found: dict[str, Any] = {}
    for name in sorted(set(labels.tolist()), key=lambda name: (name[1:], name)):
        chosen = labels == name
        rate = win_rate(own[chosen], opponent[chosen], np.asarray(users)[chosen])
        found[name] = {
            "win_rate": rate.rate,
            "ci_low": rate.ci_low,
            "ci_high": rate.ci_high,
            "n_users": rate.n_clusters,
            "n": rate.n,
        }
    return found


def _quantiles(values: Floats) -> dict[str, float]:
    """Level in percent -> quantile."""
    if not len(values):
        return {}
    found = np.quantile(values, LEVELS)
    return {f"{100 * level:g}": float(value) for level, value in zip(LEVELS, found, strict=True)}
