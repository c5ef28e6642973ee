"""Benchmark `users` of two runs: whose encoder tells users apart more often?

Each run stands with its own encoder, the first it names, by the users' own captions and by common
ones. Top-K accuracies are paired by test group, users are the sample; each K is a family of its own
for Holm, over all pairs of runs and kinds of captions. Elsewhere: one run alone (`users.figures`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ppdbench.benchmarks.compare.cells import (
    NOTHING_SHARED,
    Compared,
    blank,
    difference,
    draws,
    leaves,
    settle,
)
from ppdbench.benchmarks.compare.runs import MeasuredRun, RunPair
from ppdbench.benchmarks.compare.unlike import unlike_users
from ppdbench.benchmarks.users.figures import TOPS
from ppdbench.benchmarks.users.records import Found, Kind, Measured, read_users
from ppdbench.statistics.top_k import Ranks, hits

NAME = "users"
KINDS: tuple[Kind, ...] = ("topics", "common")
FACTS = {"n_users": "users to tell apart", "shots": "pairs a group"}
"""What both classifiers must have had alike."""

Group = tuple[str, int]
"""User and the number of the test group."""


def compare_users(runs: Sequence[MeasuredRun], pairs: Sequence[RunPair]) -> Compared:
    """Pair -> kind of captions -> top1, top5, top16: A's accuracy minus B's."""
    found = Compared()
    known = {run.letter: _encoder(run) for run in runs}
    resamples = draws(len(pairs) * len(KINDS))
    for pair in pairs:
        (name, ours), (other, theirs) = known[pair.a.letter], known[pair.b.letter]
        if reason := unlike_users(pair) or _same_encoder(pair, name, other):
            found.leave_out(NAME, pair, reason)
            continue
        cells = {kind: _cells(pair, ours.get(kind), theirs.get(kind), resamples) for kind in KINDS}
        told = [str(each["reason"]) for each in cells.values() if "reason" in each]
        if len(told) == len(cells):
            found.leave_out(NAME, pair, "; ".join(dict.fromkeys(told)))
            continue
        found.put(NAME, pair, {"a_encoder": name, "b_encoder": other, **cells})
    for k in TOPS:
        settle(leaves(pairs, found.figures.get(NAME, {}), f"top{k}"))
    return found


def _encoder(run: MeasuredRun) -> tuple[str, Mapping[Kind, Found]]:
    """A run's own encoder, which its spec names first, and what was measured of it."""
    there = read_users(run.path)
    named = [name for name in run.spec.get("encoders") or {} if name in there]
    name = next(iter([*named, *there]), "")
    found: Any = there.get(name, {})
    return name, found


def _same_encoder(pair: RunPair, name: str, other: str) -> str | None:
    revisions = [
        (run.spec.get("encoders") or {}).get(encoder)
        for run, encoder in ((pair.a, name), (pair.b, other))
    ]
    if name == other and revisions[0] == revisions[1]:
        return f"both tell users apart by {name}, of one revision: there is nothing to compare"
    return None


def _cells(
    pair: RunPair, ours: Found | None, theirs: Found | None, resamples: int
) -> dict[str, Any]:
    """Top-K of one kind of captions; where that cannot be compared, nulls and the reason."""
    a, b = (each.variants.get("own") if each else None for each in (ours, theirs))
    reason = _unlike(pair, a, b)
    if reason or a is None or b is None:
        reason = reason or NOTHING_SHARED
        return {**{f"top{k}": blank("difference", reason) for k in TOPS}, "reason": reason}
    found: dict[str, Any] = {}
    for k in TOPS:
        one, other = _hits(a, k), _hits(b, k)
        shared = sorted(one.keys() & other.keys())
        expected = len({_key(item) for each in (a, b) for item in each.items})
        found[f"top{k}"] = difference(
            np.array([one[group] for group in shared]),
            np.array([other[group] for group in shared]),
            [user for user, _ in shared],
            n_expected=expected,
            resamples=resamples,
        )
    return found


def _unlike(pair: RunPair, a: Measured | None, b: Measured | None) -> str | None:
    """Why two classifiers cannot be compared; None where they can."""
    for run, measured in ((pair.a, a), (pair.b, b)):
        if measured is None:
            return f"{run.label} did not measure it"
    for name, meaning in FACTS.items():
        ours, theirs = (each.about[name] if each else None for each in (a, b))
        if ours != theirs:
            return f"other {meaning}: {ours} in {pair.a.label} and {theirs} in {pair.b.label}"
    return None


def _hits(measured: Measured, k: int) -> dict[Group, float]:
    """Test group -> whether the right user is among the K best; between where equals straddle."""
    there = [item for item in measured.items if item["better"] is not None]
    ranks = Ranks(
        better=np.array([item["better"] for item in there], dtype=np.int64),
        tied=np.array([item["tied"] for item in there], dtype=np.int64),
    )
    return dict(zip(map(_key, there), hits(ranks, k).tolist(), strict=True))


def _key(item: Mapping[str, Any]) -> Group:
    return str(item["user"]), int(item["group"])
