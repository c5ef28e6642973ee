"""What judging would take, before anything is drawn or asked: calls, images, tokens, money.

Tokens are estimates: the judge's own bound for the shots of one user and candidates of the suite's
size, each call tried once. What the cache, or a run beside this one, would save is not known yet.
Elsewhere: the calls (`judge.plan`), estimates (`judges`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ppdbench.benchmarks.generate import last_records
from ppdbench.benchmarks.judge.calls import ORDERS, call_id
from ppdbench.benchmarks.judge.job import JudgeJob, JudgeRequest, plan_job
from ppdbench.judges.on_record import FILE
from ppdbench.protocols import Estimate, Estimating, Events, Judge, Question
from ppdbench.runs.directory import place
from ppdbench.runs.records import read_records
from ppdbench.users.contexts import user_context


def judge_cost(request: JudgeRequest, *, runs: Path, events: Events) -> dict[str, Any]:
    """What a run would still take: nothing is drawn, asked or written.

    Args:
        request: what is asked for.
        runs: folder of all runs; what is done there is not counted again.
        events: is told of progress.

    Raises:
        PpdbenchError: as `run_judge`, before it draws.
    """
    job = plan_job(request, events)
    folder = place(runs, job.suite.name, job.folder_name, job.spec)
    drawn = {item for item, r in last_records(folder).items() if r["status"] == "ok"}
    said = {r["call"] for r in read_records(folder / FILE) if r["status"] == "ok"}
    left: Counter[int] = Counter()
    for each in job.comparisons:
        left[len(each.shots)] += sum(call_id(each, order) not in said for order in ORDERS)
    return {
        "folder": str(folder),
        "judge": job.judge.info.name,
        "calls": 2 * len(job.comparisons),
        "images_to_draw": sum(item.id not in drawn for item in job.items),
        **taken(job.judge, left, lambda count: _example(job, count)),
        "arms": list(job.protocol.arms),
    }


def taken(
    judge: Judge, left: Mapping[int, int], example: Callable[[int], Question]
) -> dict[str, Any]:
    """What calls take: how many, images shown, tokens read and written, US dollars.

    Args:
        judge: who would be asked.
        left: number of shots -> calls with so many that have no verdict.
        example: a question with so many shots.
    """
    bounds = {
        count: judge.estimate(example(count)) if isinstance(judge, Estimating) else None
        for count in left
    }
    known = [bound for bound in bounds.values() if bound is not None]
    cost: float | None = None
    if known and all(bound.cost is not None for bound in known):
        cost = sum(n * (b.cost or 0.0) for c, n in left.items() if (b := bounds[c]) is not None)
    return {
        "calls_left": sum(left.values()),
        "images_shown": sum(n * (2 * shots + 2) for shots, n in left.items()),
        "tokens_in": _total(bounds, left, "tokens_in"),
        "tokens_out": _total(bounds, left, "tokens_out"),
        "cost": cost,
    }


def _total(
    bounds: Mapping[int, Estimate | None], left: Mapping[int, int], field: str
) -> int | None:
    """A field over all calls; None where the judge tells nothing."""
    found = [(n, bounds[count]) for count, n in left.items()]
    if any(bound is None for _, bound in found):
        return None
    return sum(n * int(getattr(bound, field)) for n, bound in found)


def _example(job: JudgeJob, count: int) -> Question:
    """A question with so many shots: some user's, the longest caption, blank candidates."""
    from PIL import Image

    example = next(each for each in job.comparisons if len(each.shots) == count)
    blank = Image.new("RGB", (job.suite.sampling.width, job.suite.sampling.height))
    longest = max((each.caption.text for each in job.comparisons), key=len)
    shots = user_context(job.people, "", example.shots).shots if count else ()
    return Question(caption=longest, shots=shots, first=blank, second=blank)
