"""Benchmark `personal` as the page's section: what the template prints, nothing left to compute.

Pure functions of summary.json; None where a run has no such figures. Elsewhere: the sentence above
it (`headline`), the pictures (`people.gallery`), the terminal's table (`people.table`), curves
(`curves`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ppdbench.reports.curves import Plot, Series, plot
from ppdbench.reports.estimate import Estimate
from ppdbench.reports.fidelity import fidelity
from ppdbench.reports.figures import (
    Cell,
    Shown,
    is_number,
    named,
    number,
    p_value,
    points,
    rate,
    verdict,
)
from ppdbench.reports.headline import outcome, people_headline
from ppdbench.reports.plots import Axis, bar, position

Summary = Mapping[str, Any]

SPLITS = {"seen": "seen users", "unseen": "unseen users", "all": "all users"}
GAIN_AXIS: Axis = (-0.5, 1.0)
PARTS = {
    "total_gain": "total gain",
    "population_gain": "population gain: another user's picture",
    "personal_gain": "personal gain: own minus another user's",
}
CEILINGS = {
    "choice": "held-out choices by the true taste, guessed from one set of shots",
    "choice_noisy": "the same, scored by what the user said, errors included",
    "dominant": "the attribute that a user cares most for, guessed from one set of shots",
}


def people(summary: Summary) -> dict[str, Any] | None:
    """Everything of the section but its pictures."""
    found = _found(summary, "personal")
    if not found:
        return None
    base = found.get(summary["baseline"]) or {}
    return {
        "headline": people_headline(summary),
        "tiles": _tiles(base),
        "panels": [_panel(opponent, cells) for opponent, cells in found.items()],
        "parts": [_parts(split, base[split]) for split in SPLITS if _told(base.get(split))],
        "parts_line": position(0.0, GAIN_AXIS),
        "tests": _tests(found),
        "quantiles": [_quantiles(split, base[split]) for split in SPLITS if split in base],
        "dominant": _dominant(base),
        "matrix": _matrix(summary),
        "curve": _curve(summary),
        "between": _between(summary),
        "ceilings": _ceilings(summary),
        "fidelity": fidelity(summary, "personal_fidelity"),
        "unserved": _unserved(summary),
    }


def _tiles(base: Mapping[str, Cell]) -> list[dict[str, Any]]:
    """The true win rate over the baseline, one tile a split."""
    return [
        {"title": SPLITS[split], "estimate": _estimate(split, base[split])}
        for split in ("seen", "unseen")
        if split in base
    ]


def _estimate(name: str, cell: Cell | None) -> Estimate:
    return Estimate(
        name=name,
        shown=rate(cell, "win_rate"),
        bar=bar(cell, "win_rate"),
        verdict=outcome(cell),
        note=_sample(cell),
    )


def _control(cell: Cell, name: str) -> Estimate | None:
    """A control's win rate; None where it was not made."""
    own = {
        "win_rate": cell.get(f"{name}_win_rate"),
        "ci_low": cell.get(f"{name}_ci_low"),
        "ci_high": cell.get(f"{name}_ci_high"),
    }
    if not is_number(own["win_rate"]):
        return None
    return Estimate(
        name=name, shown=rate(own, "win_rate"), bar=bar(own, "win_rate"), verdict=verdict(own, 0.5)
    )


def _panel(opponent: str, cells: Mapping[str, Cell]) -> dict[str, Any]:
    """One opponent: by split, own pictures and the controls."""
    sources = [str(cell.get("source") or "") for cell in cells.values()]
    return {
        "opponent": opponent,
        "source": next((s for s in sources if s), ""),
        "rows": [
            {
                "split": title,
                "own": _estimate(title, cells.get(split)),
                "controls": [
                    (label, found)
                    for name, label in (("shuffled", "for another user"), ("null", "for nobody"))
                    if (found := _control(cells.get(split) or {}, name))
                ],
            }
            for split, title in SPLITS.items()
            if split in cells
        ],
    }


def _told(cell: Cell | None) -> bool:
    """Whether a cell has a personal gain, or says why not; who hears no users has neither."""
    return cell is not None and (is_number(cell.get("personal_gain")) or bool(cell.get("reason")))


def _parts(split: str, cell: Cell) -> dict[str, Any]:
    """Where the gain over the baseline comes from."""
    rows = []
    for key, label in PARTS.items():
        own = named(cell, key)
        rows.append(
            Estimate(
                name=label,
                shown=points(own, key),
                bar=bar(own, key, GAIN_AXIS),
                verdict=verdict(own, 0.0),
            )
        )
    return {"title": SPLITS[split], "rows": rows}


def _tests(found: Mapping[str, Mapping[str, Cell]]) -> list[dict[str, Any]]:
    """Every comparison with its sample, p-values and test."""
    return [
        {
            "opponent": opponent,
            "split": SPLITS.get(split, split),
            "shown": rate(cell, "win_rate"),
            "n": _sample(cell),
            "p": p_value(cell.get("p_value")),
            "holm": p_value(cell.get("p_holm")),
            "gain": points(named(cell if _told(cell) else None, "personal_gain"), "personal_gain"),
            "gain_holm": p_value(cell.get("personal_gain_p_holm")),
            "interval": str(cell.get("interval") or ""),
            "test": str(cell.get("test") or ""),
        }
        for opponent, cells in found.items()
        for split, cell in cells.items()
    ]


