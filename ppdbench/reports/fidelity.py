"""How often pictures show what their caption says, as a table of the page; of any benchmark.

Pure functions of summary.json. Elsewhere: the figures (`benchmarks`), the sections that show it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ppdbench.reports.details import source
from ppdbench.reports.figures import is_number, points, rate, sample_size, verdict


def fidelity(summary: Mapping[str, Any], key: str = "caption_fidelity") -> dict[str, Any] | None:
    """How often images show what their caption says, and the model's difference to the base.

    Args:
        summary: the run's.
        key: the benchmark's figures; its differences are under the same key and "_difference".
    """
    found = _found(summary, key)
    if not found:
        return None
    facts = list(dict.fromkeys(f for cells in found.values() for f in cells if f != "all"))
    facts += ["all"] * any("all" in cells for cells in found.values())
    differences = _found(summary, f"{key}_difference")
    return {
        "facts": facts,
        "rows": [
            {
                "name": name,
                "model": name == summary["model"],
                "source": source(summary, name),
                "cells": [rate(cells.get(fact), "rate") for fact in facts],
                "n": max((c["n"] for c in cells.values() if is_number(c.get("n"))), default=0),
            }
            for name, cells in found.items()
        ],
        "differences": [points(differences.get(fact), "difference") for fact in facts]
        if differences
        else [],
        "whole": {
            "shown": points(whole, "difference"),
            "verdict": verdict(whole, 0.0),
            "n": sample_size(whole),
        }
        if (whole := differences.get("all"))
        else None,
    }


def _found(summary: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    return summary["benchmarks"].get(key) or {}
