"""summary.json of a judged run: the figures with everything a reader needs to judge the judge.

It is computed from records alone, and computed again only when one of its inputs changed.
Elsewhere: the figures (`judge.figures`), the verdicts that a page shows (`judge.shown`), the
calibration (`calibration.beside`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from ppdbench import __version__
from ppdbench.benchmarks.fidelity import fidelity, fidelity_difference
from ppdbench.benchmarks.judge.calls import SWAP, Pair, calls_of
from ppdbench.benchmarks.judge.figures import summarise_judge
from ppdbench.benchmarks.judge.job import JudgeJob
from ppdbench.benchmarks.judge.shown import all_shown, shown_verdicts
from ppdbench.benchmarks.rows import Row, about, fresh_row
from ppdbench.benchmarks.summary_file import SCHEMA_VERSION, sha256_of, write_if_changed
from ppdbench.errors import BudgetReached
from ppdbench.judges.call import Call
from ppdbench.judges.on_record import FILE, answered
from ppdbench.protocols import Events, JudgeInfo
from ppdbench.runs.directory import RunDirectory
from ppdbench.runs.records import each_record
from ppdbench.runs.results import FIDELITY, Result, identities_of, read_results, read_scorers

JUDGE_SUMMARY_VERSION = 1
"""Raise it whenever a figure's definition changes, here or in what is called from here."""
OF_RECORDS = (
    "call",
    "stamp",
    "status",
    "cached",
    "cost",
    "choice",
    "log_odds",
    "reason",
    "error",
)
OF_DETAILS = ("seconds", "tokens_in", "tokens_out", "model")
"""What the figures, and the verdicts that are shown, are made of."""
NO_CALIBRATION = "no calibration of this judge by as many shots was found beside the run"


def write_judge_summary(
    run: RunDirectory,
    job: JudgeJob,
    pairs: Sequence[Pair],
    calibration: Mapping[str, Any] | None,
    fail_on_error: float,
    events: Events,
    *,
    budget: BudgetReached | None = None,
) -> dict[str, Any]:
    """Write summary.json unless it stands for these very inputs; returns its content.

    Raises:
        PpdbenchError: a file of the run is damaged or cannot be written.
    """
    inputs = {
        "formulas": JUDGE_SUMMARY_VERSION,
        "generations": sha256_of(run.generations),
        "scores": sha256_of(run.scores),
        "judgments": sha256_of(run.path / FILE),
        "scorers": read_scorers(run.path),
        "fail_on_error": fail_on_error,
        "notes": list(job.notes),
        "calibration": calibration,
        "budget": budget.cause if budget else None,
    }
    return write_if_changed(
        run,
        inputs,
        lambda: _summary(run, job, pairs, calibration, fail_on_error, budget),
        events,
        holds=lambda earlier: all_shown(run, earlier),
    )


def _summary(
    run: RunDirectory,
    job: JudgeJob,
    pairs: Sequence[Pair],
    calibration: Mapping[str, Any] | None,
    fail_on_error: float,
    budget: BudgetReached | None,
) -> dict[str, Any]:
    results = read_results(run.path)
    calls = [call for pair in pairs for call in calls_of(pair)]
    records = [_brief(record) for record in each_record(run.path / FILE)]
    said = answered(records, calls)
    failures = _failures(job, results, calls, said, records)
    n_expected = len(job.items) + 2 * len(pairs)
    undrawn = sum(2 for pair in pairs if not pair.drawn)
    n_ok = n_expected - undrawn - len(failures)
    withheld = _withheld(n_expected - n_ok, n_expected, fail_on_error)
    if budget is not None:
        withheld = f"{len(said)} of {2 * len(pairs)} calls have a verdict: {budget.cause}"
    rows = _rows(job, results, FIDELITY in identities_of(read_scorers(run.path)))
    return {
        "schema_version": SCHEMA_VERSION,
        "suite": job.suite.name,
        "suite_version": job.suite.version,
        "suite_digest": job.people.digest,
        "model": job.model,
        "baseline": job.baseline,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "ppdbench": __version__,
        "n_ok": n_ok,
        "n_expected": n_expected,
        "complete": n_ok == n_expected,
        "withheld": withheld,
        "notes": list(job.notes),
        "generators": {
            name: about([row]) | _trained_and_served(job, name) for name, row in rows.items()
        },
        "rewards": {},
        "judge": judge_facts(job.judge.info, job.called, job.protocol.shots, records),
        "benchmarks": {
            "judge": summarise_judge(
                pairs,
                said,
                job.protocol,
                job.people.truth,
                splits=job.splits,
                withheld=withheld,
                unserved=job.unserved,
            ),
            "judge_calibration": calibration or {"reason": NO_CALIBRATION},
            "judge_funnel": _funnel(job, pairs, said),
            "judge_shown": shown_verdicts(run, job, pairs, said),
            **_fidelity(job, rows),
        },
        "failures": failures,
    }


def _withheld(n_failed: int, n_expected: int, fail_on_error: float) -> str | None:
    """Why no figure is given, where too much failed."""
    if n_failed <= fail_on_error * n_expected:
        return None
    return f"{n_failed} of {n_expected} images and calls failed, {fail_on_error:.1%} are allowed"


def _brief(record: Mapping[str, Any]) -> dict[str, Any]:
    """Of a record, what figures are made of: all of them are in memory at once."""
    details = record["details"]
    return {
        **{name: record[name] for name in OF_RECORDS if name in record},
        "details": {name: details[name] for name in OF_DETAILS if name in details},
    }


