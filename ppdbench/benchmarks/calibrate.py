"""`calibrate`: hold a judge against choices that users made themselves, before it judges anybody.

Users of the calibration split alone: they are in no benchmark. The same call again goes on after
any end. Elsewhere: what is asked (`plan_calibration`), the figures (`calibration_figures`), the run
that rests on it (`judge`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppdbench import __version__, plugins
from ppdbench.benchmarks.calibration_figures import summarise_calibration
from ppdbench.benchmarks.calibrations import PREFIX
from ppdbench.benchmarks.guard import (
    check_numbers,
    final_state,
    interruptible,
    raise_if_withheld,
)
from ppdbench.benchmarks.judge_cost import taken
from ppdbench.benchmarks.judge_job import JudgeChoice, require_people
from ppdbench.benchmarks.judge_summary import judge_facts
from ppdbench.benchmarks.plan_calibration import (
    SPLIT,
    Choice,
    ChoiceQuestions,
    calibration_calls,
    call_id,
    choices_of,
    scalar_calls,
)
from ppdbench.benchmarks.summary import SCHEMA_VERSION, earlier_summary, sha256_of
from ppdbench.errors import BudgetReached, PpdbenchError
from ppdbench.judges.ask import FILE, Call, ask, done
from ppdbench.judges.batch_answers import require_batching, write_batch
from ppdbench.protocols import Events, Judge, People, Suite, SuiteFiles, Truth
from ppdbench.rewards.sharding import Shards, shards
from ppdbench.runs.atomic import write_json
from ppdbench.runs.device import resolve
from ppdbench.runs.directory import RunDirectory, place
from ppdbench.runs.fingerprint import fingerprint
from ppdbench.runs.records import read_records

CALIBRATION_VERSION = 1
"""Raise it whenever a figure's definition changes, here or in what is called from here."""
SCALAR = "scalar"
"""The judge that asks a reward, with the reward's name after a colon."""


class NotPersonalised(PpdbenchError):
    """A judge does no better by a user's own shots; all files of the run, `run`, are written."""

    def __init__(self, cause: str, *, fix: str, run: Path) -> None:
        super().__init__(cause, fix=fix)
        self.run = run


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationRequest:
    """What a command asks for."""

    suite: str
    pairs: Path | None = None
    vlm: str | None = None
    judge: JudgeChoice
    shots: int = 4
    limit: int | None = None
    """Only the first users."""
    choices: int | None = None
    """Only each user's first choices."""
    device: str = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What one calibration is to do."""

    suite: Suite
    people: People
    judge: Judge
    called: str
    """The judge's name as the command gave it."""
    scalars: Mapping[str, Judge]
    shots: int
    choices: tuple[Choice, ...]
    calls: tuple[Call, ...]
    whole: bool
    """Whether it is about all users and choices of the split."""


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
        named = (runs, job.suite.name, f"{PREFIX}{job.judge.info.name}", _spec(job, request))
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
                make = ChoiceQuestions(job.people)
                write_batch(job.judge, job.calls, make, run.path, batch_out, events=events)
                return None
            return _work(run, job, process, request.judge.max_cost, fail_on_error, events)


def calibration_cost(request: CalibrationRequest, *, runs: Path, events: Events) -> dict[str, Any]:
    """What a calibration would still take of the judge: nothing is asked or written.

    Raises:
        PpdbenchError: as `calibrate`, before it asks.
    """
    job = plan_calibration(request, events)
    folder = place(runs, job.suite.name, f"{PREFIX}{job.judge.info.name}", _spec(job, request))
    said = done(folder / FILE, job.calls)
    by_shots: dict[int, list[Call]] = {}
    for call in job.calls:
        by_shots.setdefault(len(call.shots), []).append(call)
    left = {count: sum(c.id not in said for c in calls) for count, calls in by_shots.items()}
    make = ChoiceQuestions(job.people)
    return {
        "folder": str(folder),
        "judge": job.judge.info.name,
        "calls": len(job.calls),
        "images_to_draw": 0,
        **taken(job.judge, left, lambda count: make(by_shots[count][0])),
    }


def plan_calibration(request: CalibrationRequest, events: Events) -> Calibration:
    """Lay out a calibration; raises as `calibrate`."""
    files = SuiteFiles(pairs=request.pairs, vlm=request.vlm, events=events)
    suite: Suite = plugins.make_suite(request.suite, files)
    people = require_people(suite)
    device = resolve(request.device)
    judge = request.judge.make(suite, device)
    found, users = choices_of(people, limit=request.limit, each=request.choices)
    everybody = people.users(SPLIT)
    return Calibration(
        suite=suite,
        people=people,
        judge=judge,
        called=request.judge.name,
        scalars=_scalars(suite, judge, device, events),
        shots=request.shots,
        choices=tuple(found),
        calls=tuple(calibration_calls(found, users, request.shots)),
        whole=len(users) == len(everybody)
        and all(request.choices is None or len(user.choices) <= request.choices for user in users),
    )


def _scalars(suite: Suite, judge: Judge, device: str, events: Events) -> dict[str, Judge]:
    """A judge for each of the suite's rewards that nobody measures with as gold; those at hand."""
    found: dict[str, Judge] = {}
    for spec in suite.rewards():
        name = f"{SCALAR}:{spec.name}"
        if spec.gold or name == judge.info.name:
            continue
        try:
            found[name] = JudgeChoice(name=name).make(suite, device)
        except PpdbenchError as error:
            events.note(f"left out: {name}, for {error.cause}")
    return found


