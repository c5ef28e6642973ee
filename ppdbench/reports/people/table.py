"""The terminal's tables of people: true win rates by split, and who can be told apart.

Names come from plug-ins and files, so they are printed as plain text, never as markup. Elsewhere:
the rewards' table (`tables`), the page (`html`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ppdbench.reports.figures import Cell, is_number, named, rate
from ppdbench.reports.headline import outcome, people_headline
from ppdbench.reports.people.identified import identified
from ppdbench.reports.people.section import SPLITS, people
from ppdbench.reports.tables import STYLES, empty_table, plain

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text


def people_tables(summary: Mapping[str, Any]) -> list[Table]:
    """The tables of what a run has of people, in order.

    Args:
        summary: the content of summary.json.
    """
    benchmarks = summary.get("benchmarks") or {}
    made = [_users_table(summary)] if benchmarks.get("users") else []
    return [*made, *([_personal_table(summary)] if benchmarks.get("personal") else [])]


def _personal_table(summary: Mapping[str, Any]) -> Table:
    from rich.text import Text

    said = people_headline(summary)
    title = "" if said is None else f"{said.text}: {said.reason}" if said.withheld else said.text
    table = empty_table(title, "\n".join(_notes(summary)))
    table.add_column("", overflow="fold", min_width=13)
    for heading in SPLITS.values():
        table.add_column(heading, justify="right", overflow="fold", min_width=17)
    table.add_row(Text("wins over", style="bold"))
    found: Mapping[str, Mapping[str, Cell]] = summary["benchmarks"]["personal"]
    for opponent, cells in found.items():
        source = {str(cell.get("source") or "") for cell in cells.values()}
        mark = " *" if "recorded" in source else ""
        table.add_row(
            Text.assemble(opponent, (mark, "dim")),
            *(_win(cells.get(split)) for split in SPLITS),
        )
        if any(is_number(cell.get("shuffled_win_rate")) for cell in cells.values()):
            for name, label in (("shuffled", "  another's"), ("null", "  nobody's")):
                table.add_row(
                    Text(label, style="dim"),
                    *(_control(cells.get(split), name) for split in SPLITS),
                )
            table.add_row(
                Text("  own, points"),
                *(_gain(cells.get(split)) for split in SPLITS),
            )
    matrix = summary["benchmarks"].get("personal_matrix") or {}
    if matrix:
        table.add_section()
        table.add_row(
            Text("own liked best"),
            *(plain(rate(matrix.get(split), "own_is_best")) for split in SPLITS),
        )
    return table


def _users_table(summary: Mapping[str, Any]) -> Table:
    from rich.text import Text

    caption = "how often the right user is among the K best; 95% intervals, users are the sample"
    table = empty_table("users told apart by their embeddings", caption)
    for heading in ("", "top-1", "top-5", "top-16"):
        table.add_column(heading, justify="right" if heading else "left", overflow="fold")
    for block in identified(summary):
        table.add_row(Text(f"{block['encoder']}, {block['kind']}", style="bold"))
        if block["reason"]:
            table.add_row(Text(f"  {block['reason']}", style="dim"))
        if not block["chance"]:
            continue
        for row in block["rows"]:
            table.add_row(Text(f"  {row['name']}"), *row["cells"], plain(row["headline"]))
        _dim(table, "  chance", *block["chance"])
        for label, cells in block["ceilings"]:
            _dim(table, f"  ceiling: {label}", *cells)
    return table


def _dim(table: Table, *cells: str) -> None:
    from rich.text import Text

    table.add_row(*(Text(cell, style="dim") for cell in cells))


def _win(cell: Cell | None) -> Text:
    from rich.text import Text

    shown = rate(cell, "win_rate")
    if not shown.value:
        return Text(_absent(cell), style="dim")
    interval = f" [{shown.interval}]" if shown.interval else ""
    return Text.assemble((shown.value, STYLES[outcome(cell)]), interval)


def _absent(cell: Cell | None) -> str:
    """What stands in place of a win rate that there is not."""
    if cell is None:
        return "not measured"
    return "not recorded" if _unrecorded(cell) else "undefined"


def _unrecorded(cell: Cell) -> bool:
    """Whether the opponent was neither drawn nor recorded."""
    return not cell.get("source") and not cell.get("n")


def _control(cell: Cell | None, name: str) -> Text:
    """A control's win rate."""
    rates = ("win_rate", "ci_low", "ci_high")
    return plain(rate({key: (cell or {}).get(f"{name}_{key}") for key in rates}, "win_rate"))


def _gain(cell: Cell | None) -> Text:
    """The personal gain in points; the row says that they are."""
    shown = rate(named(cell, "personal_gain"), "personal_gain")
    return plain(replace(shown, value=shown.value.removesuffix("%")))


def _notes(summary: Mapping[str, Any]) -> list[str]:
    """What stands below: samples, chance, fidelity, who is left out and why."""
    found = people(summary) or {}
    cells: Mapping[str, Mapping[str, Cell]] = summary["benchmarks"]["personal"]
    lines = [
        "by each user's exact taste, ties count half; another's: drawn for another user; own, "
        "points: own minus another's; 95% intervals, users are the sample"
    ]
    if found.get("matrix"):
        lines.append(f"own picture liked best of its group: {found['matrix']['chance']} by chance")
    whole = (found.get("fidelity") or {}).get("whole")
    if whole:
        pair = f"{summary['model']} minus {summary['baseline']}"
        lines.append(f"caption fidelity, {pair}: {whole['shown']}")
    lines += found.get("unserved") or []
    blank = [
        (opponent, cell)
        for opponent, own in cells.items()
        for cell in own.values()
        if cell.get("reason") and not is_number(cell.get("win_rate"))
    ]
    reasons = dict.fromkeys(str(cell["reason"]) for _, cell in blank if not _unrecorded(cell))
    lines += [f"undefined: {reason}" for reason in reasons]
    unrecorded = dict.fromkeys(opponent for opponent, cell in blank if _unrecorded(cell))
    if unrecorded:
        lines.append(f"not recorded: {', '.join(unrecorded)}; --model NAME draws one afresh")
    return lines
