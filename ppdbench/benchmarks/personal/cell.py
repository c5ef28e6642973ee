"""One cell of benchmark `personal`: a model over an opponent, by the users of a split.

Total gain = population gain + personal gain, on the cases that have all three images. The
population gain is what a picture drawn for somebody else wins beyond one half; the personal gain is
what one's own picture wins beyond that. A mean over users hides those whom a model serves badly, so
quantiles and the share who are worse off take each user as one observation. By dominant attribute
it is described, not tested: there are many and each has few users. Intervals and tests have users
as the sample. Elsewhere: whose pictures these are, and against whom (`personal.figures`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppdbench.benchmarks.personal.pictures import Floats
from ppdbench.statistics.clusters import cluster_totals
from ppdbench.statistics.intervals import cluster_bootstrap_mean, wilson
from ppdbench.statistics.permutation import sign_flip_test
from ppdbench.statistics.win_rate import WinRate, outcomes, win_rate

LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9)
"""Of the quantiles over users."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Utilities:
    """What captions' owners make of the pictures for them, (N,) each; NaN where there is none."""

    own: Floats
    """Of the model's pictures for the owners."""
    shuffled: Floats
    """Of its pictures for another user."""
    nobody: Floats
    opponent: Floats
    users: NDArray[np.int64]
    """The owners' numbers."""


def personal_cell(values: Utilities, dominant: Mapping[int, str]) -> dict[str, Any]:
    """The figures; `p_holm` and `personal_gain_p_holm` are left to who knows the family.

    Args:
        values: of every case of the cell.
        dominant: owner's number -> the attribute that the owner cares most for.
    """
    rate = _rate(values.own, values)
    there = np.isfinite(values.own) & np.isfinite(values.opponent)
    own, opponent, users = values.own[there], values.opponent[there], values.users[there]
    cell: dict[str, Any] = {
        "win_rate": rate.rate,
        "ci_low": rate.ci_low,
        "ci_high": rate.ci_high,
        "n_users": rate.n_clusters,
        "n": rate.n,
        "n_expected": len(values.users),
        "p_value": rate.p_value,
        "p_holm": None,
        **_control("shuffled", _rate(values.shuffled, values)),
        **_control("null", _rate(values.nobody, values)),
        **gain_parts(values),
        "personal_gain_p_holm": None,
        **cluster_bootstrap_mean(own - opponent, users).fields("utility_gain"),
        **user_spread(own, opponent, users),
        "dominant": by_dominant(own, opponent, users, dominant),
        "test": rate.test,
        "interval": rate.interval,
    }
    return {**cell, "reason": rate.reason} if rate.reason else cell


def gain_parts(values: Utilities) -> dict[str, Any]:
    """Gains over an opponent, each with interval; null where the images for it are missing."""
    whole = np.isfinite(values.own) & np.isfinite(values.shuffled) & np.isfinite(values.opponent)
    users = values.users[whole]
    mine = outcomes(values.own[whole], values.opponent[whole])
    other = outcomes(values.shuffled[whole], values.opponent[whole])
    there = np.isfinite(values.nobody) & np.isfinite(values.opponent)
    nobody = outcomes(values.nobody[there], values.opponent[there])
    half = (-0.5, 0.5)
    total = cluster_bootstrap_mean(mine - 0.5, users, bounds=half)
    population = cluster_bootstrap_mean(other - 0.5, users, bounds=half)
    personal = cluster_bootstrap_mean(mine - other, users, bounds=(-1.0, 1.0))
    null = cluster_bootstrap_mean(nobody - 0.5, values.users[there], bounds=half)
    found = {
        **total.fields("total_gain"),
        **population.fields("population_gain"),
        **personal.fields("personal_gain"),
        **null.fields("null_gain"),
        "personal_gain_p_value": None,
    }
    if population.estimate is not None and personal.estimate is not None:
        found["total_gain"] = population.estimate + personal.estimate  # to the last bit
        flips = sign_flip_test(cluster_totals(users, mine - other)[:, 0])
        found["personal_gain_p_value"] = flips.p_value
    return found


def user_spread(own: Floats, opponent: Floats, users: NDArray[np.int64]) -> dict[str, Any]:
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
        **worse.fields("worse_off"),
    }


def by_dominant(
    own: Floats, opponent: Floats, users: NDArray[np.int64], dominant: Mapping[int, str]
) -> dict[str, Any]:
    """Dominant attribute, with its sign -> win rate with interval, users and cases.

    Args:
        own: as for `user_spread`, like the next two.
        opponent: the opponent's.
        users: owner of each case.
        dominant: each owner's attribute.
    """
    labels = np.array([dominant[user] for user in users.tolist()])
    found: dict[str, Any] = {}
    for name in sorted(set(labels.tolist()), key=lambda name: (name[1:], name)):
        chosen = labels == name
        rate = win_rate(own[chosen], opponent[chosen], users[chosen])
        found[name] = {
            "win_rate": rate.rate,
            "ci_low": rate.ci_low,
            "ci_high": rate.ci_high,
            "n_users": rate.n_clusters,
            "n": rate.n,
        }
    return found


def _rate(ours: Floats, values: Utilities) -> WinRate:
    """Over the opponent, where both have a picture."""
    there = np.isfinite(ours) & np.isfinite(values.opponent)
    return win_rate(ours[there], values.opponent[there], values.users[there])


def _control(name: str, rate: WinRate) -> dict[str, float | None]:
    return {
        f"{name}_win_rate": rate.rate,
        f"{name}_ci_low": rate.ci_low,
        f"{name}_ci_high": rate.ci_high,
    }


def _quantiles(values: Floats) -> dict[str, float]:
    """Level in percent -> quantile."""
    if not len(values):
        return {}
    found = np.quantile(values, LEVELS)
    return {f"{100 * level:g}": float(value) for level, value in zip(LEVELS, found, strict=True)}