def _spec(job: Calibration, request: CalibrationRequest) -> dict[str, Any]:
    return {
        "suite": job.suite.name,
        "suite_version": job.suite.version,
        "suite_digest": job.people.digest,
        "benchmark": "calibration",
        "split": SPLIT,
        "limit": None if job.whole else request.limit,
        "choices": None if job.whole else request.choices,
        "shots": job.shots,
        "judge": {"name": job.judge.info.name, "revision": job.judge.info.revision},
        "scalars": {name: each.info.revision for name, each in job.scalars.items()},
    }


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
    summary = _write_summary(run, job, fail_on_error, events, reached)
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
    make = ChoiceQuestions(job.people)
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


FIX = "judge with another --judge, more --shots, or report its win rates as impersonal"


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


def _write_summary(
    run: RunDirectory,
    job: Calibration,
    fail_on_error: float,
    events: Events,
    budget: BudgetReached | None,
) -> dict[str, Any]:
    """Write summary.json unless it stands for these very inputs; returns its content."""
    inputs = fingerprint(
        {
            "ppdbench": __version__,
            "formulas": CALIBRATION_VERSION,
            "judgments": sha256_of(run.path / FILE),
            "fail_on_error": fail_on_error,
            "notes": list(job.suite.notes),
            "budget": budget.cause if budget else None,
        }
    )
    earlier = earlier_summary(run.summary)
    if earlier is not None and earlier.get("inputs") == inputs:
        return earlier
    events.stage("summarise", 1)
    with run.status.timed("summarise"):
        summary = _summary(run, job, fail_on_error, budget)
    summary |= {"seconds": {stage: round(s, 3) for stage, s in run.status.seconds.items()}}
    write_json(run.summary, {**summary, "inputs": inputs})
    events.advance(1)
    return summary


def _summary(
    run: RunDirectory, job: Calibration, fail_on_error: float, budget: BudgetReached | None
) -> dict[str, Any]:
    calls = [*job.calls, *(c for name in job.scalars for c in scalar_calls(job.choices, name))]
    said = done(run.path / FILE, calls)
    records = read_records(run.path / FILE)
    last = {record["call"]: record for record in records}
    failures = [
        {
            "item": call.id,
            "error": f"{last[call.id]['status']}: {last[call.id]['error']}"
            if call.id in last
            else "not asked",
        }
        for call in calls
        if call.id not in said
    ]
    withheld = None
    if budget is not None:
        withheld = f"{len(said)} of {len(calls)} calls have a verdict: {budget.cause}"
    elif len(failures) > fail_on_error * len(calls):
        withheld = f"{len(failures)} of {len(calls)} calls failed, {fail_on_error:.1%} are allowed"
    truth = job.people.truth
    ceilings = dict(truth.ceilings(SPLIT)) if truth is not None and job.whole else {}
    scalar = next(iter(job.scalars), None)
    margins, margin_of = _margins(job, truth, said, scalar)
    figures = summarise_calibration(
        job.choices,
        said,
        list(job.scalars),
        margins,
        ceiling=ceilings.get(f"choice_noisy_shots_{job.shots}"),
        withheld=withheld,
    )
    info = job.judge.info
    return {
        "schema_version": SCHEMA_VERSION,
        "suite": job.suite.name,
        "suite_version": job.suite.version,
        "suite_digest": job.people.digest,
        "model": info.name,
        "baseline": None,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "ppdbench": __version__,
        "n_ok": len(said),
        "n_expected": len(calls),
        "complete": len(said) == len(calls),
        "withheld": withheld,
        "notes": list(job.suite.notes),
        "generators": {},
        "rewards": {},
        "judge": judge_facts(
            info,
            job.called,
            job.shots,
            [record for record in records if record["judge"] == info.name],
        ),
        "benchmarks": {
            "calibration": {
                "judge": info.name,
                "revision": info.revision,
                "shots": job.shots,
                "split": SPLIT,
                **figures,
                "margin_of": margin_of,
                "ceilings": ceilings,
            }
        },
        "failures": failures,
    }


def _margins(
    job: Calibration,
    truth: Truth | None,
    said: Mapping[str, Mapping[str, Any]],
    scalar: str | None,
) -> tuple[NDArray[np.float64] | None, str | None]:
    """How clear each choice is, and by what: the true utilities, else the first scalar's scores."""
    if truth is not None:
        return _true_margins(job.people, truth, job.choices), "true utility"
    if scalar is None:
        return None, None
    odds = [(said.get(call_id(scalar, choice, 0)) or {}).get("log_odds") for choice in job.choices]
    return np.array([np.nan if each is None else abs(each) for each in odds]), scalar


def _true_margins(people: People, truth: Truth, found: Sequence[Choice]) -> NDArray[np.float64]:
    """Absolute difference in the user's true utility, (N,)."""
    from ppdbench.benchmarks.plan import in_batches
    from ppdbench.data.images import decode_image

    margins: list[float] = []
    for some in in_batches(found, 256):
        pairs = people.pairs([choice.pair for choice in some])
        images = [decode_image(image) for pair in pairs for image in (pair.image_0, pair.image_1)]
        attributes = truth.measure(images).reshape(len(some), 2, -1)
        for choice, both in zip(some, attributes, strict=True):
            utility = truth.utility(choice.user_id, both)
            margins.append(abs(float(utility[0] - utility[1])))
    return np.array(margins)
