"""Benchmark `interpolation` of a comparison's page: whose scores follow the weights more closely.

Elsewhere: the figures (`benchmarks.compare.interpolation`), what sections are made of
(`compare.panels`), all sections (`compare.sections`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ppdbench.reports.compare.panels import Found, Section, known, left_out, make_panel
from ppdbench.reports.compare.rows import Summary, Unit, figures, pairs, title_of

Test = tuple[str, str, Mapping[str, Any], Mapping[str, Any]]
"""Pair, what it is about in words, its views, and those of its gold twin; empty without one."""

VIEWS: Mapping[str, tuple[str, Unit]] = {
    "spearman": ("Spearman of score and weight, mean over captions", "correlation"),
    "corner_win_rate": ("All weight on the reward beats none, in points", "points"),
    "endpoint_gain": (
        "Gain from no weight to all, in standard deviations of the baseline's",
        "deviations",
    ),
}
"""View -> the title of its drawing, and its unit."""


def directed(summary: Summary) -> list[Test]:
    """The directed tests, edge by edge, each of every pair."""
    own, gold = figures(summary, "interpolation"), figures(summary, "interpolation_gold")
    names = dict.fromkeys(
        (edge, reward)
        for cells in own.values()
        for edge, tests in cells.items()
        for reward in tests
    )
    return [
        (
            pair,
            against(summary, edge, reward),
            own[pair][edge][reward],
            ((gold.get(pair) or {}).get(edge) or {}).get(reward) or {},
        )
        for edge, reward in names
        for pair in pairs(summary)
        if reward in ((own.get(pair) or {}).get(edge) or {})
    ]


def against(summary: Summary, edge: str, reward: str) -> str:
    """The reward whose weight grows and the one whose weight falls, as printed."""
    first = edge.startswith(f"{reward}+")
    other = edge.removeprefix(f"{reward}+") if first else edge.removesuffix(f"+{reward}")
    return f"{title_of(summary, reward)} against {title_of(summary, other)}"


def view_of(summary: Summary, view: str) -> list[Found]:
    """One view of every directed test."""
    return [
        (pair, name, own[view], gold.get(view) if "reason" not in gold else None)
        for pair, name, own, gold in directed(summary)
    ]


def following(summary: Summary) -> Section | None:
    """Whose scores follow the weights more closely."""
    panels = [
        make_panel(summary, title, found, unit, by_runs=False)
        for view, (title, unit) in VIEWS.items()
        if (found := known(view_of(summary, view), unit))
    ]
    if not panels:
        return None
    tests = directed(summary)
    scaled = [own["endpoint_gain"].get("standardised") or {} for _, _, own, _ in tests]
    return Section(
        id="interpolation",
        figures=("interpolation-spearman", "interpolation-corners", "interpolation-gains"),
        title="Whose scores follow the weights?",
        hint="Two rewards change hands along an edge of weights, from the same noises, and the "
        "score of the one whose weight grows should rise. How surely it does, how often all "
        "weight on it beats none, and by how much: the first run's less the second's, caption by "
        "caption. A score may follow its weight closely and still gain little.",
        panels=panels,
        notes=left_out([*(own for _, _, own, _ in tests), *scaled]),
    )
