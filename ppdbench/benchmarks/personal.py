"""Benchmark `personal`: does a user truly like their own picture better? Where truth is known.

A win is the sign of the exact difference in the caption owner's utility, a tie half a win; pairs
share caption and noise; intervals and tests have users as the sample; p-values of one opponent are
corrected over win rates and personal gains of its splits (Holm). What is unknown is null with a
`reason`. Elsewhere: the roles of users (`assignment`), where a gain comes from (`gain_parts`), how
users differ (`user_spread`), `whose_picture`, `shots_curve`, `between_users`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ppdbench.benchmarks.assignment import SPLITS, Assignment, PersonalSplit
from ppdbench.benchmarks.between_users import between_users
from ppdbench.benchmarks.fidelity import fidelity, fidelity_difference
from ppdbench.benchmarks.gain_parts import gain_parts, part
from ppdbench.benchmarks.pictures import Case, Floats, Pictures, cases, users_of, utilities
from ppdbench.benchmarks.rows import Row
from ppdbench.benchmarks.shots_curve import shots_curve
from ppdbench.benchmarks.tastes import Tastes
from ppdbench.benchmarks.user_spread import by_dominant, user_spread
from ppdbench.benchmarks.whose_picture import whose_picture
from ppdbench.protocols import Truth
from ppdbench.statistics.holm import holm
from ppdbench.statistics.intervals import cluster_bootstrap_mean
from ppdbench.statistics.win_rate import WinRate, win_rate

COUNTS = ("n", "n_users", "n_expected")
TESTED = (("p_value", "p_holm"), ("personal_gain_p_value", "personal_gain_p_holm"))


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonalComparison:
    """Everything the benchmark is computed from."""

    assignment: Assignment
    truth: Truth
    rows: Mapping[str, Row]
    """Rows of this benchmark."""
    model: str
    baseline: str
    opponents: Sequence[str]
    """In the order of the table; one without a row is listed with nulls."""
    unserved: Mapping[str, Mapping[str, int]]
    """Generator -> split -> users whom it cannot serve."""
    withheld: str | None = None
    """Why no figure is given, where too much failed."""


def summarise_personal(comparison: PersonalComparison) -> dict[str, Any]:
    """The part of summary.json's `benchmarks` that is about people."""
    assignment, withheld = comparison.assignment, comparison.withheld
    tastes = Tastes(comparison.truth)
    pictures = {name: Pictures(row) for name, row in comparison.rows.items()}
    ours, baseline = pictures[comparison.model], pictures[comparison.baseline]
    found: dict[str, Any] = {
        "personal": {
            opponent: _against(comparison, pictures, opponent, tastes)
            for opponent in comparison.opponents
        },
        "personal_ceilings": {split: dict(comparison.truth.ceilings(split)) for split in SPLITS},
    }
    arms = {result.arm for result in comparison.rows[comparison.model].results}
    if "group" in arms:
        found["personal_matrix"] = whose_picture(assignment, ours, tastes, withheld)
    if "shots" in arms:
        found["personal_shots"] = shots_curve(assignment, ours, baseline, tastes, withheld)
    if "between" in arms:
        found["personal_between"] = between_users(assignment, ours, tastes, withheld)
    if comparison.unserved.get(comparison.model):
        for extra in ("personal_matrix", "personal_shots", "personal_between"):
            found.get(extra, {}).pop("all", None)  # those served would pass for all
    return found | _fidelity(comparison)


def _against(
    comparison: PersonalComparison,
    pictures: Mapping[str, Pictures],
    opponent: str,
    tastes: Tastes,
) -> dict[str, Any]:
    """Split -> figures against one opponent."""
    wanted: list[PersonalSplit | None] = [*SPLITS, None]
    cells: dict[str, Any] = {
        split or "all": _figures(comparison, pictures, opponent, split, tastes) for split in wanted
    }
    tested = [
        (figures, p, corrected)
        for figures in cells.values()
        for p, corrected in TESTED
        if figures[p] is not None
    ]
    family = holm([figures[p] for figures, p, _ in tested])
    for (figures, _, corrected), p_holm in zip(tested, family, strict=True):
        figures[corrected] = float(p_holm)
    return cells


