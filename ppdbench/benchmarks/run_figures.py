"""All figures of a run: from its rows, drawn here or recorded, to summary.json's `benchmarks`.

Which rows a benchmark compares, and which of its figures are made, follows from the job. Elsewhere:
one benchmark's figures (`rewards.figures`, `interpolation.figures`, `tradeoff.figures`,
`users.figures`, `personal.figures`), a row (`rows`), the document around them (`summary`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ppdbench.benchmarks.job import Job
from ppdbench.benchmarks.personal.roles import Roles
from ppdbench.benchmarks.plan import BY_REWARDS, Drawn
from ppdbench.benchmarks.rows import Row, fresh_row, gold_of, recorded_row
from ppdbench.entries.curves import Curves
from ppdbench.entries.recorded import RecordedEntry
from ppdbench.protocols import Suite, Truth
from ppdbench.runs.profiles import read_profiles
from ppdbench.runs.results import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a run measured, and what of other runs is on record beside it."""

    results: Mapping[str, Result]
    """By item id."""
    rewards: Mapping[str, Mapping[str, Any]]
    """Reward name -> its entry in scorers.json."""
    classified: bool
    """Whether there is a caption classifier."""
    entries: Mapping[str, RecordedEntry]
    curves: Curves


def figures_of_run(
    folder: Path,
    job: Job,
    measured: Measured,
    rows: Mapping[Drawn, Mapping[str, Row]],
    *,
    fail_on_error: float,
    withheld: str | None,
) -> tuple[dict[str, Any], str | None]:
    """The figures of every benchmark, and why those of `users` that the run is about are withheld.

    Args:
        folder: the run's.
        job: what it does.
        measured: what it has.
        rows: benchmark -> its rows, as `rows_of` gives them.
        fail_on_error: largest share of failures, 0 to 1, at which figures are given.
        withheld: why no figure of what was drawn is given, where too much failed.

    Raises:
        PpdbenchError: a file of the run is damaged.
    """
    # Each one's formulas late, for scipy is behind them.
    suite, found = job.suite, dict[str, Any]()
    if "rewards" in rows:
        found |= _rewards(job, rows["rewards"], measured, withheld)
    if "interpolation" in rows and job.interpolation:
        from ppdbench.benchmarks.interpolation.figures import summarise_interpolation

        found |= summarise_interpolation(
            job.interpolation,
            rows["interpolation"][job.model],
            rows["interpolation"][suite.baseline],
            gold_of(measured.rewards),
            withheld,
        )
    if "tradeoff" in rows and job.tradeoff:
        from ppdbench.benchmarks.tradeoff.figures import summarise_tradeoff

        found |= summarise_tradeoff(
            folder, job, rows["tradeoff"], measured.rewards, measured.curves, withheld
        )
    lost = None
    if "users" in job.benchmarks:
        users, lost = _users(folder, job, fail_on_error)
        found |= users
    if "personal" in rows and job.roles and suite.people and suite.people.truth:
        found |= _personal(folder, job, job.roles, suite.people.truth, rows["personal"], withheld)
    return found, lost


def rows_of(job: Job, benchmark: Drawn, measured: Measured) -> dict[str, Row]:
    """The rows of one benchmark: those drawn here, then the recorded ones it asks for."""
    rewards, classified = measured.rewards, measured.classified
    items = [item for item in job.items if item.benchmark == benchmark]
    keys = {(item.caption.id, item.sample) for item in items}
    rows = {}
    for name, generator in job.generators.items():
        own = [item for item in items if item.generator == name]
        if own or name in (job.model, job.suite.baseline):
            rows[name] = fresh_row(name, generator, own, measured.results, rewards, classified)
    wanted = opponents_of(job.suite, benchmark)
    if benchmark == "rewards":
        wanted += job.suite.upper_bounds.values()
    elif benchmark in BY_REWARDS:
        wanted = []  # nobody's pictures of these are on record
    for name in dict.fromkeys(wanted):
        entry = measured.entries.get(name)
        if name in job.generators or entry is None:
            continue
        if entry.personal if benchmark == "personal" else entry.results:
            rows[name] = recorded_row(entry, benchmark, keys, rewards, classified)
    return rows


