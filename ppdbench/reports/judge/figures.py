"""The figures of benchmark `judge` as files: Fig. 5 with ties half, controls, position bias.

The paper's rate, of consistent answers alone, has a figure of its own: in one drawing with rates
that count every comparison it would look like a better result. Elsewhere: the page's section
(`judge.section`), the files (`files.figure`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ppdbench.reports.figures import Cell, is_number, named
from ppdbench.reports.files import draw_heat, draw_points
from ppdbench.reports.files.figure import Axis, Figure
from ppdbench.reports.files.rows import number_of, row_of
from ppdbench.reports.judge.section import (
    CONTROLS,
    PAPER,
    SHORT,
    SHOTS,
    arm,
    control,
    headline_arm,
    headline_cell,
)
from ppdbench.reports.people.section import SPLITS
from ppdbench.reports.rewards.figures import WIN_RATE, fidelity_figure

Summary = Mapping[str, Any]
Splits = Mapping[str, Cell]

USERS = "95% intervals, users are the sample"


def judge_figures(summary: Summary) -> list[Figure]:
    """The figures of a judged run; none where nothing was judged."""
    cells: Mapping[str, Cell] = summary["benchmarks"].get("judge") or {}
    splits = {split: cells[split] for split in SPLITS if cells.get(split)}
    if not splits:
        return []
    found = (
        _wins(summary, splits),
        _controls(splits),
        _orders(summary, splits),
        _consistent(splits),
        fidelity_figure(summary, "judge_fidelity", "users"),
    )
    return [figure for figure in found if figure is not None]


def _wins(summary: Summary, splits: Splits) -> Figure | None:
    """Fig. 5, ties half: shared and disjoint shots, and the truth where it is known."""
    rows = []
    for split, own in splits.items():
        cells = [(label, arm(own, name), "win_rate") for name, label in SHOTS.items()]
        if is_number(own.get("true_win_rate")):
            cells.append(("in truth", named(own, "true_win_rate"), "true_win_rate"))
        rows += [
            row_of(cell, key, row=SPLITS[split], series=label)
            | {column: number_of(cell, column) for column in ("n_users", "p_value", "p_holm")}
            for label, cell, key in cells
            if cell
        ]
    if not rows:
        return None
    judge = (summary.get("judge") or {}).get("name") or "the judge"
    return Figure(
        name="judge-win-rates",
        title=f"How often {judge} picks {summary['model']} over {summary['baseline']}",
        kind=draw_points.draw,
        rows=rows,
        x=WIN_RATE,
        note=f"In the form of the paper's Fig. 5, but ties half: a verdict that changes with the "
        f"order counts half for each. {USERS}.",
    )


def _controls(splits: Splits) -> Figure | None:
    """The win rate, and where judge or generator know nothing of the user."""
    label = SHOTS[headline_arm(splits.values())]
    rows = [
        row_of(cell, "win_rate", panel=SPLITS[split], row=name)
        | {
            column: number_of(cell, column)
            for column in ("difference", "difference_ci_low", "difference_ci_high")
        }
        for split, own in splits.items()
        if any(control(own, name) for name in CONTROLS)
        for name, cell in (
            (label, headline_cell(own)),
            *((SHORT[name], control(own, name)) for name in CONTROLS),
        )
        if cell
    ]
    if not rows:
        return None
    return Figure(
        name="judge-controls",
        title="Would the judge say the same of anybody?",
        kind=draw_points.draw,
        rows=rows,
        x=WIN_RATE,
        note=f"Ties half. {USERS}.",
    )


def _orders(summary: Summary, splits: Splits) -> Figure | None:
    """What is picked in both orders: off the diagonal the same picture, on it the same place."""
    model, baseline = summary["model"], summary["baseline"]
    places = (
        ("first", "first", "first_first"),
        ("first", "second", "wins"),
        ("second", "first", "losses"),
        ("second", "second", "second_second"),
    )
    rows = []
    for split, own in splits.items():
        cell = headline_cell(own)
        n = cell.get("n")
        rows += [
            {
                "panel": SPLITS[split],
                "row": f"{model} first: picks the {ours}",
                "column": f"{baseline} first: picks the {theirs}",
                "value": cell[key] / n if is_number(n) and n and is_number(cell.get(key)) else None,
                "count": number_of(cell, key),
                "n": number_of(cell, "n"),
                "first_pick_bias": number_of(cell, "first_pick_bias"),
                "first_pick_bias_p_value": number_of(cell, "first_pick_bias_p_value"),
                "outlined": key in ("wins", "losses"),
            }
            for ours, theirs, key in places
            if is_number(cell.get(key))
        ]
    if not rows:
        return None
    return Figure(
        name="position-bias",
        title=f"Does the place of a picture decide? Picks in both orders, {_label(splits)}",
        kind=draw_heat.draw,
        rows=rows,
        x=Axis(unit="%", low=0.0, high=1.0, line=0.25),
        note="Outlined: the same picture in both orders. The others are picks by the place; their "
        "difference is the net bias.",
    )


def _label(splits: Splits) -> str:
    return SHOTS[headline_arm(splits.values())]


def _consistent(splits: Splits) -> Figure | None:
    """The paper's rate, apart from all others, with what it leaves out."""
    rows = [
        row_of(named(cell, "consistent_win_rate"), "consistent_win_rate", row=SPLITS[split])
        | {
            "series": label,
            "n": number_of(cell, "n"),
            "coverage": number_of(cell, "coverage"),
            "lower_bound": number_of(cell, "lower_bound"),
            "upper_bound": number_of(cell, "upper_bound"),
            "wins": number_of(cell, "wins"),
            "losses": number_of(cell, "losses"),
            "flips": number_of(cell, "flips"),
            "paper": PAPER[split] if name == "shared" else None,
        }
        for split, own in splits.items()
        for name, label in SHOTS.items()
        if (cell := arm(own, name))
    ]
    if not any(row["value"] is not None for row in rows):
        return None
    return Figure(
        name="judge-consistent-only",
        title="Consistent answers only: the paper's rate, not comparable with others here",
        kind=draw_points.draw,
        rows=rows,
        x=Axis(label="share of consistent answers", unit="%", low=0.0, high=1.0, line=0.5),
        note=f"Comparisons whose two answers differ are left out; coverage and bounds are in the "
        f"CSV. {USERS}.",
    )
