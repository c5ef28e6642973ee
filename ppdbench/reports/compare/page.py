"""The page of a comparison: one file that needs nothing else, made from its summary.json alone.

Styles, script and the frame's macros are those of a run's report. Elsewhere: its sentence
(`compare.headline`), its sections (`compare.sections`), the files of its drawings
(`compare.figures`), its layout (`templates/compare.html.j2`), the terminal's tables
(`compare.table`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ppdbench.errors import PpdbenchError
from ppdbench.reports.compare.figures import comparison_figures
from ppdbench.reports.compare.headline import comparison_headline, headline_claims
from ppdbench.reports.compare.list import described, listed
from ppdbench.reports.compare.rows import (
    SPLITS,
    Difference,
    Summary,
    around_zero,
    difference,
    labels,
    over_average,
    pairs,
    rank,
    runs_of,
    title_of,
)
from ppdbench.reports.compare.sections import sections
from ppdbench.reports.environment import fill
from ppdbench.reports.figures import EN_DASH, Shown, named
from ppdbench.reports.files.figure import write_figures
from ppdbench.reports.html import headings
from ppdbench.reports.plots import RATE_AXIS, Bar, bar
from ppdbench.reports.summary import is_comparison, read_summary
from ppdbench.runs.atomic import write_atomic


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A run in an order of several."""

    letter: str
    label: str
    rank: str
    shown: Shown
    bar: Bar | None
    beats: str


def write_comparison(folder: Path) -> Path:
    """Write report.html and the figures of a comparison; returns the page's path.

    Raises:
        PpdbenchError: summary.json is missing, damaged, of another version or of no comparison, or
            a file cannot be written.
    """
    summary = read_summary(folder / "summary.json")
    if not is_comparison(summary):
        raise PpdbenchError(
            f"{folder} is no comparison", fix="build a run's page with `ppdbench report`"
        )
    names = write_figures(folder, comparison_figures(summary))
    path = folder / "report.html"
    write_atomic(path, render(summary, names, folder.resolve().name))
    return path


def render(summary: Summary, names: tuple[str, ...] = (), folder: str = "") -> str:
    """The page's text.

    Args:
        summary: the comparison's.
        names: of the figures whose files lie beside the page.
        folder: the comparison's name.
    """
    return fill(
        "compare.html.j2",
        summary=summary,
        headline=comparison_headline(summary),
        tiles=tiles(summary),
        several=len(summary["runs"]) > 2,
        sections=sections(summary),
        rankings=rankings(summary),
        listed=listed(summary),
        described=described(summary),
        runs=[_run(run) for run in summary["runs"]],
        left_out=[
            {**each, "runs": runs_of(summary, each["runs"], "and"), "pair": each["runs"]}
            for each in summary.get("left_out") or []
        ],
        figures=names,
        headings=headings,
        pair_names=[
            (pair.replace("-", EN_DASH), runs_of(summary, pair, "over or minus"))
            for pair in pairs(summary)
        ],
        folder=folder,
    )


def tiles(summary: Summary) -> list[Difference]:
    """What the headline is about, of two runs: each of its figures, large."""
    if len(summary["runs"]) > 2:
        return []
    (pair,) = pairs(summary)
    found = headline_claims(summary, pair)
    axes = {
        unit: RATE_AXIS if unit == "rate" else around_zero(c for _, u, c in found if u == unit)
        for _, unit, _ in found
    }
    return [difference(summary, pair, name, cell, unit, axes[unit]) for name, unit, cell in found]


def rankings(summary: Summary) -> list[dict[str, Any]]:
    """The orders of three runs or more, a panel each."""
    found = []
    for benchmark, ranked in (summary.get("ranking") or {}).items():
        for what, order in ranked.items():
            of_rewards = benchmark.startswith("rewards")
            title = title_of(summary, what) if of_rewards else SPLITS[what]
            standings = sorted(
                (_standing(summary, letter, own, order) for letter, own in order["runs"].items()),
                key=lambda each: (each.rank, -(each.bar.middle if each.bar else 0.0), each.letter),
            )
            found.append(
                {
                    "title": f"{title}, gold" if benchmark == "rewards_gold" else title,
                    "benchmark": benchmark,
                    "rows": standings,
                    "reason": str(order.get("reason") or ""),
                    "n": order["n"],
                }
            )
    return found


def _standing(
    summary: Summary, letter: str, own: Mapping[str, Any], order: Mapping[str, Any]
) -> Standing:
    name = "win_rate_over_average"
    known = labels(summary)
    return Standing(
        letter=letter,
        label=known[letter],
        rank=rank(own),
        shown=over_average(own, order),
        bar=bar(named(own, name), name),
        beats=", ".join(known[each] for each in own["beats"]),
    )


def _run(run: Mapping[str, Any]) -> dict[str, Any]:
    """A run as the page names it."""
    seeds = run.get("training_seeds") or []
    trained = "not told"
    if len(seeds) > 1:
        trained = f"{len(seeds)} times, here seed {run['training_seed']}"
    elif seeds:
        trained = f"once, seed {seeds[0]}"
    elif run.get("training_seed") is not None:
        trained = f"seed {run['training_seed']}"
    measured_on = f"the first {run['limit']}" if run.get("limit") else "all"
    return {**run, "trained": trained, "measured_on": measured_on}
