"""The terminal's table: a run's central figures, with intervals, in eighty columns.

Names come from plug-ins and files, so they are printed as plain text, never as markup. Elsewhere:
the page (`html`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from ppdbench.reports import details
from ppdbench.reports.fidelity import fidelity
from ppdbench.reports.figures import MINUS, Shown, Verdict
from ppdbench.reports.headline import headline, reward_names, reward_title
from ppdbench.reports.rewards import section as page
from ppdbench.reports.rewards.mean_table import means
from ppdbench.reports.rewards.training import training_seeds

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

WIDE = 76
STYLES: Mapping[Verdict, str] = {"above": "green", "below": "red", "open": "", "undefined": "dim"}


def eval_table(summary: Mapping[str, Any]) -> Table:
    """A summary as a table: mean scores, and the model's win rates over each opponent.

    Args:
        summary: the content of summary.json.
    """
    from rich.text import Text

    said = headline(summary)
    title = f"{said.text}: {said.reason}" if said.withheld else said.text
    table = empty_table(title, "\n".join(_notes(summary)))
    table.add_column("", overflow="fold", min_width=13)
    titles = [reward_title(summary, name) for name in reward_names(summary)]
    for title in titles:
        table.add_column(Text(title), justify="right", overflow="fold", min_width=11)
    _add_means(table, summary, len(titles))
    _add_wins(table, summary, "ours", f"{summary['model']} wins over")
    if summary["benchmarks"].get("rewards_gold"):
        _add_wins(table, summary, "gold", "by gold rewards")
    return table


def plain(shown: Shown) -> Text:
    """A figure and its interval without colour; a dash where there is none."""
    from rich.text import Text

    if not shown.value:
        return Text("\N{EN DASH}", style="dim")
    return Text(shown.value + (f" [{shown.interval}]" if shown.interval else ""))


def empty_table(title: str, caption: str) -> Table:
    """A table as all of ours look, without columns yet; title and caption are plain text."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    return Table(
        title=Text(title),
        caption=Text("\n".join(_wrapped(caption))),
        title_style="bold",
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1),
    )


def _wrapped(text: str) -> list[str]:
    """Lines of at most `WIDE` characters: rich cuts a letter off where a line just fits."""
    return [part for line in text.splitlines() for part in wrap(line, WIDE) or [""]]


def _add_means(table: Table, summary: Mapping[str, Any], columns: int) -> None:
    from rich.text import Text

    table.add_row(Text("mean score", style="bold"))
    rows = means(summary)["rows"]
    for row in rows:
        cells = [
            Text.assemble(
                (cell["text"] or "not measured", "bold" if cell["best"] else ""),
                (f" {cell['n']}" if cell["n"] else "", "dim"),
            )
            for cell in row["cells"][:columns]
        ]
        table.add_row(_name(row["name"], row["source"]), *cells, end_section=row is rows[-1])


def _add_wins(table: Table, summary: Mapping[str, Any], key: str, title: str) -> None:
    from rich.text import Text

    panels = page.comparisons(summary)
    opponents = [row["opponent"] for row in panels[0]["rows"]] if panels else []
    table.add_row(Text(title, style="bold"))
    for index, opponent in enumerate(opponents):
        found = [panel["rows"][index][key] for panel in panels]
        cells = [
            _reading(estimate.shown, estimate.verdict) if estimate else Text("not measured")
            for estimate in found
        ]
        source = panels[0]["rows"][index]["source"]
        table.add_row(_name(opponent, source), *cells, end_section=index == len(opponents) - 1)


def _reading(shown: Shown, verdict: Verdict) -> Text:
    from rich.text import Text

    if not shown.value:
        return Text("not measured" if shown.gap == shown.reason else "undefined", style="dim")
    return Text.assemble(
        (shown.value, STYLES[verdict]), f" [{shown.interval}]" if shown.interval else ""
    )


def stacked(shown: Shown, style: str = "") -> Text:
    """A value with its interval below, as short as a narrow column needs; a dash for none."""
    from rich.text import Text

    if not shown.value:
        return Text("\N{EN DASH}", style="dim")
    ends = shown.interval.replace("+", "")
    short = ends if MINUS in ends else ends.replace(" to ", "\N{EN DASH}")
    return Text.assemble((shown.value, style), (f"\n{short}" if short else "", "dim"))


def _name(name: str, source: str) -> Text:
    from rich.text import Text

    return Text.assemble(name, (" *" if source == "recorded" else "", "dim"))


def _notes(summary: Mapping[str, Any]) -> list[str]:
    """What stands below the table: intervals, fidelity, coverage, reasons."""
    lines = ["win rates with 95% intervals; ties count half"]
    if any(details.source(summary, name) == "recorded" for name in summary.get("generators") or {}):
        lines[0] += "; * recorded earlier"
    whole = (fidelity(summary) or {}).get("whole")
    if whole:
        pair = f"{summary['model']} minus {summary['baseline']}"
        lines.append(f"caption fidelity, {pair}: {whole['shown']}")
    lines += _training_seeds(summary)
    matrix = page.matrix(summary)
    if matrix:
        lines.append(f"own user clearly best: {matrix['leading']} of {matrix['of']} rewards")
    if summary["n_ok"] != summary["n_expected"]:
        lines.append(f"only {summary['n_ok']} of {summary['n_expected']} items are done")
    return lines + [f"undefined: {reason}" for reason in _reasons(page.comparisons(summary))]


def _training_seeds(summary: Mapping[str, Any]) -> list[str]:
    """How the model's win rates over the baseline move with its training's seed."""
    for row in training_seeds(summary):
        if row["model"] and not row["several"]:
            return [f"one training seed: {row['seeds']}"]
        if row["model"]:
            said = [
                f"{reward_title(summary, name)} {cell or 'not measured'}"
                for name, cell in zip(reward_names(summary), row["cells"], strict=True)
            ]
            pairs = f" ({row['n']})" if row["n"] else ""
            return [f"training seeds {row['seeds']}{pairs}: {', '.join(said)}"]
    return []


def _reasons(panels: Sequence[Mapping[str, Any]]) -> list[str]:
    shown = [
        row[key].shown
        for panel in panels
        for row in panel["rows"]
        for key in ("ours", "gold")
        if row[key]
    ]
    return list(dict.fromkeys(s.reason for s in shown if not s.value and s.gap != s.reason))
