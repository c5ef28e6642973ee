"""The terminal's table of a trade-off: the model against other methods at its own divergence.

Names come from plug-ins and files, so they are printed as plain text, never as markup. Elsewhere:
the rewards' table (`tables`), the page's section (`tradeoff.section`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ppdbench.reports.figures import named, signed
from ppdbench.reports.headline import reward_title
from ppdbench.reports.tables import STYLES, empty_table, stacked
from ppdbench.reports.tradeoff.headline import axis_of, nats, rivals, tradeoff_headline
from ppdbench.reports.tradeoff.section import measured, unmeasured

if TYPE_CHECKING:
    from rich.table import Table


def tradeoff_tables(summary: Mapping[str, Any]) -> list[Table]:
    """The table of what a run has of a trade-off, if it has some.

    Args:
        summary: the content of summary.json.
    """
    said = tradeoff_headline({"benchmarks": {}, **summary})
    if said is None:
        return []
    title = f"{said.text}: {said.reason}" if said.withheld else said.text
    table = empty_table(title, "\n".join(_notes(summary)))
    table.add_column("", overflow="fold", min_width=16)
    for heading in ("nats", "gain", "by gold", "difference"):
        table.add_column(heading, justify="right", overflow="fold", min_width=9)
    for point in summary["benchmarks"]["tradeoff"].get("points") or ():
        if point["row"] == summary["model"]:
            for reward, cell in (point.get("rewards") or {}).items():
                _add_reward(table, summary, point, reward, cell)
    return [table]


def _add_reward(
    table: Table,
    summary: Mapping[str, Any],
    point: Mapping[str, Any],
    reward: str,
    cell: Mapping[str, Any],
) -> None:
    """The model's point by a reward, and below it what the others gain at its divergence."""
    from rich.text import Text

    table.add_row(
        Text(f"{point['row']}, {reward_title(summary, reward)}", style="bold"),
        stacked(measured(point, axis_of(summary))),
        stacked(signed(named(cell, "gain"), "gain")),
        stacked(signed(named(cell, "gold_gain"), "gold_gain")),
        Text(),
    )
    for one in rivals(summary):
        if one.reward != reward:
            continue
        gain = signed(named(one.rival, "gain"), "gain")
        reason = "" if gain.value else str(one.rival.get("reason") or "not measured")
        name = one.rival.get("curve") or one.rival.get("row")
        table.add_row(
            Text.assemble(f"  {name}", (f"\n  {reason}" if reason else "", "dim")),
            Text("" if one.at == point.get(axis_of(summary)) else nats(one.at)),
            stacked(gain),
            stacked(signed(named(one.rival, "gold_gain"), "gold_gain")),
            stacked(signed(one.difference, "gain_difference"), STYLES[one.verdict]),
        )


def _notes(summary: Mapping[str, Any]) -> list[str]:
    """What stands below: what was drawn, what the columns are, why a figure is missing."""
    about = summary["benchmarks"]["tradeoff"]
    return [
        f"{about.get('captions')} captions, {about.get('samples')} noises each; nats: divergence "
        f"of an image from {summary['baseline']}"
        + (", without the last step" if axis_of(summary) == "divergence_before_last" else "")
        + "; gains in standard deviations of its scores, of other methods where they diverge as "
        f"far; difference: {summary['model']}'s gain minus theirs, at nats of theirs where they "
        f"have some, then of {summary['model']}'s method there; 95% intervals, captions are the "
        "sample",
        *(f"not measured: {line}" for line in unmeasured(summary)),
    ]
