"""Rows of figures from the cells of a summary: a value, its interval, what it rests on, or why not.

Elsewhere: what the columns are for (`files.figure`).
"""

from __future__ import annotations

from typing import Any

from ppdbench.reports.figures import Cell, is_number
from ppdbench.reports.files.figure import Value

NOTHING = "not measured"


def row_of(cell: Cell | None, key: str, **places: Value) -> dict[str, Value]:
    """A row: where it stands (`panel`, `row`, `series`, `x`), then the figure of a cell.

    Args:
        cell: the summary's; None where there is none.
        key: the figure's name in it; the interval is under `ci_low` and `ci_high`.
        places: further columns, which come first.
    """
    found = cell or {}
    known = is_number(found.get(key))
    return {
        **places,
        "value": number_of(found, key),
        "ci_low": number_of(found, "ci_low") if known else None,
        "ci_high": number_of(found, "ci_high") if known else None,
        "n": number_of(found, "n"),
        "reason": None if known else str(found.get("reason") or NOTHING),
    }


def number_of(found: Any, key: str) -> float | int | None:
    """A finite number of a mapping; None where it has none."""
    value = (found or {}).get(key)
    return value if is_number(value) else None
