"""The terminal's tables of a comparison: one a pair of runs, one of the order of several.

Eighty columns: a line a difference, with its verdict and what would have been found. Names come
from plug-ins and files, so they are printed as plain text, never as markup. Elsewhere: other tables
(`tables`), the differences (`compare.list`), the page (`compare.page`).
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any

from ppdbench.reports.compare.headline import comparison_headline
from ppdbench.reports.compare.list import Listed, listed
from ppdbench.reports.compare.rows import (
    AFTER,
    SPLITS,
    Difference,
    Summary,
    labels,
    over_average,
    pairs,
    rank,
    runs_of,
    title_of,
)
from ppdbench.reports.figures import EN_DASH
from ppdbench.reports.tables import STYLES, empty_table

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text


def comparison_tables(summary: Summary) -> list[Table]:
    """The tables that a comparison has, in order; the first one bears the headline.

    Args:
        summary: the content of summary.json.
    """
    from rich.text import Text

    found = listed(summary)
    tables = [
        _pair(summary, pair, own)
        for pair in pairs(summary)
        if (own := [each for each in found if each.own.pair == pair])
    ]
    tables += _orders(summary)
    said = comparison_headline(summary)
    text = f"{said.text}: {said.reason}" if said.withheld else said.text
    tables[0].title = Text(f"{text}\n{tables[0].title}")
    tables[-1].caption = empty_table("", "\n".join(_notes(summary))).caption
    return tables


def _pair(summary: Summary, pair: str, found: list[Listed]) -> Table:
    """Every difference of two runs, in groups of what differs."""
    from rich.text import Text

    first, second = pair.split("-")
    known = labels(summary)
    table = empty_table(f"{first}: {known[first]}, {second}: {known[second]}", "")
    table.caption = None
    # No column is to be squeezed below its least width: the table would be too wide by that much.
    table.add_column("", overflow="fold", min_width=16, max_width=18)
    table.add_column(f"{first} over or minus {second}", justify="right", min_width=25)
    table.add_column("verdict", min_width=19)
    table.add_column("finds", justify="right", min_width=5)
    for name, lines in groupby(found, lambda each: each.group):
        table.add_row(Text(name, style="bold"))
        for each in lines:
            table.add_row(
                Text(f"  {each.short}"),
                _value(each.own),
                _verdict(each.own),
                Text(each.own.found_from if each.own.kind == "open" else "", style="dim"),
            )
    return table


def _orders(summary: Summary) -> list[Table]:
    """The runs in one order: rank, then the win rate over a run of average strength."""
    from rich.text import Text

    found = []
    for benchmark, heading in (
        ("rewards", "rank, and wins over a run of average strength"),
        ("personal", "rank, and true wins over a run of average strength"),
    ):
        ranked: Mapping[str, Any] = (summary.get("ranking") or {}).get(benchmark) or {}
        if not ranked:
            continue
        table = empty_table(heading, "")
        table.caption = None
        table.add_column("", overflow="fold", min_width=14)
        for what in ranked:
            name = SPLITS[what] if benchmark == "personal" else title_of(summary, what)
            table.add_column(Text(name), justify="right", overflow="fold", min_width=17)
        for letter, label in labels(summary).items():
            table.add_row(Text(label), *(_place(order, letter) for order in ranked.values()))
        found.append(table)
    return found


def _place(order: Mapping[str, Any], letter: str) -> Text:
    from rich.text import Text

    own = order["runs"].get(letter)
    if own is None:
        return Text(EN_DASH, style="dim")
    shown = over_average(own, order)
    value = f"{shown.value} [{shown.interval}]" if shown.interval else shown.value or "no bound"
    return Text.assemble((rank(own), "bold"), f"\n{value}")


def _value(one: Difference) -> Text:
    from rich.text import Text

    if not one.shown.value:
        return Text("not compared", style="dim")
    value = one.shown.value
    for unit in AFTER.values():  # the line's name says it
        value = value.removesuffix(unit)
    interval = f" [{one.shown.interval}]" if one.shown.interval else ""
    return Text.assemble((value, STYLES[one.kind]), interval)


def _verdict(one: Difference) -> Text:
    from rich.text import Text

    return Text(one.verdict, style="dim" if one.kind == "open" else STYLES[one.kind])


def _notes(summary: Summary) -> list[str]:
    """What stands below the tables."""
    return [
        "95% intervals; higher: interval and Holm's p say so; finds: the smallest difference, or "
        "rate, that 80% of such comparisons would find",
        *(str(note) for note in summary.get("notes") or []),
        *(
            f"not compared: {each['benchmark'].replace('_', ' ')} of "
            f"{runs_of(summary, each['runs'], 'and')}: {each['reason']}"
            for each in summary.get("left_out") or []
        ),
    ]
