"""`run_judge`: draw what is missing, ask a judge in both orders, say what its verdicts are worth.

Each stage reads what the one before left in files and skips what is there, so the same call again
goes on after any end, and asks nothing that was answered. Elsewhere: the job (`judge.job`), asking
(`judges.ask`), the figures (`judge.summary`), the judge's own measurement (`calibration.run`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

from ppdbench.benchmarks.calibration.beside import find_calibration
from ppdbench.benchmarks.contexts import Contexts
from ppdbench.benchmarks.generate import generate, undrawn
from ppdbench.benchmarks.guard import (
    TooManyFailures,
    check_numbers,
    final_state,
    interruptible,
    raise_if_withheld,
)
from ppdbench.benchmarks.judge.calls import Pair, calls_of, pair_up
from ppdbench.benchmarks.judge.job import JudgeChoice, JudgeJob, JudgeRequest, plan_job
from ppdbench.benchmarks.judge.questions import QuestionMaker
from ppdbench.benchmarks.measure import measure
from ppdbench.benchmarks.plan import Drawn
from ppdbench.benchmarks.reuse import reuse
from ppdbench.benchmarks.scorers import Scorers
from ppdbench.errors import BudgetReached
from ppdbench.judges.ask import ask
from ppdbench.judges.batch_answers import require_batching, write_batch
from ppdbench.judges.call import Call
from ppdbench.protocols import Events
from ppdbench.rewards.sharding import Shards, shards
from ppdbench.runs.captions import write_captions
from ppdbench.runs.directory import IMAGES, RunDirectory, place
from ppdbench.runs.images import ImageStore
from ppdbench.runs.results import read_results

DRAWN: tuple[Drawn, ...] = ("judge",)

__all__ = ["JudgeChoice", "JudgeRequest", "TooManyFailures", "run_judge"]


def run_judge(
    request: JudgeRequest,
    *,
    runs: Path,
    batch_size: int = 64,
    fail_on_error: float = 0.0,
    batch_out: Path | None = None,
    events: Events,
) -> Path | None:
    """Judge a model's pictures; returns the run's folder, with summary.json in it.

    Under `accelerate launch` each process asks its share; all but the first return None.

    Args:
        request: what is asked for.
        runs: folder of all runs.
        batch_size: images asked for at once.
        fail_on_error: largest share of failed items and calls, 0 to 1, at which figures are given.
        batch_out: write the calls without a verdict to a provider's batch files of that name, ask
            nobody and return None.
        events: is told of progress.

    Raises:
        UsageError: an unknown name or a number out of range.
        MissingPrerequisite: weights, pairs, a key, space or permission are missing.
        FingerprintMismatch: the run's folder holds results of other settings.
        BudgetReached: after everything is written.
        TooManyFailures: after everything is written.
        Interrupted: on SIGINT or SIGTERM; what was finished is kept.
    """
    check_numbers(
        fail_on_error, limit=request.limit, samples=request.samples, batch_size=batch_size
    )
    with interruptible():
        job = plan_job(request, events)
        if batch_out is not None:
            require_batching(job.judge)  # before anything is drawn for it
        spec = job.spec
        for note in job.notes:
            events.note(note)
        process = shards(request.device)
        if not process.first:
            folder = place(runs, job.suite.name, job.folder_name, spec)
            _assist(folder, job, process, request, events, asks=batch_out is None)
            return None
        with (
            RunDirectory.open(runs, job.suite.name, job.folder_name, spec) as run,
            final_state(run),
        ):
            write_captions(run.path, job.captions)
            if batch_out is not None:
                pairs, _ = draw(run, job, process, batch_size, events)
                calls, make = _questions(run.path, job, pairs)
                write_batch(job.judge, calls, make, run.path, batch_out, events=events)
                return None
            return _work(run, job, request, process, runs, batch_size, fail_on_error, events)


def _assist(
    folder: Path,
    job: JudgeJob,
    process: Shards,
    request: JudgeRequest,
    events: Events,
    *,
    asks: bool,
) -> None:
    """What a further process does: embed and judge its share; the first one draws and writes."""
    # As the first one sees it: it takes pictures over, and each embeds a share of the same users.
    wanted = set(process.gather(None)[0])
    missing = [item for item in job.items if item.id in wanted]
    Contexts(job.generators, job.encoders, job.people, None).prepare(missing, events)
    if not asks:
        return
    process.gather(None)  # until everything is drawn
    pairs = pair_up(job.comparisons, read_results(folder), job.model, job.baseline)
    # The first one says that a budget is reached, once all is written: a launcher ends every
    # process as soon as one ends in an error.
    with contextlib.suppress(BudgetReached):
        _ask(folder, job, pairs, process, request.judge.max_cost, events)


def _work(
    run: RunDirectory,
    job: JudgeJob,
    request: JudgeRequest,
    process: Shards,
    runs: Path,
    batch_size: int,
    fail_on_error: float,
    events: Events,
) -> Path:
    pairs, drawn = draw(run, job, process, batch_size, events)
    process.gather(None)
    reached: BudgetReached | None = None
    with run.status.timed("judge"):
        try:
            tick = run.status.tick
            asked = _ask(run.path, job, pairs, process, request.judge.max_cost, events, tick)
        except BudgetReached as error:
            reached, asked = error, 1
    if drawn or asked:
        run.record_environment()
    from ppdbench.benchmarks.judge.summary import write_judge_summary

    calibration = find_calibration(
        runs, job.suite.name, job.people.digest, job.judge.info, job.protocol.shots
    )
    summary = write_judge_summary(
        run, job, pairs, calibration, fail_on_error, events, budget=reached
    )
    if reached is not None:
        raise BudgetReached(reached.cause, fix=reached.fix, run=run.path)
    raise_if_withheld(summary, run.path)
    return run.path


def draw(
    run: RunDirectory, job: JudgeJob, process: Shards, batch_size: int, events: Events
) -> tuple[list[Pair], int]:
    """Draw and measure what is missing; the pairs, and how many items were looked at."""
    contexts = Contexts(job.generators, job.encoders, job.people, run.path)
    looked_at = reuse(run, job.items, job.spec, job.generators, events)
    if process.count > 1:
        process.gather([item.id for item in undrawn(run.path, job.items)])
    looked_at += generate(
        run,
        job.items,
        job.generators,
        contexts,
        job.suite.sampling,
        batch_size=batch_size,
        events=events,
    )
    if job.people.truth is not None:
        scorers = Scorers(job.suite, job.device, run.path, DRAWN)
        looked_at += measure(run, job.items, scorers, batch_size=batch_size, events=events)
    results = read_results(run.path)
    return pair_up(job.comparisons, results, job.model, job.baseline), looked_at


def _ask(
    folder: Path,
    job: JudgeJob,
    pairs: Sequence[Pair],
    process: Shards,
    max_cost: float | None,
    events: Events,
    tick: Callable[[], None] = lambda: None,
) -> int:
    """Ask what has no verdict; returns how many calls were put to the judge."""
    calls, make = _questions(folder, job, pairs)
    return ask(
        job.judge,
        calls,
        make,
        folder,
        events=events,
        process=process,
        max_cost=max_cost,
        tick=tick,
    )


def _questions(
    folder: Path, job: JudgeJob, pairs: Sequence[Pair]
) -> tuple[list[Call], QuestionMaker]:
    """All calls of a run, and what makes their questions."""
    make = QuestionMaker(job.people, ImageStore(folder / IMAGES).get)
    return [call for pair in pairs for call in calls_of(pair)], make