def opponents_of(suite: Suite, benchmark: Drawn) -> list[str]:
    """Whom a suite holds generators against in a benchmark."""
    if benchmark == "personal":
        return list(suite.people.opponents) if suite.people else []
    return list(suite.opponents)


def _opponents(job: Job, benchmark: Drawn) -> list[str]:
    """Whom win rates are over, in the order of the tables."""
    named = (job.suite.baseline, *opponents_of(job.suite, benchmark), *job.generators)
    return [name for name in dict.fromkeys(named) if name != job.model]


def _rewards(
    job: Job, rows: Mapping[str, Row], measured: Measured, withheld: str | None
) -> dict[str, Any]:
    """The figures of benchmark `rewards`."""
    from ppdbench.benchmarks.rewards.figures import Comparison, summarise
    from ppdbench.benchmarks.training_seeds import families, training_seeds

    items = [item for item in job.items if item.benchmark == "rewards"]
    keys = {(item.caption.id, item.sample) for item in items}
    others = [
        recorded_row(entry, "rewards", keys, measured.rewards, measured.classified)
        for name, entry in measured.entries.items()
        if name not in rows and entry.results
    ]
    trained = families(list(rows.values()), others)
    return summarise(
        Comparison(
            rows=rows,
            model=job.model,
            baseline=job.suite.baseline,
            opponents=_opponents(job, "rewards"),
            upper_bounds=job.suite.upper_bounds,
            rewards=measured.rewards,
            categories={item.caption.id: item.caption.category for item in items},
            n_expected=len(keys),
            families=trained,
            withheld=withheld,
        )
    ) | {
        "training_seeds": training_seeds(
            trained,
            rows[job.suite.baseline],
            [name for name, reward in measured.rewards.items() if not reward["gold"]],
            withheld=withheld is not None,
        )
    }


def _users(folder: Path, job: Job, fail_on_error: float) -> tuple[dict[str, Any], str | None]:
    """The figures of benchmark `users`, and why those that the run is about are withheld.

    An encoder's are where too many groups have no embedding by it. The run is about the model's
    own encoder; without a model, about all.
    """
    from ppdbench.benchmarks.users.figures import Ceilings, summarise_users

    truth = job.suite.people.truth if job.suite.people else None
    ceilings: Ceilings | None = None
    if truth is not None and job.limit is None:  # they are about all users
        ceilings = {"topics": truth.identification_ceilings(topics=True)}
        if job.full:
            ceilings["common"] = truth.identification_ceilings(topics=False)
    found = summarise_users(folder, ceilings=ceilings)
    withheld = {}
    for name, figures in found.items():
        missing, groups = figures["n_missing"], figures["n_missing"] + figures["n_test"]
        if missing > fail_on_error * groups:
            withheld[name] = (
                f"{missing} of {groups} groups have no embedding by {name}, "
                f"{fail_on_error:.1%} are allowed"
            )
    for name, reason in withheld.items():
        found[name] = summarise_users(folder, ceilings=ceilings, withheld=reason)[name]
    if job.generators:
        about_it = [job.generators[job.model].info.encoder or ""]
    else:
        about_it = [encoder.info.name for encoder in job.encoders.values()]
    lost = next((withheld[name] for name in about_it if name in withheld), None)
    return ({"users": found} if found else {}), lost


def _personal(
    folder: Path,
    job: Job,
    roles: Roles,
    truth: Truth,
    rows: Mapping[str, Row],
    withheld: str | None,
) -> dict[str, Any]:
    """The figures of benchmark `personal`."""
    from ppdbench.benchmarks.personal.figures import PersonalComparison, summarise_personal
    from ppdbench.benchmarks.personal.shown_users import shown_users

    encoder = job.generators[job.model].info.encoder or ""
    return summarise_personal(
        PersonalComparison(
            roles=roles,
            truth=truth,
            rows=rows,
            model=job.model,
            baseline=job.suite.baseline,
            opponents=_opponents(job, "personal"),
            unserved={name: row.unserved for name, row in rows.items()} | dict(job.unserved),
            withheld=withheld,
        )
    ) | shown_users(
        roles,
        truth,
        read_profiles(folder).get(encoder, {}),
        job.unserved.get(job.model, ()),
    )
