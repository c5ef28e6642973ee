"""Benchmark `judge` as the page's section: what the template prints, nothing left to compute.

Pure functions of summary.json; None where a run has no such figures. Elsewhere: the sentence above
it (`headline`), what the judge is worth (`judge.calibrated`), its bill (`judge.bill`), some of its
verdicts (`judge.verdicts`), the terminal's table (`judge.table`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ppdbench.reports.estimate import Estimate
from ppdbench.reports.fidelity import fidelity
from ppdbench.reports.figures import (
    NOT_MEASURED,
    Cell,
    Shown,
    count,
    is_number,
    named,
    p_value,
    percent,
    points,
    rate,
    span,
    verdict,
)
from ppdbench.reports.headline import outcome
from ppdbench.reports.judge.calibrated import figure, sample
from ppdbench.reports.judge.headline import calibrating, calibration_of
from ppdbench.reports.judge.position_bias import bias_points, bias_says
from ppdbench.reports.people.section import SPLITS
from ppdbench.reports.plots import bar

Summary = Mapping[str, Any]

SHOTS = {"shared": "shared shots", "disjoint": "disjoint shots"}
"""What the judge is shown of the user: the pairs that the generator was given, or other ones."""
CONTROLS = {
    "zero_shots": "no shots: the judge is shown nothing of the user",
    "other_shots": "another user's shots are shown to the judge",
    "other_context": "the generator is given another user's context",
}
SHORT = {
    "zero_shots": "no shots",
    "other_shots": "another user's shots",
    "other_context": "another user's picture",
}
PAPER = {"seen": 0.83, "unseen": 0.78, "all": 0.81}
"""Consistent-only win rates of PPD over Stable Cascade as printed, arXiv 2501.06655, Sec. 5.2."""
COMPARISONS = "comparisons"
FUNNEL = {
    "comparisons": "comparisons planned",
    "drawn": "with both pictures drawn",
    "asked_calls": "calls for them, two a comparison",
    "ok_calls": "calls that gave an answer",
    "judged": "comparisons judged in both orders",
    "consistent": "with the same answer in both orders",
}


def judged(summary: Summary) -> dict[str, Any] | None:
    """Everything of the section but its pictures."""
    found: Mapping[str, Cell] = summary["benchmarks"].get("judge") or {}
    splits = {split: found[split] for split in SPLITS if found.get(split)}
    if not splits:
        return None
    about = summary.get("judge") or {}
    arms = [arm for arm in SHOTS if any(own.get(arm) for own in splits.values())]
    return {
        "name": str(about.get("name") or "the judge"),
        "personal": about.get("personal") is not False,
        "shots": about.get("shots"),
        "arms": arms,
        "headline_shots": SHOTS[headline_arm(splits.values())],
        "tiles": [_tile(split, own) for split, own in _tiled(splits).items()],
        "panels": [_panel(split, own) for split, own in splits.items()],
        "truth": any(is_number(own.get("true_win_rate")) for own in splits.values()),
        "withheld": bool(summary.get("withheld")),
        "controls": [panel for split, own in splits.items() if (panel := _controls(split, own))],
        "consistent": _consistent_rows(splits),
        "paper": [(title, paper_rate(split)) for split, title in SPLITS.items()],
        "flagged": [
            f"{SPLITS[split]}, {label}"
            for split, own in _tiled(splits).items()
            for name, label in SHOTS.items()
            if (arm(own, name) or {}).get("first_pick_bias_flagged")
        ],
        "orders": [_orders(split, own) for split, own in splits.items()],
        "tests": _tests(splits),
        "methods": _methods(splits),
        "fidelity": fidelity(summary, "judge_fidelity"),
        "funnel": _funnel(summary["benchmarks"].get("judge_funnel")),
        "uncalibrated": calibration_of(summary)[1],
        "calibrating": calibrating(summary),
    }


def headline_arm(splits: Iterable[Cell]) -> str:
    """Which shots controls are held against: what the judge knows for itself, where it is asked."""
    return "disjoint" if any(own.get("disjoint") for own in splits) else "shared"


def arm(own: Cell, name: str) -> Cell | None:
    """A split's figures with shots of a kind; None where they were not judged."""
    found: Cell | None = own.get(name)
    return found or None


def headline_cell(own: Cell) -> Cell:
    """A split's figures with the headline's shots."""
    return arm(own, headline_arm([own])) or {}


def inflation(own: Cell) -> Shown:
    """Shared minus disjoint shots, in points."""
    if arm(own, "shared") is None or arm(own, "disjoint") is None:
        return Shown(value="", reason=NOT_MEASURED)
    return figure(own, "inflation", points, "no comparison was judged with both")


