"""Benchmark `personal`: does a user truly like their own picture better? Where truth is known.

A win is the sign of the exact difference in the caption owner's utility, a tie half a win; pairs
share caption and noise; intervals and tests have users as the sample; p-values of one opponent are
corrected over win rates and personal gains of its splits (Holm). What is unknown is null with a
`reason`. Elsewhere: who is drawn for whom (`personal.roles`), the figures of one cell
(`personal.cell`), `personal.whose_picture`, `personal.shots_curve`, `personal.between_users`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ppdbench.benchmarks.fidelity import fidelity, fidelity_difference
from ppdbench.benchmarks.personal.between_users import between_users
from ppdbench.benchmarks.personal.cell import Utilities, personal_cell
from ppdbench.benchmarks.personal.pictures import (
    Attributes,
    Case,
    Pictures,
    Tastes,
    cases,
    users_of,
    utilities,
)
from ppdbench.benchmarks.personal.plan import cannot_serve
from ppdbench.benchmarks.personal.roles import SPLITS, PersonalSplit, Roles
from ppdbench.benchmarks.personal.shots_curve import shots_curve
from ppdbench.benchmarks.personal.whose_picture import whose_picture
from ppdbench.benchmarks.rows import Row
from ppdbench.protocols import Truth
from ppdbench.statistics.holm import holm

COUNTS = ("n", "n_users", "n_expected")
TESTED = (("p_value", "p_holm"), ("personal_gain_p_value", "personal_gain_p_holm"))


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonalComparison:
    """Everything the benchmark is computed from."""

    roles: Roles
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
    roles, withheld = comparison.roles, comparison.withheld
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
        found["personal_matrix"] = whose_picture(roles, ours, tastes, withheld)
    if "shots" in arms:
        found["personal_shots"] = shots_curve(roles, ours, baseline, tastes, withheld)
    if "between" in arms:
        found["personal_between"] = between_users(roles, ours, tastes, withheld)
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
    found = cases(comparison.roles, split)
    ours, theirs = pictures[comparison.model], pictures.get(opponent)
    nothing = np.full(len(found), np.nan)
    shuffled = nobody = nothing
    if ours.conditioned:
        shuffled = utilities(found, tastes, lambda case: _shuffled(comparison.roles, ours, case))
        nobody = utilities(found, tastes, lambda case: ours.of(None, case.caption, case.sample))
    cell = personal_cell(
        Utilities(
            own=utilities(found, tastes, ours.own),
            shuffled=shuffled,
            nobody=nobody,
            opponent=nothing if theirs is None else utilities(found, tastes, theirs.own),
            users=users_of(found),
        ),
        {case.owner.number: tastes.dominant(case.owner.user.id) for case in found},
    )
    row = comparison.rows.get(opponent)
    cell["source"] = row.source if row else None
    hidden = comparison.withheld or cannot_serve(
        comparison.unserved,
        (comparison.model, opponent),
        [each for each in SPLITS if split in (None, each)],
    )
    if hidden:
        kept = {key: cell[key] for key in (*COUNTS, "test", "interval", "source")}
        return {**dict.fromkeys(cell), **kept, "reason": hidden}
    if row is None:
        reason = f"{opponent} has no recorded pictures for users; --model {opponent} draws them"
        return {**cell, "reason": reason}
    return cell


def _shuffled(roles: Roles, ours: Pictures, case: Case) -> Attributes | None:
    """The picture of a caption that was drawn for another user."""
    partner = roles.partner(case.owner)
    return ours.of(partner.own, case.caption, case.sample) if partner else None


def _fidelity(comparison: PersonalComparison) -> dict[str, Any]:
    """Caption fidelity of own pictures, and the model's difference from the baseline.

    Intervals resample users: what one user's embedding does to a picture, it does to all of theirs.
    """
    rows = {name: _own(comparison.roles, row) for name, row in comparison.rows.items()}
    model, baseline = rows[comparison.model], rows[comparison.baseline]
    if not any(result.facts for result in model.results):
        return {}
    owners = {
        caption.id: str(member.number)
        for member in comparison.roles.members
        for caption in member.captions
    }
    found = {"personal_fidelity": {name: fidelity(row, owners) for name, row in rows.items()}}
    if model.name == baseline.name:
        return found
    return {**found, "personal_fidelity_difference": fidelity_difference(model, baseline, owners)}


def _own(roles: Roles, row: Row) -> Row:
    """The row with its pictures for the captions' owners alone, or its only ones."""
    owners = {
        caption.id: member.own.id if row.conditioned else None
        for member in roles.members
        for caption in member.captions
    }
    kept = tuple(r for r in row.results if owners.get(r.caption_id, "") == r.user)
    return replace(row, results=kept)
