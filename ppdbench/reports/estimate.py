"""One figure of a section with its bar, as every template prints it.

Elsewhere: its number and interval (`figures`), its bar (`plots`).
"""

from __future__ import annotations

from dataclasses import dataclass

from ppdbench.reports.figures import Shown, Verdict
from ppdbench.reports.plots import Bar


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """One figure with its bar, ready to print."""

    name: str
    shown: Shown
    bar: Bar | None
    verdict: Verdict
    note: str = ""