def judge_facts(
    info: JudgeInfo, called: str, shots: int, records: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Who judged, and what all of a run's calls took, those that failed included.

    Args:
        info: the judge.
        called: its name as the command gave it.
        shots: how many it was shown.
        records: all of its calls; what became of one, its last record says.
    """
    last = {record["call"]: record["status"] for record in records}
    live = [record for record in records if not record["cached"]]
    details = [record["details"] for record in records]
    seconds = [d["seconds"] for r in live if (d := r["details"]).get("seconds") is not None]
    return {
        "name": info.name,
        "called": called,
        "revision": info.revision,
        "personal": info.personal,
        "settings": dict(info.settings),
        "shots": shots,
        "calls": len(last),
        "asked": len(live),
        "tokens_in": sum(record["details"].get("tokens_in") or 0 for record in live),
        "tokens_out": sum(record["details"].get("tokens_out") or 0 for record in live),
        "cost": sum(record["cost"] for record in live),
        "seconds_p50": float(np.median(seconds)) if seconds else None,
        "models": dict(Counter(str(name) for d in details if (name := d.get("model")))),
        "statuses": dict(Counter(last.values())),
    }


def _failures(
    job: JudgeJob,
    results: Mapping[str, Result],
    calls: Sequence[Call],
    said: Mapping[str, Any],
    records: Sequence[Mapping[str, Any]],
) -> list[dict[str, str]]:
    """Items without an image or measurement, and calls without a verdict, one line each."""
    found = []
    for item in job.items:
        result = results.get(item.id)
        if result is None:
            found.append({"item": item.id, "error": "not drawn"})
        elif result.image is None or result.errors:
            found.append({"item": item.id, "error": "; ".join(result.errors) or "not drawn"})
    return found + call_failures(calls, said, records)


def call_failures(
    calls: Sequence[Call], said: Mapping[str, Any], records: Sequence[Mapping[str, Any]]
) -> list[dict[str, str]]:
    """Calls without a verdict, and why, one line each.

    Args:
        calls: all calls of a run.
        said: those that have a verdict, by id.
        records: all of its records.
    """
    last = {record["call"]: f"{record['status']}: {record['error']}" for record in records}
    return [
        {"item": call.id, "error": last.get(call.id, "not asked")}
        for call in calls
        if call.id not in said
    ]


def _rows(job: JudgeJob, results: Mapping[str, Result], classified: bool) -> dict[str, Row]:
    """A generator's results each; an item is ok that was drawn, and measured where that is done."""
    rows = {}
    for name, generator in job.generators.items():
        own = [item for item in job.items if item.generator == name]
        row = fresh_row(name, generator, own, results, (), classified)
        n_ok = sum(result.image is not None and not result.errors for result in row.results)
        rows[name] = replace(row, n_ok=n_ok)
    return rows


def _trained_and_served(job: JudgeJob, name: str) -> dict[str, Any]:
    """Whom a generator was trained for and cannot serve, and that it takes no seed, if so."""
    strangers = job.unserved.get(name)
    info = job.generators[name].info
    trained = info.training_users_digest
    return {
        **({} if info.seeded else {"seeded": False}),
        **({"training_users_digest": trained} if trained else {}),
        **({"unserved": dict(strangers)} if strangers else {}),
    }


def _funnel(
    job: JudgeJob, pairs: Sequence[Pair], said: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """From users to consistent comparisons, of the headline arm; whoever is left out is counted."""
    users = Counter(member.split for member in job.roles.members)
    own = [pair for pair in pairs if pair.comparison.arm == job.protocol.headline]
    calls = [calls_of(pair) for pair in own]
    verdicts = [[said[c.id]["choice"] for c in both if c.id in said] for both in calls]
    judged = [both for both in verdicts if len(both) == 2]
    excluded = {
        f"{name} cannot serve {split} users": count
        for name, counts in job.unserved.items()
        for split, count in counts.items()
    }
    lost = {
        "an image could not be drawn": sum(not pair.drawn for pair in own),
        "a call has no verdict": sum(
            len(both) < 2 for both, pair in zip(verdicts, own, strict=True) if pair.drawn
        ),
    }
    return {
        "arm": job.protocol.headline,
        "users": {split: users[split] for split in job.splits},
        "comparisons": len(own),
        "drawn": sum(pair.drawn for pair in own),
        "asked_calls": sum(map(len, calls)),
        "ok_calls": sum(map(len, verdicts)),
        "judged": len(judged),
        "consistent": sum(set(both) == {"first", "second"} for both in judged),
        "excluded": excluded | {reason: n for reason, n in lost.items() if n},
    }


def _fidelity(job: JudgeJob, rows: Mapping[str, Row]) -> dict[str, Any]:
    """Caption fidelity of the pictures for captions' owners, and the difference."""
    own = {
        name: replace(row, results=tuple(r for r in row.results if r.arm != SWAP))
        for name, row in rows.items()
    }
    if not any(result.facts for row in own.values() for result in row.results):
        return {}
    owners = {
        caption.id: str(member.number)
        for member in job.roles.members
        for caption in member.captions
    }
    found = {"judge_fidelity": {name: fidelity(row, owners) for name, row in own.items()}}
    difference = fidelity_difference(own[job.model], own[job.baseline], owners)
    return {**found, "judge_fidelity_difference": difference}
