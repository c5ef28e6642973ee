"""What sections of a comparison's page are made of: panels of differences on common axes.

Win rates are drawn from 0 to 100% with a line at 50%, everything else around 0. Elsewhere: one
difference (`compare.rows`), the sections (`compare.sections`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ppdbench.reports.compare.rows import (
    DECIMALS,
    Difference,
    Summary,
    Unit,
    around_zero,
    difference,
    in_unit,
)
from ppdbench.reports.figures import Cell, is_number, number
from ppdbench.reports.plots import RATE_AXIS


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A difference, and beside it the same by a gold reward."""

    own: Difference
    gold: Difference | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One drawing: rows on a common axis."""

    title: str
    rows: Sequence[Row]
    ends: tuple[str, str, str]
    """What is printed at the left end, the line and the right end."""
    by_runs: bool
    """Whether rows are told apart by their runs, not by what differs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """What the page says of one benchmark."""

    id: str
    title: str
    hint: str
    panels: Sequence[Panel]
    figures: Sequence[str]
    """Names of its drawings' files."""
    notes: Sequence[str] = field(default_factory=tuple)

    @property
    def gold(self) -> bool:
        """Whether gold rewards are in it."""
        return any(row.gold for panel in self.panels for row in panel.rows)


Found = tuple[str, str, Cell, Cell | None]
"""Pair, what differs in words, its cell, and that of its gold twin."""


def make_panel(
    summary: Summary, title: str, found: Sequence[Found], unit: Unit, *, by_runs: bool
) -> Panel:
    """A drawing of differences in one unit.

    Args:
        summary: the comparison's.
        title: what is above it.
        found: what it shows, a row each.
        unit: of all of them.
        by_runs: whether rows are told apart by their runs alone.
    """
    cells = [cell for _, _, *both in found for cell in both if cell is not None]
    axis = RATE_AXIS if unit == "rate" else around_zero(in_unit(cell, unit) for cell in cells)
    if unit == "rate":
        ends = ("0", "50%", "100%")
    else:
        scale, digits = (100, 0) if unit == "points" else (1, DECIMALS.get(unit, 2))
        ends = (number(scale * axis[0], digits), "0", number(scale * axis[1], digits, plus=True))
    return Panel(
        title=title,
        rows=[
            Row(
                own=difference(summary, pair, what, cell, unit, axis),
                gold=difference(summary, pair, what, gold, unit, axis) if gold else None,
            )
            for pair, what, cell, gold in found
        ],
        ends=ends,
        by_runs=by_runs,
    )


def known(found: Sequence[Found], unit: Unit) -> list[Found]:
    """Those whose difference is known in a unit."""
    return [each for each in found if is_number(in_unit(each[2], unit).get("difference"))]


def left_out(cells: Iterable[Cell]) -> list[str]:
    """Why some of these are not there, a line each."""
    told = (cell.get("reason") for cell in cells)
    return [f"Left out: {reason}." for reason in dict.fromkeys(told) if reason]
