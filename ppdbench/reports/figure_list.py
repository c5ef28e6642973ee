"""All figures of a run's page that are written as files, in the order of the page.

Elsewhere: what a figure is and how one is added (`figure_files`); a comparison has a list of its
own (`compared`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ppdbench.reports.figure_files import Figure
from ppdbench.reports.figures_of_calibration import calibration_figures
from ppdbench.reports.figures_of_interpolation import interpolation_figures
from ppdbench.reports.figures_of_judge import judge_figures
from ppdbench.reports.figures_of_people import people_figures
from ppdbench.reports.figures_of_rewards import reward_figures
from ppdbench.reports.figures_of_tradeoff import tradeoff_figures
from ppdbench.reports.figures_of_users import users_figures


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