def _figures(
    comparison: PersonalComparison,
    pictures: Mapping[str, Pictures],
    opponent: str,
    split: PersonalSplit | None,
    tastes: Tastes,
) -> dict[str, Any]:
    """One cell."""
    found = cases(comparison.assignment, split)
    ours, row = pictures[comparison.model], comparison.rows.get(opponent)
    nothing = np.full(len(found), np.nan)
    own = utilities(found, tastes, ours.own)
    theirs = nothing if row is None else utilities(found, tastes, pictures[opponent].own)
    shuffled = nobody = nothing
    if ours.conditioned:
        shuffled = utilities(found, tastes, lambda case: _shuffled(comparison, ours, case))
        nobody = utilities(found, tastes, lambda case: ours.of(None, case.caption, case.sample))
    users = users_of(found)
    there = np.isfinite(own) & np.isfinite(theirs)
    rate = _rate(own, theirs, users)
    gain = cluster_bootstrap_mean(own[there] - theirs[there], users[there])
    dominant = {case.owner.number: tastes.dominant(case.owner.user.id) for case in found}
    cell: dict[str, Any] = {
        "win_rate": rate.rate,
        "ci_low": rate.ci_low,
        "ci_high": rate.ci_high,
        "n_users": rate.n_clusters,
        "n": rate.n,
        "n_expected": len(found),
        "p_value": rate.p_value,
        "p_holm": None,
        **_control("shuffled", _rate(shuffled, theirs, users)),
        **_control("null", _rate(nobody, theirs, users)),
        **gain_parts(own, shuffled, nobody, theirs, users),
        "personal_gain_p_holm": None,
        **part("utility_gain", gain),
        **user_spread(own[there], theirs[there], users[there].tolist()),
        "dominant": by_dominant(own[there], theirs[there], users[there].tolist(), dominant),
        "test": rate.test,
        "interval": rate.interval,
        "source": row.source if row else None,
    }
    strangers = _strangers(comparison, opponent, split)
    if comparison.withheld or strangers:
        kept = {key: cell[key] for key in (*COUNTS, "test", "interval", "source")}
        return {**dict.fromkeys(cell), **kept, "reason": comparison.withheld or strangers}
    reason = rate.reason
    if row is None:
        reason = f"{opponent} has no recorded pictures for users; --model {opponent} draws them"
    return {**cell, "reason": reason} if reason else cell


def _shuffled(comparison: PersonalComparison, ours: Pictures, case: Case) -> Any:
    """The picture of a caption that was drawn for another user."""
    partner = comparison.assignment.partner(case.owner)
    return ours.of(partner.own, case.caption, case.sample) if partner else None


def _rate(ours: Floats, theirs: Floats, users: Any) -> WinRate:
    there = np.isfinite(ours) & np.isfinite(theirs)
    return win_rate(ours[there], theirs[there], users[there])


def _control(name: str, rate: WinRate) -> dict[str, float | None]:
    return {
        f"{name}_win_rate": rate.rate,
        f"{name}_ci_low": rate.ci_low,
        f"{name}_ci_high": rate.ci_high,
    }


def _strangers(
    comparison: PersonalComparison, opponent: str, split: PersonalSplit | None
) -> str | None:
    """Who cannot serve the users of a cell; a rate over some of them would pass for all."""
    for name in (comparison.model, opponent):
        unserved = comparison.unserved.get(name, {})
        splits = [each for each in SPLITS if split in (None, each) and unserved.get(each)]
        if splits:
            return f"{name} cannot serve {' and '.join(splits)} users"
    return None


def _fidelity(comparison: PersonalComparison) -> dict[str, Any]:
    """Caption fidelity of own pictures, and the model's difference from the baseline."""
    rows = {name: _own(comparison, row) for name, row in comparison.rows.items()}
    model, baseline = rows[comparison.model], rows[comparison.baseline]
    if not any(result.facts for result in model.results):
        return {}
    found = {"personal_fidelity": {name: fidelity(row) for name, row in rows.items()}}
    if model.name == baseline.name:
        return found
    return {**found, "personal_fidelity_difference": fidelity_difference(model, baseline)}


def _own(comparison: PersonalComparison, row: Row) -> Row:
    """The row with its pictures for the captions' owners alone, or its only ones."""
    owners = {
        caption.id: member.own.id if row.conditioned else None
        for member in comparison.assignment.members
        for caption in member.captions
    }
    kept = tuple(r for r in row.results if owners.get(r.caption_id, "") == r.user)
    return replace(row, results=kept)
