"""summary.json of a calibration: the figures with everything a reader needs.

It is computed from records alone. Elsewhere: the figures (`calibration.figures`), when the file is
written (`summary_file`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppdbench import __version__
from ppdbench.benchmarks.calibration.figures import summarise_calibration
from ppdbench.benchmarks.calibration.job import Calibration
from ppdbench.benchmarks.calibration.plan import SPLIT, Choice, call_id, scalar_calls
from ppdbench.benchmarks.judge.summary import call_failures, judge_facts
from ppdbench.benchmarks.plan import in_batches
from ppdbench.benchmarks.summary_file import SCHEMA_VERSION, sha256_of, write_if_changed
from ppdbench.data.images import decode_image
from ppdbench.errors import BudgetReached
from ppdbench.judges.on_record import FILE, answered
from ppdbench.protocols import Events, People, Truth
from ppdbench.runs.directory import RunDirectory
from ppdbench.runs.records import read_records

CALIBRATION_VERSION = 1
"""Raise it whenever a figure's definition changes, here or in what is called from here."""
READ_AT_ONCE = 256
"""Pairs decoded at once."""


def write_calibration_summary(
    run: RunDirectory,
    job: Calibration,
    fail_on_error: float,
    events: Events,
    budget: BudgetReached | None,
) -> dict[str, Any]:
    """Write summary.json unless it stands for these very inputs; returns its content.

    Raises:
        PpdbenchError: a file of the run is damaged or cannot be written.
    """
    inputs = {
        "formulas": CALIBRATION_VERSION,
        "judgments": sha256_of(run.path / FILE),
        "fail_on_error": fail_on_error,
        "notes": list(job.suite.notes),
        "budget": budget.cause if budget else None,
    }
    return write_if_changed(run, inputs, lambda: _summary(run, job, fail_on_error, budget), events)


def _summary(
    run: RunDirectory, job: Calibration, fail_on_error: float, budget: BudgetReached | None
) -> dict[str, Any]:
    calls = [*job.calls, *(c for name in job.scalars for c in scalar_calls(job.choices, name))]
    records = read_records(run.path / FILE)
    said = answered(records, calls)
    failures = call_failures(calls, said, records)
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
    margins: list[float] = []
    for some in in_batches(found, READ_AT_ONCE):
        pairs = people.pairs([choice.pair for choice in some])
        images = [decode_image(image) for pair in pairs for image in (pair.image_0, pair.image_1)]
        attributes = truth.measure(images).reshape(len(some), 2, -1)
        for choice, both in zip(some, attributes, strict=True):
            utility = truth.utility(choice.user_id, both)
            margins.append(abs(float(utility[0] - utility[1])))
    return np.array(margins)
