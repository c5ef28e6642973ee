"""The figures of benchmark `users` as files: Fig. 2, top-K accuracy over K.

Elsewhere: the page's section (`people.identified`), the files (`files.figure`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ppdbench.reports.figures import Cell, is_number
from ppdbench.reports.files import draw_lines
from ppdbench.reports.files.figure import Axis, Figure, Row
from ppdbench.reports.people.identified import CONTROLS, KINDS, blocks, curve_name

Summary = Mapping[str, Any]


def users_figures(summary: Summary) -> list[Figure]:
    """One figure an encoder and kind of captions that has a curve."""
    found = []
    for encoder, kind, figures in blocks(summary):
        rows = _rows(figures)
        if rows:
            found.append(
                Figure(
                    name=curve_name(summary, encoder, kind),
                    title=f"Users told apart by {encoder}, {KINDS[kind]}",
                    kind=draw_lines.draw,
                    rows=rows,
                    x=Axis(label="K"),
                    y=Axis(label="right user among the K likeliest", unit="%", low=0.0, high=1.0),
                    note=f"In the form of the paper's Fig. 2; {figures.get('n_users')} users, "
                    f"{figures.get('n_test')} test groups. The band is a 95% interval, users are "
                    "the sample.",
                )
            )
    return found


def _rows(figures: Cell) -> list[Row]:
    curve = figures.get("curve")
    if not curve:
        return []
    controls = figures.get("controls") or {}
    curves = [("embeddings", curve)] + [
        (label, controls[name]["curve"])
        for name, label in CONTROLS.items()
        if (controls.get(name) or {}).get("curve")
    ]
    rows: list[Row] = [
        {"series": series, "x": k, "value": value, "ci_low": low, "ci_high": high}
        for series, own in curves
        for k, value, low, high in zip(
            own["k"], own["accuracy"], own["ci_low"], own["ci_high"], strict=True
        )
        if is_number(value)
    ]
    rows += [
        {"series": "chance", "x": k, "value": value, "ci_low": None, "ci_high": None}
        for k, value in zip(curve["k"], curve["chance"], strict=True)
    ]
    return rows
