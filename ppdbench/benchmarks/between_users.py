"""Between two users: along a line from one's embedding to the other's, do tastes change hands?

Each pair's first captions are drawn at five places from the same noise. What the first user makes
of the pictures should fall from place to place, what the second makes of them should rise. Pairs
are chosen by hash, of like tastes and unlike ones. Elsewhere: the statistics (`statistics.trend`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ppdbench.benchmarks.assignment import (
    SPLITS,
    STEPS,
    Assignment,
    Member,
    PersonalSplit,
    between,
)
from ppdbench.benchmarks.pictures import Pictures
from ppdbench.benchmarks.tastes import Tastes
from ppdbench.statistics.holm import holm
from ppdbench.statistics.trend import Trend, rising


def between_users(
    assignment: Assignment, pictures: Pictures, tastes: Tastes, withheld: str | None
) -> dict[str, Any]:
    """Split -> the first user's trend, which should fall, and the second's, which should rise.

    p-values are corrected over both users and all splits (Holm).
    """
    wanted: list[PersonalSplit | None] = [*SPLITS, None]
    found: dict[str, Any] = {
        split or "all": _walks(assignment, split, pictures, tastes) for split in wanted
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
    assignment: Assignment, split: PersonalSplit | None, pictures: Pictures, tastes: Tastes
) -> dict[str, Any]:
    first: list[list[float]] = []
    second: list[list[float]] = []
    pairs: list[int] = []
    for number, pair in enumerate(assignment.pairs):
        one, other = (assignment.members[member] for member in pair)
        if split not in (None, one.split):
            continue
        for walk in _pictures(one, other, pictures):
            first.append(tastes.rate(one.user.id, walk))
            second.append(tastes.rate(other.user.id, walk))
            pairs.append(number)
    shape = (-1, len(STEPS))
    falls = rising(-np.array(first).reshape(shape), pairs)
    return {
        "steps": list(STEPS),
        "first": {**_figures(falls), **_turned(falls)},
        "second": _figures(rising(np.array(second).reshape(shape), pairs)),
    }


def _pictures(one: Member, other: Member, pictures: Pictures) -> list[list[tuple[float, ...]]]:
    """The walks of a pair that have all their pictures."""
    found = []
    for owner in (one, other):
        for caption in owner.captions[:1]:
            walk = [pictures.of(between(one, other, step), caption) for step in STEPS]
            whole = [picture for picture in walk if picture is not None]
            if len(whole) == len(STEPS):
                found.append(whole)
    return found


def _figures(trend: Trend) -> dict[str, Any]:
    found = {
        "spearman": trend.spearman,
        "ci_low": trend.ci_low,
        "ci_high": trend.ci_high,
        "violations": trend.violations,
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
