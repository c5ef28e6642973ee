"""Figures as people read them: percent, intervals, p-values; what is undefined says why.

Files hold rates from 0 to 1 and nulls with a reason; pages and terminals show what is made of
them here. Elsewhere: where a mark is drawn (`plots`), what is said about figures (`headline`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeGuard

Cell = Mapping[str, Any]
"""One estimate of a summary: a value, ci_low, ci_high, n; null values come with a `reason`."""

Verdict = Literal["above", "below", "open", "undefined"]
"""How an interval lies to a reference: above it, below it, around it; or there is none."""

MINUS = "\N{MINUS SIGN}"
EN_DASH = "\N{EN DASH}"
NOT_MEASURED = "not measured"
NO_REASON = "no reason is recorded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A value and its interval as text; exactly one of `value` and `reason` may be empty."""

    value: str
    interval: str = ""
    reason: str = ""

    @property
    def gap(self) -> str:
        """What stands where the value would."""
        return self.reason if self.reason == NOT_MEASURED else f"undefined: {self.reason}"

    def __str__(self) -> str:
        if not self.value:
            return self.gap
        return f"{self.value} [{self.interval}]" if self.interval else self.value


def rate(cell: Cell | None, key: str) -> Shown:
    """A rate or ratio in percent: "92.5%" and "88.9-95.1"."""
    return _shown(cell, key, lambda x: _signed(100 * x, 1), unit="%")


def points(cell: Cell | None, key: str) -> Shown:
    """A difference of rates in percentage points, always with its sign."""
    return _shown(cell, key, lambda x: _signed(100 * x, 1, plus=True), unit=" points")


def signed(cell: Cell | None, key: str, decimals: int = 2) -> Shown:
    """A gain or a correlation, which has no unit of its own, always with its sign."""
    return _shown(cell, key, lambda x: _signed(x, decimals, plus=True), unit="")


def number(value: Any, decimals: int, *, plus: bool = False) -> str:
    """A number with so many decimals and a real minus sign; empty if it is none."""
    return _signed(value, decimals, plus=plus) if is_number(value) else ""


def span(low: Any, high: Any, decimals: int) -> str:
    """An interval with so many decimals; empty where either end is no number."""
    if not is_number(low) or not is_number(high):
        return ""
    return _between(_signed(low, decimals), _signed(high, decimals))


def decimals_for(values: Iterable[Any]) -> int:
    """Decimals that leave four significant digits in the largest of a column."""
    largest = max((abs(v) for v in values if is_number(v)), default=0.0)
    return 3 if largest == 0 else min(6, max(0, 3 - math.floor(math.log10(largest))))


def percent(value: Any, decimals: int = 1) -> str:
    """A rate without an interval, in percent; empty if it is none."""
    return f"{_signed(100 * value, decimals)}%" if is_number(value) else ""


def count(value: Any) -> str:
    """How many: "7,504"; empty if it is no number."""
    return f"{value:,.0f}" if is_number(value) else ""


def p_value(value: Any) -> str:
    """A p-value to three decimals; "< 0.001" below them; empty if it is none."""
    if not is_number(value):
        return ""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def duration(seconds: float) -> str:
    """Seconds as a person says them: 0.4 s, 38 s, 2 min 05 s, 1 h 02 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def verdict(cell: Cell | None, reference: float) -> Verdict:
    """Where a cell's interval lies to a reference value."""
    low, high = (cell or {}).get("ci_low"), (cell or {}).get("ci_high")
    if not is_number(low) or not is_number(high):
        return "undefined"
    return "above" if low > reference else "below" if high < reference else "open"


def named(cell: Cell | None, name: str) -> Cell | None:
    """A figure of a cell that has its own interval, as a cell; None where it was not made."""
    if cell is None or name not in cell:
        return None
    return {
        name: cell.get(name),
        "ci_low": cell.get(f"{name}_ci_low"),
        "ci_high": cell.get(f"{name}_ci_high"),
        "reason": cell.get("reason"),
    }


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a value from a file is a finite number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def sample_size(cell: Cell) -> str:
    """What a figure rests on, as "n = 250 of 260"; empty where it is not told."""
    n, expected = cell.get("n"), cell.get("n_expected")
    if n is None:
        return ""
    return f"n = {n} of {expected}" if expected not in (None, n) else f"n = {n}"


def _shown(cell: Cell | None, key: str, form: Any, *, unit: str) -> Shown:
    if cell is None:
        return Shown(value="", reason=NOT_MEASURED)
    reason = str(cell.get("reason") or "")
    if not is_number(cell.get(key)):
        return Shown(value="", reason=reason or NO_REASON)
    value = form(cell[key]) + unit
    low, high = cell.get("ci_low"), cell.get("ci_high")
    if not is_number(low) or not is_number(high):
        return Shown(value=value, reason=reason or "no interval")
    return Shown(value=value, interval=_between(form(low), form(high)), reason=reason)


def _between(*ends: str) -> str:
    # A dash between signed numbers reads as another minus.
    return (" to " if any(end[0] in f"+{MINUS}" for end in ends) else EN_DASH).join(ends)


def _signed(value: float, decimals: int, *, plus: bool = False) -> str:
    text = f"{abs(value):.{decimals}f}"
    if not float(text):
        return text
    return (MINUS if value < 0 else "+" if plus else "") + text
