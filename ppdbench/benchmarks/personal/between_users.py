"""Between two users: along a line from one's embedding to the other's, do tastes change hands?

Each pair's first captions are drawn at five places from the same noise. What the first user makes
of the pictures should fall from place to place, what the second makes of them should rise, and each
should like the picture at their own end better than the one at the other's. Pairs are chosen by
hash, of like tastes and unlike ones; they are what is resampled. Elsewhere: the statistics
(`statistics.trend`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ppdbench.benchmarks.personal.pictures import Attributes, Floats, Pictures, Tastes
from ppdbench.benchmarks.personal.roles import (
    SPLITS,
    STEPS,
    Member,
    PersonalSplit,
    Roles,
    between,
)
from ppdbench.statistics.holm import holm
from ppdbench.statistics.intervals import cluster_bootstrap_mean
from ppdbench.statistics.trend import Trend, rising
from ppdbench.statistics.win_rate import outcomes


def between_users(
    roles: Roles, pictures: Pictures, tastes: Tastes, withheld: str | None
) -> dict[str, Any]:
    """Split -> the first user's trend, which should fall, and the second's, which should rise.

    p-values are corrected over both users and all splits (Holm).
    """
    wanted: list[PersonalSplit | None] = [*SPLITS, None]
    found: dict[str, Any] = {
        split or "all": _walks(roles, split, pictures, tastes) for split in wanted
    }
    tested = [f for users in found.values() for f in (users["first"], users["second"])]
    tested = [figures for figures in tested if figures["p_value"] is not None]
    for figures, p in zip(tested, holm([f["p_value"] for f in tested]), strict=True):
        figures["p_holm"] = float(p)
    if withheld:
        kept = ("n", "n_pairs")
        for users in found.values():
            for figures in (users["first"], users["second"]):
                figures |= {k: None for k in figures if k not in kept} | {"reason": withheld}
    return found


def _walks(
    roles: Roles, split: PersonalSplit | None, pictures: Pictures, tastes: Tastes
) -> dict[str, Any]:
    first: list[list[float]] = []
    second: list[list[float]] = []
    pairs: list[int] = []
    for number, pair in enumerate(roles.pairs):
        one, other = (roles.members[member] for member in pair)
        if split not in (None, one.split):
            continue
        for walk in _pictures(one, other, pictures):
            first.append(tastes.rate(one.user.id, walk))
            second.append(tastes.rate(other.user.id, walk))
            pairs.append(number)
    falls, rises = (np.array(walks).reshape(-1, len(STEPS)) for walks in (first, second))
    fall = rising(-falls, pairs)
    return {
        "steps": list(STEPS),
        "first": {**_figures(fall, falls[:, 0], falls[:, -1], pairs), **_turned(fall)},
        "second": _figures(rising(rises, pairs), rises[:, -1], rises[:, 0], pairs),
    }


def _pictures(one: Member, other: Member, pictures: Pictures) -> list[list[Attributes]]:
    """The walks of a pair that have all their pictures."""
    found = []
    for owner in (one, other):
        for caption in owner.captions[:1]:
            walk = [pictures.of(between(one, other, step), caption) for step in STEPS]
            whole = [picture for picture in walk if picture is not None]
            if len(whole) == len(STEPS):
                found.append(whole)
    return found


def _figures(trend: Trend, own: Floats, other: Floats, pairs: Sequence[int]) -> dict[str, Any]:
    """A user's trend, and how often the picture at their own end (N,) beats the other end's."""
    ends = cluster_bootstrap_mean(outcomes(own, other), pairs, bounds=(0.0, 1.0))
    found = {
        "spearman": trend.spearman,
        "ci_low": trend.ci_low,
        "ci_high": trend.ci_high,
        "violations": trend.violations,
        **ends.fields("own_end_win_rate"),
        "p_value": trend.p_value,
        "p_holm": None,
        "test": "Page's L, one block a pair",
        "n": trend.n,
        "n_pairs": trend.n_clusters,
    }
    return {**found, "reason": trend.reason} if trend.reason else found


def _turned(trend: Trend) -> dict[str, float | None]:
    """The correlation of what was negated to be tested, as it is."""
    low, high = trend.ci_high, trend.ci_low
    return {
        "spearman": None if trend.spearman is None else -trend.spearman,
        "ci_low": None if low is None else -low,
        "ci_high": None if high is None else -high,
    }