def control(own: Cell, name: str) -> Cell | None:
    """A control's figures; None where it was not judged."""
    found: Cell | None = (own.get("controls") or {}).get(name)
    return found or None


def paper_rate(split: str) -> str:
    """What the paper prints for a split."""
    return f"{100 * PAPER[split]:.0f}%"


def _tiled(splits: Mapping[str, Cell]) -> Mapping[str, Cell]:
    """The splits that have a tile: seen and unseen where they are, else all."""
    return {s: splits[s] for s in ("seen", "unseen") if s in splits} or splits


def _tile(split: str, own: Cell) -> dict[str, Any]:
    """The win rate that is not inflated where it is known, and what stands beside it."""
    shown = "disjoint" if arm(own, "disjoint") else "shared"
    beside = []
    if shown == "disjoint" and arm(own, "shared"):
        beside.append(("shared shots", "beside", rate(arm(own, "shared"), "win_rate")))
    if is_number(own.get("true_win_rate")):
        beside.append(("in truth", "", figure(own, "true_win_rate", rate)))
    return {
        "title": f"{SPLITS[split]}, {SHOTS[shown]}",
        "estimate": _win(SPLITS[split], arm(own, shown)),
        "beside": beside,
    }


def _win(name: str, cell: Cell | None) -> Estimate:
    return Estimate(
        name=name,
        shown=rate(cell, "win_rate"),
        bar=bar(cell, "win_rate"),
        verdict=outcome(cell),
        note=sample(cell, COMPARISONS),
    )


def _panel(split: str, own: Cell) -> dict[str, Any]:
    """One split: shared and disjoint shots, the inflation, and the truth where it is known."""
    true = named(own, "true_win_rate")
    known = is_number((true or {}).get("true_win_rate"))
    return {
        "title": SPLITS[split],
        "rows": [
            {
                "estimate": _win(label, cell),
                "accuracy": figure(cell, "accuracy", rate)
                if is_number(cell.get("accuracy"))
                else None,
            }
            for name, label in SHOTS.items()
            if (cell := arm(own, name))
        ],
        "inflation": inflation(own),
        "inflated": _inflated(own),
        "truth": Estimate(
            name="in truth",
            shown=rate(true, "true_win_rate"),
            bar=bar(true, "true_win_rate"),
            verdict=verdict(true, 0.5),
        )
        if known
        else None,
    }


def _inflated(own: Cell) -> str:
    """What the inflation's interval says, in words; empty where there is none."""
    words = {
        "above": "shared shots flatter the model",
        "below": "shared shots do not flatter the model",
        "open": "no inflation is shown",
        "undefined": "",
    }
    return words[verdict(named(own, "inflation"), 0.0)]


def _controls(split: str, own: Cell) -> dict[str, Any] | None:
    """The win rate and what becomes of it where judge or generator know nothing of the user."""
    rows = []
    for name, label in CONTROLS.items():
        cell = control(own, name)
        if cell is None:
            continue
        difference = figure(cell, "difference", points, "no comparison was judged with both")
        rows.append(
            {
                "estimate": Estimate(
                    name=label,
                    shown=rate(cell, "win_rate"),
                    bar=bar(cell, "win_rate"),
                    verdict=verdict(cell, 0.5),
                    note=sample(cell, COMPARISONS),
                ),
                "difference": difference,
                "place": _by_place(cell),
                "p": p_value(cell.get("difference_p_value")),
                "verdict": verdict(named(cell, "difference"), 0.0) if difference.value else "open",
            }
        )
    if not rows:
        return None
    cell = headline_cell(own)
    return {"title": SPLITS[split], "own": _win(SHOTS[headline_arm([own])], cell), "rows": rows}


def _by_place(cell: Cell) -> str:
    """That the place decides in this arm, with what is left where it does; empty where not."""
    if not cell.get("first_pick_bias_flagged"):
        return ""
    left = figure(cell, "debiased_win_rate", rate)
    without = f"; with the pull taken out {left.value} [{left.interval}]" if left.value else ""
    return (
        f"position bias found: {bias_points(cell.get('first_pick_bias'))} net, decided alike in "
        f"both orders {percent(cell.get('coverage'))}{without}"
    )


def _consistent_rows(splits: Mapping[str, Cell]) -> list[dict[str, Any]]:
    """The paper's rate, with what it leaves out."""
    return [
        {
            "split": SPLITS[split],
            "shots": name,
            "rate": consistent(cell),
            "coverage": figure(cell, "coverage", rate),
            "bounds": bounds(cell),
            "counts": [count(cell.get(k)) for k in ("wins", "losses", "flips", "ties")],
            "tie_half": rate(cell, "win_rate"),
            "paper": paper_rate(split) if name == "shared" else "",
        }
        for split, own in splits.items()
        for name in SHOTS
        if (cell := arm(own, name))
    ]


