"""Differences of scores in the unit that runs report gains in: the baseline's standard deviations.

Both runs drew the baseline, and their drawings count alike, so that swapping the runs changes no
unit. Elsewhere: the differences (`compare.cells`), when two baselines are the same
(`compare.unlike`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

import numpy as np

from ppdbench.benchmarks.compare.cells import Cell
from ppdbench.benchmarks.interpolation.figures import CONSTANT, deviation
from ppdbench.benchmarks.rows import Row
from ppdbench.runs.results import Result

SCALED = ("difference", "ci_low", "ci_high", "minimum_detectable")


def standardised(cell: Cell, unit: float | None, reason: str | None) -> Cell:
    """A difference of scores with the same in a unit beside it.

    Args:
        cell: the difference, in the scorer's own unit.
        unit: the baseline's standard deviation; None where it is unknown or 0.
        reason: why it is not asked for, if so.
    """
    in_units: Cell = {
        name: None if unit is None or cell[name] is None else cell[name] / unit for name in SCALED
    }
    if unit is None:
        in_units["reason"] = reason or CONSTANT
    return {**cell, "baseline_deviation": unit, "standardised": in_units}


def pooled_deviation(
    baselines: Iterable[Row], captions: Collection[str], scorer: str
) -> float | None:
    """Standard deviation of a scorer on these captions of the runs' baselines.

    None where one of them has none.
    """
    return pooled(
        [deviation(replace(row, results=_of_captions(row, captions)), scorer) for row in baselines]
    )


def pooled(deviations: Sequence[float | None]) -> float | None:
    """Root of the mean variance of equally many scores each; None where one is unknown."""
    known = [unit for unit in deviations if unit is not None]
    if len(known) < len(deviations):
        return None
    return float(np.sqrt(sum(unit**2 for unit in known) / len(known))) or None


def _of_captions(row: Row, captions: Collection[str]) -> tuple[Result, ...]:
    return tuple(result for result in row.results if result.caption_id in captions)
