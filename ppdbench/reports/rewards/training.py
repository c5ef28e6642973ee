"""How much of an interval is the training's luck: shares, trainings, and spread over seeds.

Pure functions of summary.json; summaries that tell no trainings give less. Elsewhere: the figures
(`benchmarks.training_seeds`, `statistics.training_spread`), the page's other sections
(`rewards.section`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ppdbench.reports.details import source
from ppdbench.reports.figures import Cell, is_number, number, percent, rate
from ppdbench.reports.headline import reward_names, reward_title
from ppdbench.reports.quoted import joined

Summary = Mapping[str, Any]


def training(summary: Summary) -> dict[str, Any] | None:
    """Everything of the section; None where nothing is known of trainings."""
    seeds = training_seeds(summary)
    found: Mapping[str, Mapping[str, Cell]] = summary["benchmarks"].get("rewards") or {}
    told = any(_told(cell) for cells in found.values() for cell in cells.values())
    if not seeds and not told:
        return None
    names = reward_names(summary)
    return {
        "told": told,
        "in_intervals": in_intervals(summary),
        "titles": [reward_title(summary, name) for name in names],
        "lines": _lines(summary, found) if told else [],
        "cells": [
            {
                "opponent": opponent,
                "source": source(summary, opponent),
                "trainings": _trainings(cells.values()),
                "cells": [_share(cells.get(name)) for name in names],
            }
            for opponent, cells in found.items()
            if any(_told(cell) for cell in cells.values())
        ],
        "seeds": seeds,
    }


def in_intervals(summary: Summary) -> bool:
    """Whether intervals of the rewards take in how trainings differ, for some row at least."""
    found: Mapping[str, Mapping[str, Cell]] = summary["benchmarks"].get("rewards") or {}
    return any(
        is_number(cell.get("training_share")) for cells in found.values() for cell in cells.values()
    )


def training_note(cell: Cell | None) -> str:
    """What stands below one win rate; empty where its interval is over captions alone."""
    share = _percent((cell or {}).get("training_share"))
    return f"variance from the training: {share}" if share else ""


def training_seeds(summary: Summary) -> list[dict[str, Any]]:
    """What each system that tells it was trained with, and how its win rates move with that."""
    names = reward_names(summary)
    return [
        {
            "name": name,
            "model": name == summary["model"],
            "seeds": ", ".join(map(str, found["seeds"])),
            "several": len(found["seeds"]) > 1,
            "n": _pairs((found["win_rate"] or {}).values()),
            "cells": [_spread((found["win_rate"] or {}).get(reward)) for reward in names],
        }
        for name, found in (summary["benchmarks"].get("training_seeds") or {}).items()
    ]


def _told(cell: Cell) -> bool:
    return isinstance(cell.get("n_trainings"), Mapping)


def _count(cell: Cell, whose: str) -> int | None:
    n = (cell.get("n_trainings") or {}).get(whose)
    return int(n) if is_number(n) else None


def _lines(summary: Summary, found: Mapping[str, Mapping[str, Cell]]) -> list[str]:
    """Who has one training only, so that no interval knows its luck."""
    cells = [cell for own in found.values() for cell in own.values() if _told(cell)]
    alone = [summary["model"]] if any(_count(cell, "model") == 1 for cell in cells) else []
    alone += [
        opponent
        for opponent, own in found.items()
        if opponent != summary["baseline"]
        and any(_told(cell) and _count(cell, "opponent") == 1 for cell in own.values())
    ]
    if not alone:
        return []
    each = " each" if len(alone) > 1 else ""
    return [f"Of {joined(alone)} one training{each} is on record: how lucky it was is not known."]


def _trainings(cells: Iterable[Cell]) -> str:
    """How many trainings of the model stand against how many of the opponent."""
    counts = {(_count(cell, "model"), _count(cell, "opponent")) for cell in cells if _told(cell)}
    return " or ".join(
        f"{ours or 'unknown'} against {theirs or 'unknown'}"
        for ours, theirs in sorted(counts, key=str)
    )


def _share(cell: Cell | None) -> dict[str, str]:
    """One win rate: the training's share, the interval over captions alone and with both."""
    if cell is None or not is_number(cell.get("win_rate")):
        return {"share": "", "why": "not measured", "captions": "", "interval": ""}
    share = _percent(cell.get("training_share"))
    alone = {
        "win_rate": cell["win_rate"],
        "ci_low": cell.get("items_ci_low"),
        "ci_high": cell.get("items_ci_high"),
    }
    return {
        "share": share,
        "why": "" if share else "one training" if _told(cell) else "not known",
        "captions": rate(alone, "win_rate").interval,
        "interval": rate(cell, "win_rate").interval if share else "",
    }


def _percent(share: Any) -> str:
    """A share in whole percent; one that is small is not nothing."""
    if is_number(share) and 0 < share < 0.005:
        return "under 1%"
    return percent(share, 0)


def _spread(found: Mapping[str, float] | None) -> str:
    """Mean and range over seeds; empty where there is nothing to compare."""
    if not found:
        return ""
    mean, low, high = (number(100 * found[key], 1) for key in ("mean", "min", "max"))
    return f"{mean}% ({low} to {high})"


def _pairs(cells: Iterable[Mapping[str, float] | None]) -> str:
    """Pairs that the rates over seeds rest on, as "n = 260"."""
    counts = sorted({int(cell["n"]) for cell in cells if cell})
    return f"n = {' or '.join(map(str, counts))}" if counts else ""
