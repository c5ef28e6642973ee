"""Benchmark `interpolation` as the page's section: what the template prints, ready to print.

Pure functions of summary.json; None where a run has no such figures. Elsewhere: the sentence above
it (`interpolation.headline`), the simplex (`interpolation.simplex`), its drawings
(`interpolation.weight_steps`, `interpolation.ternary`), its pictures (`interpolation.gallery`), the
terminal's table (`interpolation.table`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ppdbench.reports.figures import (
    Cell,
    Shown,
    Verdict,
    count,
    is_number,
    named,
    number,
    p_value,
    percent,
    rate,
    signed,
)
from ppdbench.reports.headline import reward_title
from ppdbench.reports.interpolation.headline import (
    Directed,
    control,
    directed,
    interpolation_headline,
    trend,
)
from ppdbench.reports.interpolation.simplex import (
    fidelity,
    grid_of,
    largest_gain,
    mixtures,
    ternaries,
    twins,
)
from ppdbench.reports.interpolation.weight_steps import Step, Steps, drawing, scale_of
from ppdbench.reports.quoted import sample

Summary = Mapping[str, Any]

CONTROLS = {"permuted": "permuted", "base": "base"}
"""Control -> its column: the weights in random orders, and the baseline, which hears none."""
NOT_MADE = Shown(value="", reason="not measured")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One line beside a drawing: a figure of the model, and of each control."""

    name: str
    own: Shown
    controls: tuple[Shown | None, ...]
    """None where a control has no such figure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """One directed test, ready to print."""

    reward: str
    other: str
    verdict: Verdict
    says: str
    plot: Steps | None
    readings: tuple[Reading, ...]


def interpolation(summary: Summary) -> dict[str, Any] | None:
    """Everything of the section but its pictures."""
    about = _found(summary, "interpolation_about")
    if not about:
        return None
    tests = directed(summary)
    return {
        "headline": interpolation_headline(summary),
        "risen": sum(trend(test.cell) == "above" for test in tests),
        "tested": len(tests),
        "about": _about(about),
        "controls": [title for name, title in CONTROLS.items() if _made(summary, name)],
        "edges": _edges(summary, tests),
        "gold": bool(_found(summary, "interpolation_gold")),
        "tests": _tests(summary),
        "categories": _categories(summary),
        "ternaries": ternaries(summary, gold=False),
        "gold_ternaries": ternaries(summary, gold=True),
        "fidelity": fidelity(summary),
        "most": number(largest_gain(summary), 2, plus=True),
        "least": number(-largest_gain(summary), 2),
        "mixtures": mixtures(summary),
    }


def _about(about: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "step": f"{about['step']:.3g}" if is_number(about.get("step")) else "",
        "captions": about.get("captions"),
        "samples": about.get("samples"),
        "mixtures": about.get("mixtures"),
        "permutations": about.get("permutations"),
    }


def _edges(summary: Summary, tests: Sequence[Directed]) -> list[dict[str, Any]]:
    """Edge by edge, its two directed tests with their drawings, all on one scale."""
    paths = {(test.edge, test.reward): _steps(summary, test) for test in tests}
    up = scale_of(list(paths.values()))
    found: dict[str, list[Test]] = {}
    for test in tests:
        found.setdefault(test.edge, []).append(
            Test(
                reward=reward_title(summary, test.reward),
                other=reward_title(summary, test.other),
                verdict=trend(test.cell),
                says=_says(test.cell),
                plot=drawing(paths[test.edge, test.reward], up),
                readings=_readings(summary, test),
            )
        )
    return [
        {"title": " and ".join(one.reward for one in own), "tests": own} for own in found.values()
    ]


def _says(cell: Cell) -> str:
    return {
        "above": "rises",
        "below": "falls",
        "open": "not shown to rise",
        "undefined": "undefined",
    }[trend(cell)]


def path(summary: Summary, test: Directed) -> list[Mapping[str, Any]]:
    """The mixtures on the edge of a test, the weight that grows from 0 to 1."""
    pair = (test.reward, test.other)
    found = [
        point
        for point in grid_of(summary)
        if not any(weight for name, weight in point["weights"].items() if name not in pair)
    ]
    return sorted(found, key=lambda point: float(point["weights"][test.reward]))


def _steps(summary: Summary, test: Directed) -> list[Step]:
    """A path as it is drawn."""
    gold = twins(summary).get(test.reward)
    return [
        _step(point["weights"][test.reward], point["rewards"], test.reward, gold)
        for point in path(summary, test)
    ]


def _step(weight: float, cells: Mapping[str, Cell], reward: str, gold: str | None) -> Step:
    cell, twin = cells.get(reward) or {}, cells.get(gold or "") or {}
    by_gold = _number(twin, "gain")
    told = f", by gold {number(by_gold, 2, plus=True)}" if by_gold is not None else ""
    return Step(
        weight=weight,
        gain=_number(cell, "gain"),
        low=_number(cell, "gain_ci_low"),
        high=_number(cell, "gain_ci_high"),
        gold=by_gold,
        said=f"weight {weight:.3g}: {signed(named(cell, 'gain'), 'gain')}{told}",
    )


READINGS = (
    ("Spearman, median", "median_spearman"),
    ("Spearman, mean", "mean_spearman"),
    ("all weight beats none", "corner_win_rate"),
    ("steps that fall", "violations"),
)


def _readings(summary: Summary, test: Directed) -> tuple[Reading, ...]:
    """The central figures of a test with each control's beside."""
    made = [control(summary, name, test) for name in CONTROLS if _made(summary, name)]
    return tuple(
        Reading(
            name=name,
            own=figure(test.cell, key),
            controls=tuple(_beside(cell, key) for cell in made),
        )
        for name, key in READINGS
    )


