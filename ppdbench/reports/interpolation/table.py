"""The terminal's table of an interpolation: every directed test with its controls.

Names come from plug-ins and files, so they are printed as plain text, never as markup. Elsewhere:
the rewards' table (`tables`), the page's section (`interpolation.section`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ppdbench.reports.figures import percent, signed
from ppdbench.reports.headline import reward_title
from ppdbench.reports.interpolation.headline import (
    Directed,
    control,
    directed,
    interpolation_headline,
    trend,
)
from ppdbench.reports.interpolation.section import figure
from ppdbench.reports.tables import STYLES, empty_table, stacked

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text


def interpolation_tables(summary: Mapping[str, Any]) -> list[Table]:
    """The table of what a run has of an interpolation, if it has some.

    Args:
        summary: the content of summary.json.
    """
    said = interpolation_headline({"benchmarks": {}, **summary})
    if said is None:
        return []
    title = f"{said.text}: {said.reason}" if said.withheld else said.text
    table = empty_table(title, "\n".join(_notes(summary)))
    table.add_column("weight grows on", overflow="fold", min_width=16)
    for heading in ("median rho", "mean rho", "ends won", "falls", "permuted"):
        table.add_column(heading, justify="right", overflow="fold")
    for key, mark in (("interpolation", ""), ("interpolation_gold", ", gold")):
        tests = directed(summary, key)
        for test in tests:
            table.add_row(*_row(summary, test, mark), end_section=test is tests[-1])
    return [table]


def _row(summary: Mapping[str, Any], test: Directed, mark: str) -> list[Text]:
    from rich.text import Text

    title = f"{reward_title(summary, test.reward)}{mark}"
    median = figure(test.cell, "median_spearman")
    permuted = None if mark else control(summary, "permuted", test)
    return [
        Text.assemble(title, (f"\n  from {reward_title(summary, test.other)}", "dim")),
        stacked(median, STYLES[trend(test.cell)]),
        stacked(figure(test.cell, "mean_spearman")),
        stacked(figure(test.cell, "corner_win_rate")),
        Text(percent(test.cell.get("violations")) or "\N{EN DASH}"),
        stacked(signed(permuted, "median_spearman")),
    ]


def _notes(summary: Mapping[str, Any]) -> list[str]:
    """What stands below: what was drawn, what the columns are, why a figure is missing."""
    about = summary["benchmarks"].get("interpolation_about") or {}
    lines = [
        f"{about.get('captions')} captions, {about.get('samples')} pictures a mixture; rho: "
        "Spearman's of a caption's score with the weight; ends won: all weight on it against none; "
        "falls: steps that go down; permuted: "
        "median rho with weights in random orders; 95% intervals, captions are the sample"
    ]
    cells = [test.cell for test in directed(summary)]
    reasons = dict.fromkeys(str(cell["reason"]) for cell in cells if cell.get("reason"))
    return lines + [f"undefined: {reason}" for reason in reasons]
