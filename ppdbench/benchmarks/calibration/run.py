"""`calibrate`: hold a judge against choices that users made themselves, before it judges anybody.

Users of the calibration split alone: they are in no benchmark. The same call again goes on after
any end. Elsewhere: the job (`calibration.job`), the figures (`calibration.summary`), the run that
rests on it (`judge.run`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ppdbench.benchmarks.calibration.job import (
    Calibration,
    CalibrationRequest,
    folder_name,
    plan_calibration,
    spec_of,
)
from ppdbench.benchmarks.calibration.plan import scalar_calls
from ppdbench.benchmarks.calibration.summary import write_calibration_summary
from ppdbench.benchmarks.guard import (
    check_numbers,
    final_state,
    interruptible,
    raise_if_withheld,
)
from ppdbench.benchmarks.judge.questions import PairImages, QuestionMaker
from ppdbench.errors import BudgetReached, PpdbenchError
from ppdbench.judges.ask import ask
from ppdbench.judges.batch_answers import require_batching, write_batch
from ppdbench.protocols import Events, Judge
from ppdbench.rewards.sharding import Shards, shards
from ppdbench.runs.directory import RunDirectory, place

FIX = "judge with another --judge, more --shots, or report its win rates as impersonal"


class NotPersonalised(PpdbenchError):
    """A judge does no better by a user's own shots; all files of the run, `run`, are written."""

    def __init__(self, cause: str, *, fix: str, run: Path) -> None:
        super().__init__(cause, fix=fix)
        self.run = run


def calibrate(
    request: CalibrationRequest,
    *,
    runs: Path,
    fail_on_error: float = 0.0,
    batch_out: Path | None = None,
    events: Events,
) -> Path | None:
    """Calibrate a judge; returns the run's folder, with summary.json in it.

    Under `accelerate launch` each process asks its share; all but the first return None.

    Args:
        request: what is asked for.
        runs: folder of all runs.
        fail_on_error: largest share of failed calls, 0 to 1, at which figures are given.
        batch_out: write the calls without a verdict to a provider's batch files of that name, ask
            nobody and return None.
        events: is told of progress.

    Raises:
        UsageError: an unknown name or a number out of range.
        MissingPrerequisite: weights, pairs, a key, space or permission are missing.
        FingerprintMismatch: the run's folder holds results of other settings.
        BudgetReached: after everything is written.
        TooManyFailures: after everything is written.
        NotPersonalised: after everything is written.
        Interrupted: on SIGINT or SIGTERM; what was finished is kept.
    """
    check_numbers(fail_on_error, limit=request.limit, choices=request.choices)
    with interruptible():
        job = plan_calibration(request, events)
        if batch_out is not None:
            require_batching(job.judge)  # before there is a folder of it
        for note in job.suite.notes:
            events.note(note)
        named = (runs, job.suite.name, folder_name(job), spec_of(job, request))
        process = shards(request.device)
        if not process.first:
            # That a budget is reached, the first one says once all is written: a launcher ends
            # every process as soon as one ends in an error.
            if batch_out is None:
                with contextlib.suppress(BudgetReached):
                    _ask(place(*named), job, process, request.judge.max_cost, events)
            return None
        with RunDirectory.open(*named) as run, final_state(run):
            if batch_out is not None:
                make = QuestionMaker(job.people, PairImages(job.people).get)
                write_batch(job.judge, job.calls, make, run.path, batch_out, events=events)
                return None
            return _work(run, job, process, request.judge.max_cost, fail_on_error, events)


def _work(
    run: RunDirectory,
    job: Calibration,
    process: Shards,
    max_cost: float | None,
    fail_on_error: float,
    events: Events,
) -> Path:
    reached: BudgetReached | None = None
    with run.status.timed("judge"):
        try:
            asked = _ask(run.path, job, process, max_cost, events, run.status.tick)
        except BudgetReached as error:
            reached, asked = error, 1
    if asked:
        run.record_environment()
    summary = write_calibration_summary(run, job, fail_on_error, events, reached)
    if reached is not None:
        raise BudgetReached(reached.cause, fix=reached.fix, run=run.path)
    raise_if_withheld(summary, run.path)
    figures = summary["benchmarks"]["calibration"]
    if not figures["personalised"]:
        raise NotPersonalised(_not_personalised(job.judge, figures), fix=FIX, run=run.path)
    return run.path


def _ask(
    folder: Path,
    job: Calibration,
    process: Shards,
    max_cost: float | None,
    events: Events,
    tick: Callable[[], None] = lambda: None,
) -> int:
    """Ask what has no verdict, the judge last; returns how many calls were put to anybody."""
    make = QuestionMaker(job.people, PairImages(job.people).get)
    asked = 0
    for name, judge in job.scalars.items():
        calls = scalar_calls(job.choices, name)
        asked += ask(judge, calls, make, folder, events=events, process=process, tick=tick)
    return asked + ask(
        job.judge,
        job.calls,
        make,
        folder,
        events=events,
        process=process,
        max_cost=max_cost,
        tick=tick,
    )


def _not_personalised(judge: Judge, figures: Mapping[str, Any]) -> str:
    """The words for a judge that a user's own shots do not help."""
    found = figures["differences"]["other_shots"]
    gain, low, high = (found[f"difference{end}"] for end in ("", "_ci_low", "_ci_high"))
    said = (
        "cannot be told"
        if gain is None or low is None
        else (f"{100 * gain:+.1f} points [{100 * low:+.1f} to {100 * high:+.1f}]")
    )
    return (
        f"{judge.info.name} is not personalised: by a user's own shots instead of another user's "
        f"it agrees with the user's choices {said} more often"
    )