def _beside(cell: Cell | None, key: str) -> Shown | None:
    """A control's figure; of one that draws one picture for all places, without its interval."""
    if not is_number((cell or {}).get(key)):
        return None
    shown = figure(cell, key)
    constant = not (cell or {}).get("violations") and shown.interval
    return replace(shown, interval="") if constant else shown


def figure(cell: Cell | None, key: str) -> Shown:
    """One figure of a directed test as printed, with the interval that it has."""
    if cell is None or key not in cell:
        return NOT_MADE
    if key == "median_spearman":
        return signed(cell, key)
    if key == "violations" and is_number(cell[key]):
        return Shown(value=percent(cell[key]))
    own = named(cell, key)
    return rate(own, key) if key in ("corner_win_rate", "violations") else signed(own, key)


def _tests(summary: Summary) -> list[dict[str, Any]]:
    """Every directed test with all its figures, gold ones after the rewards'."""
    return [
        {
            "reward": f"{reward_title(summary, test.reward)}{suffix}",
            "other": reward_title(summary, test.other),
            "verdict": trend(test.cell),
            "median": figure(test.cell, "median_spearman"),
            "mean": figure(test.cell, "mean_spearman"),
            "kendall": number(test.cell.get("median_kendall"), 2, plus=True),
            "isotonic": number(test.cell.get("isotonic_r2"), 2),
            "page_l": count(test.cell.get("page_l")),
            "p": p_value(test.cell.get("p_value")),
            "holm": p_value(test.cell.get("p_holm")),
            "violations": percent(test.cell.get("violations")),
            "corner": figure(test.cell, "corner_win_rate"),
            "gain": figure(test.cell, "endpoint_gain"),
            "n": sample(test.cell, "captions").removeprefix("n = ").removesuffix(" captions"),
            "controls": [
                _beside(cell, "median_spearman") if not suffix else None
                for cell in (
                    control(summary, name, test) for name in CONTROLS if _made(summary, name)
                )
            ],
            "test": str(test.cell.get("test") or ""),
        }
        for key, suffix in (("interpolation", ""), ("interpolation_gold", ", gold"))
        for test in directed(summary, key)
    ]


def _categories(summary: Summary) -> list[dict[str, Any]]:
    """By category of captions: each directed test in short."""
    tests = directed(summary)
    found = _found(summary, "interpolation_categories")
    return [
        {
            "category": category,
            "n": max((c["n"] for c in cells if c and is_number(c.get("n"))), default=None),
            "cells": [
                {
                    "median": figure(cell, "median_spearman"),
                    "corner": figure(cell, "corner_win_rate"),
                    "violations": percent((cell or {}).get("violations")),
                }
                for cell in cells
            ],
        }
        for category, edges in found.items()
        if (cells := [(edges.get(test.edge) or {}).get(test.reward) for test in tests])
    ]


def _made(summary: Summary, name: str) -> bool:
    return bool(_found(summary, "interpolation_controls").get(name))


def _number(cell: Cell | None, key: str) -> float | None:
    value = (cell or {}).get(key)
    return float(value) if is_number(value) else None


def _found(summary: Summary, key: str) -> Mapping[str, Any]:
    return summary["benchmarks"].get(key) or {}
