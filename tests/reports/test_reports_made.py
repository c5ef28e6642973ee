"""Summaries made by hand say nothing that a run's could not: each field is known, and of its type.

They may leave out what a page can do without, as those of an older ppdbench do.
"""

from __future__ import annotations

from typing import Any

import compared_figures
import interpolation_figures
import judged_figures
import people_figures
import pytest
import tradeoff_figures
from summary_schema import problems

REFUSED = "benchmarks.judge_shown.2"
"""A verdict that was refused: none is shown, but a page must not break over one."""


def known_to_be_wrong(line: str) -> bool:
    return line.startswith(REFUSED)


@pytest.mark.parametrize(
    "summary",
    [
        judged_figures.summary(),
        judged_figures.calibration_summary(),
        compared_figures.summary(),
        compared_figures.three(),
    ],
    ids=["judge", "calibration", "two compared", "three compared"],
)
def test_a_whole_summary(summary: Any) -> None:
    found = problems(summary, whole=False)
    assert [line for line in found if not known_to_be_wrong(line)] == []


@pytest.mark.parametrize(
    "benchmarks",
    [
        {},
        people_figures.benchmarks(),
        interpolation_figures.benchmarks(),
        {"tradeoff": tradeoff_figures.tradeoff()},
        {"tradeoff": tradeoff_figures.withheld("too much failed")},
    ],
    ids=["rewards", "people", "interpolation", "tradeoff", "tradeoff withheld"],
)
def test_the_benchmarks_of_a_run(figures: dict[str, Any], benchmarks: Any) -> None:
    figures["benchmarks"] |= benchmarks
    assert problems(figures, whole=False) == []


def test_what_is_unknown_is_found(figures: dict[str, Any]) -> None:
    figures["benchmarks"]["gain"]["clip"] |= {"ratios": 1.0, "n": -1}
    found = problems(figures, whole=False)
    assert len(found) == 2
    assert all(line.startswith("benchmarks.gain.clip") for line in found)
