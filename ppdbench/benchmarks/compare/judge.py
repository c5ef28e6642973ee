"""Benchmark `judge` of two runs: over one baseline, whose pictures does one judge pick more often?

Both runs asked the same judge, with the same shots, whether a user would pick the model's picture
or the baseline's; their tie-half rates are compared comparison by comparison. The two models'
pictures were never shown beside each other, so there is no head to head. Consistent-only rates are
not compared: each run's rests on comparisons of its own choice. Users are the sample; one family
for Holm over all pairs of runs, splits and kinds of shots. Elsewhere: one run alone
(`judge.figures`).
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
    settle,
)
from ppdbench.benchmarks.compare.fidelity import WHOLE
from ppdbench.benchmarks.compare.runs import MeasuredRun, RunPair
from ppdbench.benchmarks.compare.unlike import cannot_serve, unlike_baselines, unlike_users
from ppdbench.benchmarks.judge.calls import ORDERS, SWAP
from ppdbench.benchmarks.judge.figures import PICKED
from ppdbench.benchmarks.personal.roles import SPLITS
from ppdbench.judges.on_record import FILE
from ppdbench.runs.records import read_records
from ppdbench.runs.results import Result
from ppdbench.statistics.order_flip import comparison_scores

NAME = "judge"
ARMS = ("shared", "disjoint")
SETTINGS = {
    "judge.name": "another judge",
    "judge.revision": "another judge, prompt or setting of it",
    "shots": "another number of shots",
}
"""What of a spec decides what a verdict is worth, and what it means where it differs."""

Place = tuple[str, str, int, int]
"""User, caption id, sample and seed."""
Drawn = Mapping[tuple[str, int], Result]
"""Caption id and sample -> what was drawn for the caption's owner."""


def compare_judge(runs: Sequence[MeasuredRun], pairs: Sequence[RunPair]) -> Compared:
    """Pair -> split -> kind of shots -> A's tie-half rate minus B's."""
    found = Compared()
    known = {run.letter: _Verdicts(run) for run in runs}
    resamples = draws(len(pairs) * len(ARMS) * (len(SPLITS) + 1))
    for pair in pairs:
        if reason := unlike_users(pair) or unlike_baselines(pair) or _unlike_judges(pair):
            found.leave_out(NAME, pair, reason)
            continue
        ours, theirs = known[pair.a.letter], known[pair.b.letter]
        splits = [s for s in SPLITS if s in ours.splits | theirs.splits]
        cells = {
            split: {arm: _cell(pair, ours, theirs, split, arm, resamples) for arm in ARMS}
            for split in (*splits, *([WHOLE] if len(splits) > 1 else []))
        }
        every = [cell for arms in cells.values() for cell in arms.values()]
        if not any(cell["n"] for cell in every):
            told = dict.fromkeys(str(cell["reason"]) for cell in every)
            found.leave_out(NAME, pair, "; ".join(told))
            continue
        found.put(NAME, pair, cells)
    settle(
        (pair, cell)
        for pair in pairs
        for arms in found.figures.get(NAME, {}).get(pair.key, {}).values()
        for cell in arms.values()
    )
    return found


class _Verdicts:
    """Tie-half scores of a run's comparisons; None where an order has no verdict."""

    def __init__(self, run: MeasuredRun) -> None:
        last: dict[str, Mapping[str, Any]] = {}
        if run.benchmark(NAME):
            last = {record["call"]: record for record in read_records(run.path / FILE)}
        ours, theirs = (_drawn(run, name) for name in (run.model, run.baseline))
        orders: dict[tuple[str, str, Place], dict[int, float | None]] = {}
        for record in last.values():
            arm, key = record["arm"], (record["caption_id"], record["sample"])
            mine, other = ours.get(key), theirs.get(key)
            if arm not in ARMS or mine is None or other is None:
                continue
            shown = [mine.image, other.image] if record["order"] == 0 else [other.image, mine.image]
            # As the run itself counts: only a verdict about the pictures of now.
            stands = record["status"] == "ok" and list(record["images"]) == shown
            place = (record["user"], *key, mine.seed)
            both = orders.setdefault((arm, record["split"], place), {})
            both[record["order"]] = PICKED[record["choice"]] if stands else None
        self.splits = {split for _, split, _ in orders}
        self.scores: dict[tuple[str, str], dict[Place, float | None]] = {}
        for (arm, split, place), both in orders.items():
            for name in (split, WHOLE):
                self.scores.setdefault((arm, name), {})[place] = _tie_half(both)


def _drawn(run: MeasuredRun, generator: str) -> Drawn:
    """A generator's pictures for the captions' owners, by caption and sample."""
    row = run.row(generator, "judge")
    return {(r.caption_id, r.sample): r for r in row.results if r.arm != SWAP}


def _tie_half(both: Mapping[int, float | None]) -> float | None:
    """1 where the model's picture was picked in both orders, 0 where the other's was, else 1/2."""
    picked = [both.get(order) for order in ORDERS]
    if picked[0] is None or picked[1] is None:
        return None
    return float(comparison_scores([picked[0]], [1 - picked[1]])[0])


def _cell(
    pair: RunPair, ours: _Verdicts, theirs: _Verdicts, split: str, arm: str, resamples: int
) -> dict[str, Any]:
    one, other = (each.scores.get((arm, split), {}) for each in (ours, theirs))
    expected = len(one.keys() | other.keys())
    asked = [run.label for run, each in ((pair.a, one), (pair.b, other)) if not each]
    reason = cannot_serve(pair, split)
    if reason is None and asked:
        reason = f"{' and '.join(asked)} asked nothing with {arm} shots"
    a = {place: score for place, score in one.items() if score is not None}
    b = {place: score for place, score in other.items() if score is not None}
    shared = sorted(a.keys() & b.keys())
    if reason or not shared:
        return blank("difference", reason or NOTHING_SHARED, n_expected=expected)
    return difference(
        np.array([a[place] for place in shared]),
        np.array([b[place] for place in shared]),
        [user for user, *_ in shared],
        n_expected=expected,
        resamples=resamples,
    )


def _unlike_judges(pair: RunPair) -> str | None:
    """Why verdicts of the two runs cannot be held against each other; None where they can."""
    ours, theirs = (_settings(run) for run in (pair.a, pair.b))
    for name, meaning in SETTINGS.items():
        if ours[name] != theirs[name]:
            values = [str(each[name])[:12] for each in (ours, theirs)]
            return (
                f"{meaning}: {name} is {values[0]} in {pair.a.label} and {values[1]} in "
                f"{pair.b.label}"
            )
    return None


def _settings(run: MeasuredRun) -> dict[str, Any]:
    judge = run.spec.get("judge") or {}
    return {
        "judge.name": judge.get("name"),
        "judge.revision": judge.get("revision"),
        "shots": run.spec.get("shots"),
    }