def _quantiles(split: str, cell: Cell) -> dict[str, Any]:
    """How users of a split differ, over the baseline."""
    found = cell.get("quantiles") or {}
    gains = found.get("utility_gain") or {}
    rates = found.get("win_rate") or {}
    return {
        "split": SPLITS[split],
        "levels": list(rates) or list(gains),
        "win_rate": [f"{number(100 * value, 0)}%" for value in rates.values() if is_number(value)],
        "utility": [number(value, 2, plus=True) for value in gains.values() if is_number(value)],
        "worse_off": rate(named(cell, "worse_off"), "worse_off"),
    }


def _dominant(base: Mapping[str, Cell]) -> list[Estimate]:
    """Win rate over the baseline by what users care most for."""
    found = (base.get("all") or {}).get("dominant") or (base.get("seen") or {}).get("dominant")
    return [
        Estimate(
            name=name,
            shown=rate(cell, "win_rate"),
            bar=bar(cell, "win_rate"),
            verdict=verdict(cell, 0.5),
            note=f"{cell.get('n_users')} users",
        )
        for name, cell in (found or {}).items()
    ]


def _matrix(summary: Summary) -> dict[str, Any] | None:
    found = _found(summary, "personal_matrix")
    if not found:
        return None
    chance = next(iter(found.values())).get("chance") or 0
    return {
        "chance": f"{number(100 * chance, 1)}%",
        "line": position(chance, (0.0, 1.0)),
        "rows": [
            {
                "split": SPLITS.get(split, split),
                "own": Estimate(
                    name=split,
                    shown=rate(cell, "own_is_best"),
                    bar=bar(cell, "own_is_best"),
                    verdict=verdict(cell, chance),
                ),
                "rank": number(cell.get("mean_rank"), 1),
                "rank_chance": number(cell.get("mean_rank_chance"), 1),
                "n": f"{cell.get('n')} tests, groups: {cell.get('n_groups')}",
            }
            for split, cell in found.items()
        ],
    }


def _curve(summary: Summary) -> dict[str, Any] | None:
    """The shots curve. The suite's ceilings are of guessing choices, and bound no win rate."""
    found = _found(summary, "personal_shots")
    labels = [str(point["shots"]) for point in next(iter(found.values()), [])]
    series = [
        Series(
            name=SPLITS.get(split, split),
            kind=split,
            values=[
                (place, point["win_rate"], point.get("ci_low"), point.get("ci_high"))
                for place, point in enumerate(curve)
                if is_number(point.get("win_rate"))
            ],
        )
        for split, curve in found.items()
        if split != "all"
    ]
    drawn: Plot | None = plot(series, labels)
    if drawn is None:
        return None
    return {
        "plot": drawn,
        "labels": labels,
        "rows": [
            {
                "split": SPLITS.get(split, split),
                "cells": [rate(point, "win_rate") for point in curve],
                "gains": [points(named(point, "over_zero"), "over_zero") for point in curve],
            }
            for split, curve in found.items()
        ],
    }


def _between(summary: Summary) -> list[dict[str, Any]]:
    """Between two users: by split, the first one's trend and the second one's."""
    return [
        {
            "split": SPLITS.get(split, split),
            "users": [
                {
                    "name": title,
                    "rho": _rho(walk[key]),
                    "violations": f"{number(100 * violations, 1)}%"
                    if is_number(violations := walk[key].get("violations"))
                    else "",
                    "ends": rate(named(walk[key], "own_end_win_rate"), "own_end_win_rate"),
                    "p": p_value(walk[key].get("p_holm")),
                    "n": f"{walk[key].get('n')} walks, {walk[key].get('n_pairs')} pairs",
                }
                for key, title in (("first", "first user, falls"), ("second", "second user, rises"))
            ],
        }
        for split, walk in _found(summary, "personal_between").items()
    ]


def _rho(trend: Cell) -> Shown:
    """A rank correlation and its interval."""
    value, low, high = (
        number(trend.get(k), 2, plus=True) for k in ("spearman", "ci_low", "ci_high")
    )
    reason = str(trend.get("reason") or "")
    if not value:
        return Shown(value="", reason=reason or "not measured")
    return Shown(value=value, interval=f"{low} to {high}" if low and high else "", reason=reason)


def _ceilings(summary: Summary) -> list[dict[str, Any]]:
    """What nobody exceeds in the long run, by split; further names of a suite after ours."""
    found = _found(summary, "personal_ceilings")
    return [
        {
            "text": text,
            "cells": [
                (SPLITS.get(split, split), f"{number(100 * rates[name], 1)}%")
                for split, rates in found.items()
                if is_number(rates.get(name))
            ],
        }
        for name, text in CEILINGS.items()
        if any(name in rates for rates in found.values())
    ]


def _unserved(summary: Summary) -> list[str]:
    """Who cannot serve whom."""
    return [
        f"{name} cannot serve {split} users: {count} are left out"
        for name, about in (summary.get("generators") or {}).items()
        for split, count in (about.get("unserved") or {}).items()
    ]


def _sample(cell: Cell | None) -> str:
    if cell is None or cell.get("n") is None:
        return ""
    n, expected = cell["n"], cell.get("n_expected")
    pairs = f"{n} of {expected} pairs" if expected not in (None, n) else f"{n} pairs"
    return f"{cell.get('n_users')} users, {pairs}"


def _found(summary: Summary, key: str) -> Mapping[str, Any]:
    return summary["benchmarks"].get(key) or {}
