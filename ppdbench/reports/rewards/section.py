"""A summary as the page's sections: what the template prints, with nothing left to compute.

Pure functions of summary.json; a benchmark that a run does not have gives None, and its section is
left out. Elsewhere: who was measured and where (`details`), files (`html`), images (`gallery`),
layout (`templates/`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ppdbench.reports.details import source
from ppdbench.reports.estimate import Estimate
from ppdbench.reports.figures import (
    Cell,
    decimals_for,
    is_number,
    number,
    p_value,
    rate,
    sample_size,
    verdict,
)
from ppdbench.reports.headline import outcome, reward_names, reward_title
from ppdbench.reports.plots import bar, position, ratio_axis, tint
from ppdbench.reports.rewards.training import training_note

Summary = Mapping[str, Any]


def tiles(summary: Summary) -> list[dict[str, Any]]:
    """The model against the baseline, one tile a reward, its gold twin's win rate beside."""
    if not _of_rewards(summary):
        return []
    cells = _benchmark(summary, "rewards").get(summary["baseline"]) or {}
    gold = _benchmark(summary, "rewards_gold").get(summary["baseline"]) or {}
    return [
        {
            "title": reward_title(summary, name),
            "estimate": _win(name, cells.get(name)),
            "gold": rate(gold[name], "win_rate") if name in gold else None,
        }
        for name in reward_names(summary)
    ]


def comparisons(summary: Summary) -> list[dict[str, Any]]:
    """Fig. 3: by reward, the model's win rate against each opponent; gold beside each."""
    if not _of_rewards(summary):
        return []
    ours, gold = _benchmark(summary, "rewards"), _benchmark(summary, "rewards_gold")
    return [
        {
            "title": reward_title(summary, name),
            "rows": [
                {
                    "opponent": opponent,
                    "source": _cell_source(summary, opponent, ours[opponent].get(name)),
                    "ours": _win(opponent, ours[opponent].get(name)),
                    "training": training_note(ours[opponent].get(name)),
                    "gold": _win(opponent, gold[opponent].get(name)) if opponent in gold else None,
                }
                for opponent in ours
            ],
        }
        for name in reward_names(summary)
    ]


def tests(summary: Summary) -> list[dict[str, Any]]:
    """Every comparison with its sample, p-values and test, gold ones included."""
    return [
        {
            "opponent": opponent,
            "reward": f"{reward_title(summary, name)}{suffix}",
            "shown": rate(cell, "win_rate"),
            "n": sample_size(cell),
            "p": p_value(cell.get("p_value")),
            "holm": p_value(cell.get("p_holm")),
            "interval": str(cell.get("interval") or ""),
            "test": str(cell.get("test") or ""),
            "source": _cell_source(summary, opponent, cell),
        }
        for key, suffix in (("rewards", ""), ("rewards_gold", ", gold"))
        for opponent, cells in _benchmark(summary, key).items()
        for name, cell in cells.items()
    ]


def matrix(summary: Summary) -> dict[str, Any] | None:
    """The heat map user x reward; the diagonal is a user's own reward."""
    found = _benchmark(summary, "matrix")
    if not found:
        return None
    names = reward_names(summary)
    columns = [name for name in names if any(name in cells for cells in found.values())]
    users = [name for name in names if name in found] + [u for u in found if u not in names]
    leading = sum(_leads(found, name) for name in columns if name in found)
    return {
        "columns": [reward_title(summary, name) for name in columns],
        "rows": [
            {
                "user": f"{reward_title(summary, user)} user",
                "cells": [
                    {
                        "shown": rate(found[user].get(name), "win_rate"),
                        "tint": tint(found[user].get(name)),
                        "own": user == name,
                    }
                    for name in columns
                ],
            }
            for user in users
        ],
        "leading": leading,
        "of": sum(name in found for name in columns),
    }


def categories(summary: Summary) -> dict[str, Any] | None:
    """The model's win rates over the baseline by caption category."""
    found = _benchmark(summary, "categories")
    if not found:
        return None
    names = reward_names(summary)
    return {
        "columns": [reward_title(summary, name) for name in names],
        "rows": [
            {
                "category": category,
                "n": _pairs(cells.values()),
                "cells": [rate(cells.get(name), "win_rate") for name in names],
            }
            for category, cells in found.items()
        ],
    }


def shares(summary: Summary, key: str, value: str) -> list[Estimate] | None:
    """Ratios by reward: "gain" over the upper bound's, or "gold_gain" kept of the gain."""
    found = _benchmark(summary, key)
    if not found:
        return None
    axis = ratio_axis(found.values(), value)
    other = "upper_bound_gain" if key == "gain" else "gold_gain"
    return [
        Estimate(
            name=reward_title(summary, name),
            shown=rate(cell, value),
            bar=bar(cell, value, axis),
            verdict=verdict(cell, 1.0),
            note=" · ".join(
                f"{label} {number(cell.get(k), decimals_for([cell.get(k)]) - 1, plus=True)}"
                for k, label in (("gain", "gain"), (other, other.replace("_", " ")))
                if is_number(cell.get(k))
            ),
        )
        for name, cell in found.items()
    ]


def share_line(summary: Summary, key: str, value: str) -> float:
    """Where 100% lies on the tracks of `shares`."""
    return position(1.0, ratio_axis(_benchmark(summary, key).values(), value))


def _of_rewards(summary: Summary) -> bool:
    """Whether rewards were compared; a run of other benchmarks alone scores by them, too."""
    return "rewards" in summary["benchmarks"] or not summary["benchmarks"]


def _benchmark(summary: Summary, key: str) -> Mapping[str, Any]:
    return summary["benchmarks"].get(key) or {}


def _win(name: str, cell: Cell | None) -> Estimate:
    return Estimate(
        name=name,
        shown=rate(cell, "win_rate"),
        bar=bar(cell, "win_rate"),
        verdict=outcome(cell),
        note=sample_size(cell) if cell else "",
    )


def _pairs(cells: Iterable[Mapping[str, float] | None]) -> str:
    """Pairs that rates rest on, as "n = 260"."""
    counts = sorted({int(cell["n"]) for cell in cells if cell})
    return f"n = {' or '.join(map(str, counts))}" if counts else ""


def _cell_source(summary: Summary, opponent: str, cell: Cell | None) -> str:
    return str((cell or {}).get("source") or source(summary, opponent))


def _leads(found: Mapping[str, Mapping[str, Cell]], name: str) -> bool:
    """Whether the own user's rate lies above every other user's, by more than its interval."""
    low = found[name].get(name, {}).get("ci_low")
    others = [cells.get(name, {}).get("win_rate") for user, cells in found.items() if user != name]
    return is_number(low) and all(is_number(other) and low > other for other in others)
