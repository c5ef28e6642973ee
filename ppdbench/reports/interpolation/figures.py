"""The figures of benchmark `interpolation` as files: gains by weight, the simplex, the tests.

Elsewhere: the page's own drawings of the same (`interpolation.weight_steps`,
`interpolation.ternary`), the files (`files.figure`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ppdbench.reports.figures import is_number, named
from ppdbench.reports.files import draw_lines, draw_points, draw_ternary
from ppdbench.reports.files.figure import Axis, Figure, Row
from ppdbench.reports.files.rows import number_of, row_of
from ppdbench.reports.files.style import value_of
from ppdbench.reports.headline import reward_title
from ppdbench.reports.interpolation.headline import Directed, control, directed
from ppdbench.reports.interpolation.section import path
from ppdbench.reports.interpolation.simplex import grid_of, largest_gain, twins
from ppdbench.reports.scales import around

Summary = Mapping[str, Any]

CAPTIONS = "95% intervals, captions are the sample."
CONTROLS = {"permuted": "control: weights permuted", "base": "control: hears no weights"}
TESTED = ("page_l", "p_value", "p_holm", "median_kendall", "isotonic_r2", "violations")
"""What else is known of a directed test."""


def interpolation_figures(summary: Summary) -> list[Figure]:
    """The figures of the simplex that a run has; none where it has no such benchmark."""
    if not summary["benchmarks"].get("interpolation_about"):
        return []
    rewards = list(summary["benchmarks"]["interpolation_about"].get("rewards") or ())
    gold = twins(summary)
    found = (
        _steps(summary),
        _simplex(summary, {name: name for name in rewards}, "interpolation-simplex", "rewards"),
        _simplex(summary, gold, "interpolation-simplex-gold", "gold rewards"),
        _tests(summary, "median_spearman", "interpolation-tests", "Spearman's correlation"),
        _tests(summary, "corner_win_rate", "interpolation-corners", "All weight against none"),
    )
    return [figure for figure in found if figure is not None]


def _steps(summary: Summary) -> Figure | None:
    """Gains against the weight that grows, a panel a directed test."""
    gold = twins(summary)
    rows: list[Row] = []
    for test in directed(summary):
        panel = _title(summary, test)
        for point in path(summary, test):
            for scorer, series in ((test.reward, "reward"), (gold.get(test.reward), "gold reward")):
                if scorer is None:
                    continue
                cell = named(point["rewards"].get(scorer), "gain")
                n = {"n": number_of(point["rewards"].get(scorer), "n")}
                places = {"panel": panel, "series": series, "x": point["weights"][test.reward]}
                rows.append(row_of({**(cell or {}), **n}, "gain", **places))
    if not any(is_number(row["value"]) for row in rows):
        return None
    low, high = around(value_of(row, key) for row in rows for key in ("value", "ci_low", "ci_high"))
    return Figure(
        name="interpolation",
        title=f"Does a score follow its weight? {summary['model']} along the edges of the simplex",
        kind=draw_lines.draw,
        rows=rows,
        x=Axis(label="weight of the reward", low=0.0, high=1.0),
        y=Axis(label="mean gain, standard deviations", low=low, high=high, line=0.0),
        note=f"In the form of the paper's Fig. 4. Gains over {summary['baseline']} (dashed) in "
        f"standard deviations of its scores. {CAPTIONS}",
    )


def _simplex(summary: Summary, scorers: Mapping[str, str], name: str, what: str) -> Figure | None:
    """Gains at every mixture, a panel a reward; None without a triangle."""
    corners = list(summary["benchmarks"]["interpolation_about"].get("rewards") or ())
    if len(corners) != 3:
        return None
    rows = [
        row_of(
            {
                **(named(point["rewards"].get(scorer), "gain") or {}),
                "n": number_of(point["rewards"].get(scorer), "n"),
            },
            "gain",
            panel=reward_title(summary, scorer),
            **{
                f"{draw_ternary.WEIGHT}{reward_title(summary, corner)}": point["weights"][corner]
                for corner in corners
            },
        )
        | {"caption_fidelity": number_of(point, "caption_fidelity")}
        for scorer in scorers.values()
        for point in grid_of(summary)
    ]
    if not any(is_number(row["value"]) for row in rows):
        return None
    most = largest_gain(summary)
    return Figure(
        name=name,
        title=f"Gains of {summary['model']} on the simplex of weights, by {what}",
        kind=draw_ternary.draw,
        rows=rows,
        x=Axis(label="mean gain, standard deviations", low=-most, high=most, line=0.0),
        note=f"All weight on one reward lies in its corner. Gains over {summary['baseline']} in "
        "standard deviations of its scores; one scale of colours.",
    )


def _tests(summary: Summary, key: str, name: str, title: str) -> Figure | None:
    """One figure of every directed test, its controls beside, gold rewards in a panel of theirs."""
    rows: list[Row] = []
    for where, panel in (("interpolation", "rewards"), ("interpolation_gold", "gold rewards")):
        for test in directed(summary, where):
            made = {summary["model"]: test.cell}
            if where == "interpolation":
                made |= {
                    series: cell
                    for control_name, series in CONTROLS.items()
                    if (cell := control(summary, control_name, test)) is not None
                }
            for series, cell in made.items():
                own = cell if key == "median_spearman" else named(cell, key)
                known = {**(own or {}), "n": number_of(cell, "n"), "reason": cell.get("reason")}
                places = {"panel": panel, "row": _title(summary, test), "series": series}
                rows.append(
                    row_of(known, key, **places)
                    | {"mean_spearman": number_of(cell, "mean_spearman")}
                    | {column: number_of(cell, column) for column in TESTED}
                )
    if not any(is_number(row["value"]) for row in rows):
        return None
    rate = key == "corner_win_rate"
    return Figure(
        name=name,
        title=f"{title}, {summary['model']} in every directed test",
        kind=draw_points.draw,
        rows=rows,
        x=Axis(label="share of pairs won", unit="%", low=0.0, high=1.0, line=0.5)
        if rate
        else Axis(label="median over captions", low=-1.05, high=1.05, line=0.0),
        note=f"Permuted weights and a model that hears none are controls. {CAPTIONS}",
    )


def _title(summary: Summary, test: Directed) -> str:
    return f"{reward_title(summary, test.reward)}, from {reward_title(summary, test.other)}"
