"""Whose picture is this? Of pictures for several users, does each like best the one for them?

A group's users all draw the first captions of all of them from the same noise. For each caption
and each user of the group: is the picture drawn for the user the one that the user truly likes
best? Ties share. A model that ignores its user is right once in as many as the group has users.
Intervals resample groups, for a group's users share their pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ppdbench.benchmarks.personal.pictures import Pictures, Tastes
from ppdbench.benchmarks.personal.roles import GROUP, SPLITS, Member, PersonalSplit, Roles
from ppdbench.statistics.intervals import cluster_bootstrap_mean

Test = tuple[float, float]
"""Share of the best place, and rank from 1, of a user's own picture."""


def whose_picture(
    roles: Roles, pictures: Pictures, tastes: Tastes, withheld: str | None
) -> dict[str, Any]:
    """Split -> how often and how high the own picture is liked, beside chance."""
    tests = {
        number: _tests([roles.members[m] for m in group], pictures, tastes)
        for number, group in enumerate(roles.groups)
    }
    splits = [roles.members[group[0]].split for group in roles.groups]
    wanted: list[PersonalSplit | None] = [*SPLITS, None]
    return {
        split or "all": _figures(
            {n: found for n, found in tests.items() if split in (None, splits[n])}, withheld
        )
        for split in wanted
    }


def _tests(group: Sequence[Member], pictures: Pictures, tastes: Tastes) -> list[Test]:
    """One a caption and user; a caption that lacks a picture is left out."""
    found: list[Test] = []
    for owner in group:
        for caption in owner.captions[:1]:
            drawn = [pictures.of(user.own, caption) for user in group]
            whole = [picture for picture in drawn if picture is not None]
            if len(whole) < len(group):
                continue
            for place, user in enumerate(group):
                liked = np.array(tastes.rate(user.user.id, whole))
                own = liked[place]
                best = (own == liked.max()) / int((liked == liked.max()).sum())
                rank = 1 + int((liked > own).sum()) + (int((liked == own).sum()) - 1) / 2
                found.append((float(best), rank))
    return found


def _figures(tests: dict[int, list[Test]], withheld: str | None) -> dict[str, Any]:
    rows = [(number, *test) for number, found in tests.items() for test in found]
    groups = [number for number, _, _ in rows]
    best = cluster_bootstrap_mean([share for _, share, _ in rows], groups, bounds=(0.0, 1.0))
    rank = cluster_bootstrap_mean([rank for _, _, rank in rows], groups, bounds=(1.0, GROUP))
    found: dict[str, Any] = {
        "own_is_best": best.estimate,
        "ci_low": best.ci_low,
        "ci_high": best.ci_high,
        "chance": 1 / GROUP,
        **rank.fields("mean_rank"),
        "mean_rank_chance": (GROUP + 1) / 2,
        "n_groups": best.n_clusters,
        "n": best.n,
    }
    blank = dict.fromkeys(k for k in found if k not in ("chance", "mean_rank_chance", "n_groups"))
    if withheld:
        return {**found, **blank, "n": best.n, "reason": withheld}
    if best.estimate is None:
        reason = f"no group of {GROUP} users has all its pictures"
        return {**found, "reason": reason}
    return found