def consistent(cell: Cell) -> Shown:
    """The paper's rate of an arm."""
    absent = str(cell.get("consistent_reason") or "no answer was consistent")
    return figure(cell, "consistent_win_rate", rate, absent)


def bounds(cell: Cell) -> str:
    """Between what the rate lies, whatever the left-out comparisons would say; or nothing."""
    low, high = cell.get("lower_bound"), cell.get("upper_bound")
    if not is_number(low) or not is_number(high):
        return ""
    return f"{span(100 * low, 100 * high, 1)}%"


def _orders(split: str, own: Cell) -> dict[str, Any]:
    """The 2 x 2 of both orders' picks, and what it says of a pull to one place."""
    cell = headline_cell(own)
    table = [
        [
            ("picked both times by its place", "first_first", "even"),
            ("the model's picture both times", "wins", "win"),
        ],
        [
            ("the baseline's picture both times", "losses", "lose"),
            ("picked both times by its place", "second_second", "even"),
        ],
    ]
    n = cell.get("n")
    told = [cell[key] for row in table for _, key, _ in row if is_number(cell.get(key))]
    rest = n - sum(told) if is_number(n) and len(told) == 4 else 0
    log_odds = named(cell, "debiased_win_rate")
    return {
        "title": SPLITS[split],
        "n": sample(cell, COMPARISONS),
        "cells": [
            [
                {
                    "says": says,
                    "kind": kind,
                    "n": count(cell.get(key)),
                    "share": _share(cell.get(key), n),
                }
                for says, key, kind in row
            ]
            for row in table
        ],
        "rest": count(rest) if rest > 0 else "",
        "bias": bias_points(cell.get("first_pick_bias")),
        "p": p_value(cell.get("first_pick_bias_p_value")),
        "flagged": bool(cell.get("first_pick_bias_flagged")),
        "says": _bias_says(cell),
        "first": percent(cell.get("first_pick_rate")),
        "debiased": rate(log_odds, "debiased_win_rate")
        if is_number((log_odds or {}).get("debiased_win_rate"))
        else None,
        "others": [
            {
                "shots": label,
                "bias": bias_points(other.get("first_pick_bias")),
                "p": p_value(other.get("first_pick_bias_p_value")),
                "flagged": bool(other.get("first_pick_bias_flagged")),
                "says": _bias_says(other),
            }
            for name, label in SHOTS.items()
            if name != headline_arm([own]) and (other := arm(own, name))
        ],
        "reason": str(cell.get("reason") or ""),
    }


def _bias_says(cell: Cell) -> str:
    return bias_says(cell.get("first_pick_bias"), cell.get("first_pick_bias_flagged"))


def _tests(splits: Mapping[str, Cell]) -> list[dict[str, Any]]:
    """Every arm with its sample, p-values and test."""
    rows = [
        (split, label, cell)
        for split, own in splits.items()
        for label, cell in (
            *((label, arm(own, name)) for name, label in SHOTS.items()),
            *((label, control(own, name)) for name, label in SHORT.items()),
        )
        if cell
    ]
    return [
        {
            "split": SPLITS[split],
            "arm": label,
            "shown": rate(cell, "win_rate"),
            "n": count(cell.get("n")),
            "p": p_value(cell.get("p_value")),
            "holm": p_value(cell.get("p_holm")),
            "coverage": percent(cell.get("coverage")),
            "bias": bias_points(cell.get("first_pick_bias")),
        }
        for split, label, cell in rows
    ]


def _methods(splits: Mapping[str, Cell]) -> list[str]:
    """How intervals and p-values were found, each way once."""
    cells = [cell for own in splits.values() for name in SHOTS if (cell := arm(own, name))]
    ways = [
        f"{what}: {cell[key]}"
        for key, what in (("interval", "intervals"), ("test", "tests"))
        for cell in cells
        if cell.get(key) not in (None, "", "none")
    ]
    return list(dict.fromkeys(ways))


def _funnel(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """From users to consistent answers, and what was left out on the way."""
    if not found:
        return None
    users = found.get("users") or {}
    steps = [("users", ", ".join(f"{count(n)} {split}" for split, n in users.items()))]
    steps += [
        (text, count(found[key])) for key, text in FUNNEL.items() if is_number(found.get(key))
    ]
    return {
        "steps": [step for step in steps if step[1]],
        "excluded": [(reason, count(n)) for reason, n in (found.get("excluded") or {}).items()],
    }


def _share(part: Any, whole: Any) -> str:
    return percent(part / whole) if is_number(part) and is_number(whole) and whole else ""
