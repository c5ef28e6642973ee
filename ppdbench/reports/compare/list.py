"""Every difference of a comparison that was tested, in one list: what tables print.

Elsewhere: one difference (`compare.rows`), the drawings of the page (`compare.sections`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ppdbench.reports.compare import tradeoff as compare_tradeoff
from ppdbench.reports.compare.interpolation import directed
from ppdbench.reports.compare.rows import (
    FIDELITY,
    KINDS,
    SHOTS,
    SPLITS,
    Difference,
    Summary,
    Unit,
    difference,
    figures,
    runs_of,
    title_of,
)
from ppdbench.reports.figures import Cell, points

VIEWS: Mapping[str, tuple[str, Unit]] = {
    "head_to_head": ("head to head", "rate"),
    "mean": ("mean, SD", "deviations"),
    "over_baseline": ("over base, pts", "points"),
}
"""View -> how a terminal calls it, and what its figures are in."""
SAID = {
    "head_to_head": "head to head",
    "mean": "mean score",
    "over_baseline": "win rate over the baseline",
}
ALONG: Mapping[str, tuple[str, str, Unit]] = {
    "spearman": ("Spearman", "mean Spearman of score and weight", "correlation"),
    "corner_win_rate": ("ends won, pts", "all weight beats none", "points"),
    "endpoint_gain": ("gain, SD", "gain from no weight to all", "deviations"),
}
"""View of a directed test -> how a terminal calls it, the same in full, and its unit."""
TRADED: Mapping[str, tuple[str, str, Unit]] = {
    "gain": ("gain, SD", "gain over the baseline", "gain"),
    "gold_gain": ("gold gain, SD", "the same by the gold reward", "gain"),
    "divergence_before_last": ("divergence, nats", "divergence without the last step", "nats"),
    "divergence": ("all steps, nats", "divergence over all steps", "nats"),
    "diversity": ("diversity", "diversity of a caption's pictures", "diversity"),
}
"""View of a trade-off, likewise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A line of a table of all differences."""

    heading: str
    """What differs: "Aesthetic, gold", "seen users"."""
    group: str
    """The same, short enough for a terminal."""
    short: str
    """How it is looked at, short likewise."""
    view: str
    """The same in full."""
    own: Difference


def listed(summary: Summary) -> list[Listed]:
    """Every difference that was tested, benchmark by benchmark, what differs by what differs."""
    return [
        *_views(summary),
        *_interpolation(summary),
        *_tradeoff(summary),
        *_judge(summary),
        *_users(summary),
        *_fidelity(summary),
    ]


def described(summary: Summary) -> list[dict[str, Any]]:
    """Caption fidelity fact by fact, which is not tested."""
    return [
        {
            "title": title,
            "runs": runs_of(summary, pair, "minus"),
            "facts": [(fact, points(cell, "difference")) for fact, cell in cells.items()],
        }
        for key, title in FIDELITY.items()
        for pair, cells in figures(summary, key).items()
        if len(cells) > 1
    ]


def _views(summary: Summary) -> Iterator[Listed]:
    """Rewards, gold ones and true wins, each by its views."""
    for benchmark, suffix in (("rewards", ""), ("rewards_gold", ", gold"), ("personal", "")):
        for pair, cells in figures(summary, benchmark).items():
            for what, views in cells.items():
                of_users = benchmark == "personal"
                name = SPLITS[what] if of_users else f"{title_of(summary, what)}{suffix}"
                heading = f"true wins, {name}" if of_users else name
                group = f"true, {name}" if of_users else name
                for key, (short, unit) in VIEWS.items():
                    if key not in views:
                        continue
                    own = difference(summary, pair, name, views[key], unit)
                    yield Listed(heading=heading, group=group, short=short, view=SAID[key], own=own)


def _interpolation(summary: Summary) -> Iterator[Listed]:
    """Directed tests by their views, those by gold rewards after their own."""
    for pair, name, *both in directed(summary):
        for suffix, cells in zip(("", ", gold"), both, strict=True):
            for key, (short, view, unit) in ALONG.items():
                if cells and cells[key]["n"]:
                    own = difference(summary, pair, name, cells[key], unit)
                    group = f"{name}{suffix}"
                    yield Listed(heading=group, group=group, short=short, view=view, own=own)


def _tradeoff(summary: Summary) -> Iterator[Listed]:
    """By each reward its gains, and what its pictures cost; of pictures for nobody that once."""
    found = {
        (pair, name, key): (cell, unit)
        for key, (_, _, unit) in TRADED.items()
        for pair, name, cell, _ in compare_tradeoff.view_of(summary, key)
        if cell["n"]
    }
    names = dict.fromkeys((pair, name) for pair, name, _ in found)
    for pair, name in names:
        for key, (short, view, _) in TRADED.items():
            if (pair, name, key) in found:
                cell, unit = found[pair, name, key]
                group = f"trade-off, {name}"
                yield Listed(
                    heading=group,
                    group=group,
                    short=short,
                    view=view,
                    own=difference(summary, pair, name, cell, unit),
                )


def _judge(summary: Summary) -> Iterator[Listed]:
    for pair, splits in figures(summary, "judge").items():
        for split, arms in splits.items():
            for arm, cell in arms.items():
                if cell["n"]:
                    own = difference(summary, pair, SPLITS[split], cell, "points")
                    yield Listed(
                        heading=f"the judge, {SPLITS[split]}",
                        group=f"judge, {split}",
                        short=f"{arm}, pts",
                        view=SHOTS[arm],
                        own=own,
                    )


def _users(summary: Summary) -> Iterator[Listed]:
    for pair, kinds in figures(summary, "users").items():
        for kind, title in KINDS.items():
            own: Mapping[str, Cell] = kinds.get(kind) or {}
            for key, cell in own.items():
                if key.startswith("top") and cell["n"]:
                    name = f"top-{key.removeprefix('top')}"
                    found = difference(summary, pair, name, cell, "points")
                    yield Listed(
                        heading=f"users told apart {title}",
                        group=title,
                        short=f"{name}, pts",
                        view=f"{name} accuracy",
                        own=found,
                    )


def _fidelity(summary: Summary) -> Iterator[Listed]:
    for key, title in FIDELITY.items():
        for pair, cells in figures(summary, key).items():
            if "all" in cells:
                own = difference(summary, pair, "all of the caption", cells["all"], "points")
                yield Listed(
                    heading="caption fidelity",
                    group="caption fidelity",
                    short=f"{title.split()[0].lower()}, pts",
                    view=f"caption fidelity, {title.lower()}",
                    own=own,
                )
