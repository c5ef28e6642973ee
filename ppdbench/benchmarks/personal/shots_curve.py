"""The shots curve: how the win rate over the baseline grows with what is known of a user.

0 shots are nobody. Each point is also held against 0 shots on the same cases, so that a rise is
told from a lucky pair. Intervals resample users.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ppdbench.benchmarks.personal.pictures import Pictures, Tastes, cases, users_of, utilities
from ppdbench.benchmarks.personal.roles import SPLITS, PersonalSplit, Roles
from ppdbench.statistics.intervals import cluster_bootstrap_mean
from ppdbench.statistics.win_rate import outcomes, win_rate


def shots_curve(
    roles: Roles,
    pictures: Pictures,
    baseline: Pictures,
    tastes: Tastes,
    withheld: str | None,
) -> dict[str, list[dict[str, Any]]]:
    """Split -> a point a number of shots, in ascending order."""
    wanted: list[PersonalSplit | None] = [*SPLITS, None]
    return {
        split or "all": [
            _point(count, roles, split, pictures, baseline, tastes, withheld)
            for count in roles.shots
        ]
        for split in wanted
    }


def _point(
    count: int,
    roles: Roles,
    split: PersonalSplit | None,
    pictures: Pictures,
    baseline: Pictures,
    tastes: Tastes,
    withheld: str | None,
) -> dict[str, Any]:
    found = cases(roles, split)
    ours = utilities(
        found, tastes, lambda c: pictures.of(c.owner.by_shots(count), c.caption, c.sample)
    )
    zero = utilities(found, tastes, lambda c: pictures.of(None, c.caption, c.sample))
    base = utilities(found, tastes, baseline.own)
    users = users_of(found)
    there = np.isfinite(ours) & np.isfinite(base)
    rate = win_rate(ours[there], base[there], users[there])
    both = there & np.isfinite(zero)
    rise = cluster_bootstrap_mean(
        outcomes(ours[both], base[both]) - outcomes(zero[both], base[both]),
        users[both],
        bounds=(-1.0, 1.0),
    )
    point: dict[str, Any] = {
        "shots": count,
        "win_rate": rate.rate,
        "ci_low": rate.ci_low,
        "ci_high": rate.ci_high,
        "n": rate.n,
        "n_users": rate.n_clusters,
        **rise.fields("over_zero"),
    }
    if withheld:
        blank = [key for key in point if key not in ("shots", "n", "n_users")]
        return {**point, **dict.fromkeys(blank), "reason": withheld}
    return {**point, "reason": rate.reason} if rate.reason else point
