"""All figures of a run's page that are written as files, in the order of the page.

Elsewhere: what a figure is and how one is added (`files.figure`); a comparison has a list of its
own (`compare.page`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ppdbench.reports.files.figure import Figure
from ppdbench.reports.interpolation.figures import interpolation_figures
from ppdbench.reports.judge.calibration_figures import calibration_figures
from ppdbench.reports.judge.figures import judge_figures
from ppdbench.reports.people.figures import people_figures
from ppdbench.reports.people.users_figures import users_figures
from ppdbench.reports.rewards.figures import reward_figures
from ppdbench.reports.tradeoff.figures import tradeoff_figures


def figures_of(summary: Mapping[str, Any]) -> list[Figure]:
    """The figures of a run: of each benchmark that it has.

    Args:
        summary: the content of summary.json, with `baseline`, `benchmarks` and `model` in it.
    """
    builders = (
        reward_figures,
        interpolation_figures,
        tradeoff_figures,
        users_figures,
        people_figures,
        judge_figures,
        calibration_figures,
    )
    return [figure for build in builders for figure in build(summary)]
