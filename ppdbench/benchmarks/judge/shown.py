"""Some verdicts for a page: what the judge was shown, what it said in both orders, what was true.

Chosen by hash, some of each outcome, never by eye. Elsewhere: the page (`reports.judge.section`).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ppdbench.benchmarks.judge.calls import ORDERS, Pair, call_id
from ppdbench.benchmarks.judge.figures import PICKED, truly
from ppdbench.benchmarks.judge.job import JudgeJob
from ppdbench.benchmarks.judge.questions import QuestionMaker
from ppdbench.benchmarks.personal.pictures import Tastes
from ppdbench.runs.directory import RunDirectory
from ppdbench.runs.images import ImageStore
from ppdbench.statistics.order_flip import comparison_scores

EACH = 2
"""Verdicts of each outcome: for the model, for the baseline, turned round by the swap."""
SHOTS = "shots"
"""Folder of the shots' images."""


def shown_verdicts(
    run: RunDirectory,
    job: JudgeJob,
    pairs: Sequence[Pair],
    said: Mapping[str, Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """The verdicts, with their shots' images kept in the run.

    Args:
        run: where images are.
        job: what was judged.
        pairs: all comparisons.
        said: call id -> its record.
    """
    own = [pair for pair in pairs if pair.comparison.arm == job.protocol.headline]
    own.sort(key=_place)
    chosen: dict[float, list[Pair]] = {}
    for pair in own:
        both = [said.get(call_id(pair.comparison, order)) for order in ORDERS]
        if None in both:
            continue
        found = chosen.setdefault(_outcome([record for record in both if record]), [])
        if len(found) < EACH:
            found.append(pair)
    make = QuestionMaker(job.people, run.images.get)
    store = ImageStore(run.path / SHOTS)
    tastes = Tastes(job.people.truth) if job.people.truth else None
    return [
        _shown(pair, outcome, said, make, store, tastes)
        for outcome in sorted(chosen, reverse=True)
        for pair in chosen[outcome]
    ]


def all_shown(run: RunDirectory, summary: Mapping[str, Any]) -> bool:
    """Whether every image of shots that a summary shows is still in the run."""
    return all(
        (run.path / shot[side]).is_file()
        for verdict in summary["benchmarks"].get("judge_shown", ())
        for shot in verdict["shots"]
        for side in ("preferred", "dispreferred")
    )


def _place(pair: Pair) -> bytes:
    """Decided by the user's place alone: the same under any names."""
    owner, caption = pair.comparison.owner, pair.comparison.caption
    number = owner.captions.index(caption)
    text = f"shown/{owner.number}/{number}/{pair.comparison.sample}"
    return hashlib.sha256(text.encode()).digest()


def _outcome(both: Sequence[Mapping[str, Any]]) -> float:
    """The model's share, tie-half."""
    first, second = (PICKED[record["choice"]] for record in both)
    return float(comparison_scores([first], [1 - second])[0])


def _shown(
    pair: Pair,
    outcome: float,
    said: Mapping[str, Mapping[str, Any]],
    make: QuestionMaker,
    store: ImageStore,
    tastes: Tastes | None,
) -> dict[str, Any]:
    comparison = pair.comparison
    truth = truly(pair, tastes)
    return {
        "user": comparison.owner.own.id,
        "split": comparison.owner.split,
        "caption": comparison.caption.text,
        "caption_id": comparison.caption.id,
        "shots": [
            {
                "caption": shot.caption,
                "preferred": f"{SHOTS}/{store.put(shot.preferred)}.png",
                "dispreferred": f"{SHOTS}/{store.put(shot.dispreferred)}.png",
            }
            for shot in make.shots(comparison.shots)
        ],
        "model_image": pair.ours.image if pair.ours else None,
        "baseline_image": pair.theirs.image if pair.theirs else None,
        "verdicts": [_verdict(order, said[call_id(comparison, order)]) for order in ORDERS],
        "outcome": outcome,
        "truth": None if math.isnan(truth) else truth,
    }


def _verdict(order: int, record: Mapping[str, Any]) -> dict[str, Any]:
    odds = record.get("log_odds")
    return {
        "order": order,
        "choice": record["choice"],
        "p_first": None if odds is None else 1 / (1 + math.exp(-max(-700.0, min(700.0, odds)))),
        "reason": record["reason"],
        "status": record["status"],
    }
