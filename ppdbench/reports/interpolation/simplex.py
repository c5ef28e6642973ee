"""The simplex of an interpolation as the page shows it: ternary plots, caption fidelity, a table.

Pure functions of summary.json. Elsewhere: the directed tests (`interpolation.section`), how plots
are laid out (`interpolation.ternary`), the pictures (`interpolation.gallery`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ppdbench.reports.figures import Cell, is_number, named, number, percent, signed
from ppdbench.reports.headline import reward_title
from ppdbench.reports.interpolation.ternary import Point, Ternary, ternary

Summary = Mapping[str, Any]


def ternaries(summary: Summary, *, gold: bool) -> list[Ternary]:
    """A plot a reward: its gain over the baseline on the simplex; empty without a triangle."""
    rewards = list(about_of(summary).get("rewards") or ())
    scorers = twins(summary) if gold else {name: name for name in rewards}
    found = [
        _ternary(
            summary,
            title=reward_title(summary, scorer),
            points=[_gain_point(summary, point, scorer) for point in grid_of(summary)],
            most=largest_gain(summary),
            outlined=rewards.index(reward),
        )
        for reward, scorer in scorers.items()
    ]
    return [plot for plot in found if plot is not None]


def _ternary(
    summary: Summary, title: str, points: Sequence[Point], most: float, outlined: int | None
) -> Ternary | None:
    about = about_of(summary)
    names = [reward_title(summary, name) for name in about.get("rewards") or ()]
    if len(names) != 3 or not is_number(about.get("step")):
        return None
    return ternary(title, names, points, round(1 / about["step"]), most=most, outlined=outlined)


def _gain_point(summary: Summary, point: Mapping[str, Any], scorer: str) -> Point:
    cell = point["rewards"].get(scorer)
    gain = signed(named(cell, "gain"), "gain")
    n = f", n = {cell['n']}" if cell and is_number(cell.get("n")) else ""
    return Point(
        weights=_weights(point),
        value=_number(cell, "gain"),
        text=gain.value,
        said=f"{mixture(summary, point['weights'])}: {gain}{n if gain.value else ''}",
    )


def fidelity(summary: Summary) -> dict[str, Any] | None:
    """How often captions are drawn right over the simplex; None where nobody measured it."""
    known = [
        p["caption_fidelity"] for p in grid_of(summary) if is_number(p.get("caption_fidelity"))
    ]
    if not known:
        return None
    points = [
        Point(
            weights=_weights(point),
            value=_number(point, "caption_fidelity"),
            text=number(100 * value, 0) if (value := _number(point, "caption_fidelity")) else "",
            said=f"{mixture(summary, point['weights'])}: {percent(value) or 'not measured'}",
        )
        for point in grid_of(summary)
    ]
    return {
        "low": percent(min(known)),
        "high": percent(max(known)),
        "plot": _ternary(summary, "All of the caption right, %", points, 1.0, None),
    }


def mixtures(summary: Summary) -> dict[str, Any]:
    """The grid as a table: every mixture by every reward."""
    rewards = list(about_of(summary).get("rewards") or ())
    scorers = [*rewards, *twins(summary).values()]
    grid = grid_of(summary)
    return {
        "weights": [reward_title(summary, name) for name in rewards],
        "columns": [reward_title(summary, name) for name in scorers],
        "fidelity": any(is_number(point.get("caption_fidelity")) for point in grid),
        "rows": [
            {
                "name": mixture(summary, point["weights"]),
                "weights": [f"{point['weights'].get(name, 0):.3g}" for name in rewards],
                "cells": [
                    signed(named(point["rewards"].get(scorer), "gain"), "gain")
                    for scorer in scorers
                ],
                "fidelity": percent(point.get("caption_fidelity")),
            }
            for point in grid
        ],
    }


def mixture(summary: Summary, weights: Mapping[str, float]) -> str:
    """A mixture as people say it: "CLIP 0.25, HPS 0.75"."""
    return ", ".join(
        f"{reward_title(summary, name)} {weight:.3g}" for name, weight in weights.items() if weight
    )


def largest_gain(summary: Summary) -> float:
    """The largest gain or loss of any reward anywhere: the end of the colours of all plots."""
    rewards = about_of(summary).get("rewards") or ()
    scorers = [*rewards, *twins(summary).values()]
    gains = [_number(p["rewards"].get(s), "gain") for p in grid_of(summary) for s in scorers]
    return max((abs(gain) for gain in gains if gain is not None), default=0.0) or 1.0


def twins(summary: Summary) -> dict[str, str]:
    """Reward -> the gold one that stands for it, where there is one."""
    return dict(about_of(summary).get("gold") or {})


def grid_of(summary: Summary) -> Sequence[Mapping[str, Any]]:
    """Every mixture of the simplex, as the summary has it."""
    return summary["benchmarks"].get("interpolation_grid") or ()


def _weights(point: Mapping[str, Any]) -> tuple[float, float, float]:
    first, second, third = [*point["weights"].values(), 0.0, 0.0, 0.0][:3]
    return first, second, third


def _number(cell: Cell | None, key: str) -> float | None:
    value = (cell or {}).get(key)
    return float(value) if is_number(value) else None


def about_of(summary: Summary) -> Mapping[str, Any]:
    """What was drawn; empty where nothing was."""
    return summary["benchmarks"].get("interpolation_about") or {}
