"""Where a win rate over an opponent comes from: what all users gain, and what is one's own.

Total gain = population gain + personal gain, on the cases that have all three images. The
population gain is what a picture drawn for somebody else wins beyond one half; the personal gain is
what one's own picture wins beyond that. Intervals resample users. Elsewhere: win rates themselves
(`personal`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ppdbench.benchmarks.pictures import Floats
from ppdbench.statistics.clusters import Clusters, cluster_totals
from ppdbench.statistics.intervals import Interval, cluster_bootstrap_mean
from ppdbench.statistics.permutation import sign_flip_test
from ppdbench.statistics.win_rate import outcomes

GAINS = ("total_gain", "population_gain", "personal_gain", "null_gain")


def gain_parts(
    own: Floats, shuffled: Floats, nobody: Floats, opponent: Floats, users: Clusters
) -> dict[str, Any]:
    """Gains over an opponent, each with interval; null where the images for it are missing.

    Args:
        own: what owners make of their own images, (N,); NaN where there is none, as in all.
        shuffled: of the images for another user.
        nobody: of the images for nobody.
        opponent: of the opponent's images.
        users: owner of each case, (N,).
    """
    labels = np.asarray(users)
    whole = np.isfinite(own) & np.isfinite(shuffled) & np.isfinite(opponent)
    mine = outcomes(own[whole], opponent[whole])
    other = outcomes(shuffled[whole], opponent[whole])
    personal = cluster_bootstrap_mean(mine - other, labels[whole], bounds=(-1.0, 1.0))
    population = cluster_bootstrap_mean(other - 0.5, labels[whole], bounds=(-0.5, 0.5))
    total = cluster_bootstrap_mean(mine - 0.5, labels[whole], bounds=(-0.5, 0.5))
    there = np.isfinite(nobody) & np.isfinite(opponent)
    null = outcomes(nobody[there], opponent[there]) - 0.5
    found = {
        **part("total_gain", total),
        **part("population_gain", population),
        **part("personal_gain", personal),
        **part("null_gain", cluster_bootstrap_mean(null, labels[there], bounds=(-0.5, 0.5))),
        "personal_gain_p_value": None,
    }
    if population.estimate is not None and personal.estimate is not None:
        found["total_gain"] = population.estimate + personal.estimate  # to the last bit
        totals = cluster_totals(labels[whole], mine - other)[:, 0]
        found["personal_gain_p_value"] = sign_flip_test(totals).p_value
    return found


def part(name: str, interval: Interval) -> dict[str, float | None]:
    """An estimate under its name, its bounds beside it."""
    return {
        name: interval.estimate,
        f"{name}_ci_low": interval.ci_low,
        f"{name}_ci_high": interval.ci_high,
    }
