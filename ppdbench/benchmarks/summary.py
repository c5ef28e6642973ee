"""summary.json: the run's figures with everything a reader needs to judge them.

It is computed from records alone, and computed again only when one of its inputs changed; which,
its field `inputs` tells. Elsewhere: the figures (`run_figures`), the records (`runs.results`), when
the file is written (`summary_file`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from ppdbench import __version__
from ppdbench.benchmarks.job import Job
from ppdbench.benchmarks.plan import Item
from ppdbench.benchmarks.rows import about, count_ok
from ppdbench.benchmarks.run_figures import Measured, figures_of_run, opponents_of, rows_of
from ppdbench.benchmarks.summary_file import SCHEMA_VERSION, sha256_of, write_if_changed
from ppdbench.benchmarks.tradeoff.divergence import FILE as DIVERGENCE_FILE
from ppdbench.benchmarks.tradeoff.diversity import FILE as DIVERSITY_FILE
from ppdbench.benchmarks.tradeoff.lines import setting_of
from ppdbench.benchmarks.users.probes import FILE as PROBES_FILE
from ppdbench.benchmarks.users.records import FILE as USERS_FILE
from ppdbench.entries.curves import Curves, recorded_curves
from ppdbench.entries.recorded import Baseline, Crowd, RecordedEntry, recorded
from ppdbench.protocols import Events
from ppdbench.runs.directory import RunDirectory, read_spec
from ppdbench.runs.profiles import read_profiles
from ppdbench.runs.results import (
    FIDELITY,
    identities_of,
    read_results,
    read_scorers,
    rewards_of,
)

SUMMARY_VERSION = 9
"""Raise it whenever a figure's definition changes, here or in what is called from here: a
summary.json of other formulas is then computed again, though its records are the same."""
REWARD_FIELDS = (
    "title",
    "kind",
    "gold",
    "checkpoint_sha256",
    "preprocess",
    "architecture",
    "precision",
)


def write_summary(
    run: RunDirectory, job: Job, fail_on_error: float, events: Events
) -> dict[str, Any]:
    """Write summary.json unless it stands for these very inputs; returns its content.

    Raises:
        PpdbenchError: a file of the run is damaged or cannot be written.
    """
    suite, scorers = job.suite, read_scorers(run.path)
    entries = _entries(job, scorers, events)
    curves = _curves(run, job, scorers, events)
    inputs = {
        "formulas": SUMMARY_VERSION,
        "generations": sha256_of(run.generations),
        "scores": sha256_of(run.scores),
        "scorers": scorers,
        "recorded": {name: entry.sha256 for name, entry in entries.items()},
        "opponents": {drawn: opponents_of(suite, drawn) for drawn in job.drawn},
        "upper_bounds": dict(suite.upper_bounds),
        "fail_on_error": fail_on_error,
        "notes": list(job.notes),
        "profiles": read_profiles(run.path),
        "users": [sha256_of(run.path / name) for name in (USERS_FILE, PROBES_FILE)],
        "tradeoff": [sha256_of(run.path / name) for name in (DIVERGENCE_FILE, DIVERSITY_FILE)],
        "curves": curves.sha256,
    }
    return write_if_changed(
        run, inputs, lambda: _summary(run, job, scorers, entries, curves, fail_on_error), events
    )


def _entries(
    job: Job, scorers: Mapping[str, Mapping[str, Any]], events: Events
) -> dict[str, RecordedEntry]:
    """The recorded results that this run can be compared with; none where nothing is drawn."""
    suite, people = job.suite, job.suite.people
    if suite.baseline not in job.generators:
        return {}
    crowd = None
    if job.roles and people and people.truth:
        crowd = Crowd(digest=people.digest, truth=people.truth.identity)
    return recorded(
        suite.name,
        suite.digest,
        Baseline(name=suite.baseline, revision=job.generators[suite.baseline].info.revision),
        identities_of(scorers),
        crowd=crowd,
        note=events.note,
    )


def _curves(
    run: RunDirectory, job: Job, scorers: Mapping[str, Mapping[str, Any]], events: Events
) -> Curves:
    """The checkpoints on record that this run's benchmark `tradeoff` can be compared with."""
    if "tradeoff" not in job.drawn:
        return Curves()
    return recorded_curves(setting_of(read_spec(run.path), scorers), note=events.note)


def _summary(
    run: RunDirectory,
    job: Job,
    scorers: Mapping[str, Mapping[str, Any]],
    entries: Mapping[str, RecordedEntry],
    curves: Curves,
    fail_on_error: float,
) -> dict[str, Any]:
    suite, rewards = job.suite, rewards_of(scorers)
    measured = Measured(
        results=read_results(run.path),
        rewards=rewards,
        classified=FIDELITY in identities_of(scorers),
        entries=entries,
        curves=curves,
    )
    failures = [
        {"item": item.id, "error": error}
        for item in job.items
        if (error := _failure(measured, item))
    ]
    n_expected = len(job.items)
    withheld = None
    if len(failures) > fail_on_error * n_expected:
        withheld = f"{len(failures)} of {n_expected} items failed, {fail_on_error:.1%} are allowed"
    rows = {benchmark: rows_of(job, benchmark, measured) for benchmark in job.drawn}
    n_ok = sum(row.n_ok for own in rows.values() for row in own.values() if row.source == "fresh")
    figures, lost = figures_of_run(
        run.path, job, measured, rows, fail_on_error=fail_on_error, withheld=withheld
    )
    return {
        "schema_version": SCHEMA_VERSION,
        "suite": suite.name,
        "suite_version": suite.version,
        "suite_digest": job.digest,
        "model": job.model,
        "baseline": suite.baseline,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "ppdbench": __version__,
        "n_ok": n_ok,
        "n_expected": n_expected,
        "complete": n_ok == n_expected,
        "withheld": withheld or lost,
        "notes": list(job.notes),
        "generators": {
            name: about([own[name] for own in rows.values() if name in own])
            | _of_users(job, name)
            | _of_training(job, name)
            for name in dict.fromkeys(name for own in rows.values() for name in own)
        },
        "rewards": {
            name: {field: entry.get(field) for field in REWARD_FIELDS}
            for name, entry in rewards.items()
        },
        "benchmarks": figures,
        "failures": failures,
    }


def _of_users(job: Job, name: str) -> dict[str, Any]:
    """What a generator hears, whom it was trained for and cannot serve, if it takes no seed."""
    generator, strangers = job.generators.get(name), job.unserved.get(name)
    trained = generator.info.training_users_digest if generator else None
    return {
        **({"conditions_on": sorted(generator.info.conditions_on)} if generator else {}),
        **({"seeded": False} if generator and not generator.info.seeded else {}),
        **({"training_users_digest": trained} if trained else {}),
        **({"unserved": dict(strangers)} if strangers else {}),
    }


def _of_training(job: Job, name: str) -> dict[str, Any]:
    """Where in which training a generator's weights are, if it says so."""
    generator = job.generators.get(name)
    checkpoint = generator.info.checkpoint if generator else None
    return {"checkpoint": asdict(checkpoint)} if checkpoint else {}


def _failure(measured: Measured, item: Item) -> str | None:
    """Why an item counts as failed, on one line; None where it does not."""
    result = measured.results.get(item.id)
    if result is None:
        return "not drawn"
    if count_ok([result], measured.rewards, measured.classified):
        return None
    return "; ".join(result.errors) or "not measured"
