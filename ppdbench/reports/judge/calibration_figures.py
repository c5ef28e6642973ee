"""The figures of a calibration as files: agreement with users' own choices, and by margin.

Agreement of consistent answers alone has a figure of its own, as in `judge.figures`. Elsewhere:
the page's section (`judge.calibrated`), the files (`files.figure`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ppdbench.reports.figures import is_number, named
from ppdbench.reports.files import draw_lines, draw_points
from ppdbench.reports.files.figure import Axis, Figure
from ppdbench.reports.files.rows import number_of, row_of
from ppdbench.reports.judge.calibrated import ARMS, arms, between
from ppdbench.reports.judge.headline import calibration_of

Summary = Mapping[str, Any]

AGREED = Axis(label="agreement with the user's own choice", unit="%", low=0.0, high=1.0, line=0.5)
USERS = "95% intervals, users are the sample."


def calibration_figures(summary: Summary) -> list[Figure]:
    """The figures of the calibration that a page shows; none where it shows none."""
    found, _ = calibration_of(summary)
    if found is None:
        return []
    made = (_agreement(found), _consistent(found), _margin(found))
    return [figure for figure in made if figure is not None]


def _agreement(found: Mapping[str, Any]) -> Figure | None:
    """Agreement over all answers, and with ties half, by what the judge is shown."""
    ceiling = found.get("ceiling")
    rows = [
        row_of(named(cell, key), key, row=label, series=series)
        | {
            "n": number_of(cell, "n"),
            "n_users": number_of(cell, "n_users"),
            "ceiling": ceiling if is_number(ceiling) else None,
            "first_pick_bias": number_of(cell, "first_pick_bias"),
        }
        for _, label, cell in arms(found)
        for key, series in (("all_call", "all answers"), ("tie_half", "both orders, ties half"))
        if is_number(cell.get(key))
    ]
    if not rows:
        return None
    said = f" The ceiling, by Bayes' rule: {100 * ceiling:.1f}%." if is_number(ceiling) else ""
    return Figure(
        name="calibration-agreement",
        title=f"Does {found.get('judge') or 'the judge'} know what a user would pick?",
        kind=draw_points.draw,
        rows=rows,
        x=AGREED,
        note=f"Dashed: chance.{said} {USERS}",
    )


def _consistent(found: Mapping[str, Any]) -> Figure | None:
    """Agreement of consistent answers, with the share that they are."""
    rows = [
        row_of(named(cell, "consistent"), "consistent", row=label)
        | {"n": number_of(cell, "n"), "coverage": number_of(cell, "coverage")}
        for _, label, cell in arms(found)
        if is_number(cell.get("consistent"))
    ]
    if not rows:
        return None
    return Figure(
        name="calibration-consistent-only",
        title="Agreement of consistent answers only, not comparable with the others",
        kind=draw_points.draw,
        rows=rows,
        x=AGREED,
        note=f"Questions whose two answers differ are left out; coverage is in the CSV. {USERS}",
    )


def _margin(found: Mapping[str, Any]) -> Figure | None:
    """Agreement by how far apart the two pictures are for the user."""
    rows = [
        row_of(named(each.get(name), "rate"), "rate", series=label, x=place, x_label=between(each))
        | {
            "n": number_of(each, "n"),
            "low": number_of(each, "low"),
            "high": number_of(each, "high"),
        }
        for name, label in (("own", ARMS["own"]), ("other_shots", ARMS["other_shots"]))
        for place, each in enumerate(found.get("by_margin") or [])
        if is_number((each.get(name) or {}).get("rate"))
    ]
    if not rows:
        return None
    return Figure(
        name="calibration-by-margin",
        title=f"Agreement by how far the two pictures lie apart in {found.get('margin_of')}",
        kind=draw_lines.draw,
        rows=rows,
        x=Axis(label=f"apart in {found.get('margin_of') or 'the margin'}"),
        y=Axis(label="agreement, all answers", unit="%", low=0.0, high=1.0, line=0.5),
        note=USERS,
    )
