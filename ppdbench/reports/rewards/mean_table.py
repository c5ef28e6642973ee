"""Table 1 of the page and the terminal: mean scores with intervals, ready to print.

Elsewhere: the other figures of rewards (`rewards.section`), how figures are written (`figures`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ppdbench.reports.details import source
from ppdbench.reports.figures import Cell, decimals_for, is_number, number, span
from ppdbench.reports.headline import reward_names, reward_title


def means(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Table 1: mean scores with intervals, a row an opponent and one for the model.

    The best of a column is marked only where all its means rest on the same items, which is sure
    where each has every item; elsewhere each says its n.
    """
    blocks = [("rewards", "Rewards"), ("rewards_gold", "Gold rewards")]
    cells = {key: summary["benchmarks"].get(key) or {} for key, _ in blocks}
    present = [(key, title) for key, title in blocks if cells[key]]
    names = reward_names(summary)
    rows: dict[str, list[_Mean]] = {}
    opponents = list(dict.fromkeys(o for key, _ in present for o in cells[key]))
    for opponent in opponents:
        rows[opponent] = [
            _Mean.of(cells[key].get(opponent, {}).get(name), "opponent_mean")
            for key, _ in present
            for name in names
        ]
    rows[summary["model"]] = [
        _own_mean(cells[key], summary["baseline"], name) for key, _ in present for name in names
    ]
    columns = list(zip(*rows.values(), strict=True))
    printed = {name: list(map(_mean_cell, found, columns)) for name, found in rows.items()}
    return {
        "uneven": any(cell["n"] for found in printed.values() for cell in found),
        "groups": [(title, len(names)) for _, title in present],
        "columns": [reward_title(summary, name) for _ in present for name in names],
        "rows": [
            {
                "name": name,
                "model": name == summary["model"],
                "source": source(summary, name),
                "cells": found,
            }
            for name, found in printed.items()
        ],
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mean:
    """A mean score of Table 1 and what it rests on; None where it is not known."""

    value: Any = None
    low: Any = None
    high: Any = None
    n: Any = None
    whole: bool = False
    """Whether it rests on every item that there should be."""

    @classmethod
    def of(cls, cell: Cell | None, key: str) -> _Mean:
        if cell is None or not is_number(cell.get(key)):
            return cls()
        n = cell.get("n")
        return cls(
            value=cell[key],
            low=cell.get(f"{key}_ci_low"),
            high=cell.get(f"{key}_ci_high"),
            n=n,
            whole=is_number(n) and n == cell.get("n_expected"),
        )


def _own_mean(cells: Mapping[str, Mapping[str, Cell]], baseline: str, name: str) -> _Mean:
    """The model's mean, over the pairs with the baseline where there are any."""
    for opponent in (baseline, *cells):
        mean = _Mean.of(cells.get(opponent, {}).get(name), "mean")
        if is_number(mean.value):
            return mean
    return _Mean()


def _mean_cell(mean: _Mean, column: Sequence[_Mean]) -> dict[str, Any]:
    known = [other for other in column if is_number(other.value)]
    decimals = decimals_for(other.value for other in known)
    same_items = all(other.whole for other in known)
    highest = max((other.value for other in known), default=None)
    text = number(mean.value, decimals)
    return {
        "text": text,
        "interval": span(mean.low, mean.high, decimals),
        "n": "" if same_items or not is_number(mean.n) else f"n = {mean.n}",
        # As printed: of two that read alike, one alone in bold would be more than is shown.
        "best": bool(text) and same_items and len(known) > 1 and text == number(highest, decimals),
    }
