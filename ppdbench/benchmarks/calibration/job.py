"""A calibration's job: which judge is asked about which choices, and who stands beside it.

All of it follows from the command and the plug-ins; nothing is asked and no weights are loaded.
Elsewhere: the choices and calls (`calibration.plan`), doing it (`calibration.run`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ppdbench import plugins
from ppdbench.benchmarks.calibration.beside import PREFIX
from ppdbench.benchmarks.calibration.plan import (
    SPLIT,
    Choice,
    calibration_calls,
    choices_of,
)
from ppdbench.benchmarks.judge.cost import taken
from ppdbench.benchmarks.judge.job import JudgeChoice, require_people
from ppdbench.benchmarks.judge.questions import PairImages, QuestionMaker
from ppdbench.errors import PpdbenchError
from ppdbench.judges.call import Call
from ppdbench.judges.on_record import FILE, done
from ppdbench.protocols import Events, Judge, People, Suite, SuiteFiles
from ppdbench.runs.device import resolve
from ppdbench.runs.directory import place

SCALAR = "scalar"
"""The judge that asks a reward, with the reward's name after a colon."""


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


def plan_calibration(request: CalibrationRequest, events: Events) -> Calibration:
    """Lay out a calibration.

    Raises:
        UsageError: an unknown name, or what suite or judge do not support.
        MissingPrerequisite: pairs, weights or a key are not at hand.
        PpdbenchError: a plug-in is broken.
    """
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


def folder_name(job: Calibration) -> str:
    """What the run's folder is called, before its fingerprint."""
    return f"{PREFIX}{job.judge.info.name}"


def spec_of(job: Calibration, request: CalibrationRequest) -> dict[str, Any]:
    """All that changes results, and nothing that does not."""
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


def calibration_cost(request: CalibrationRequest, *, runs: Path, events: Events) -> dict[str, Any]:
    """What a calibration would still take of the judge: nothing is asked or written.

    Raises:
        PpdbenchError: as `calibrate`, before it asks.
    """
    job = plan_calibration(request, events)
    folder = place(runs, job.suite.name, folder_name(job), spec_of(job, request))
    said = done(folder / FILE, job.calls)
    by_shots: dict[int, list[Call]] = {}
    for call in job.calls:
        by_shots.setdefault(len(call.shots), []).append(call)
    left = {count: sum(c.id not in said for c in calls) for count, calls in by_shots.items()}
    make = QuestionMaker(job.people, PairImages(job.people).get)
    return {
        "folder": str(folder),
        "judge": job.judge.info.name,
        "calls": len(job.calls),
        "images_to_draw": 0,
        **taken(job.judge, left, lambda count: make(by_shots[count][0])),
    }
