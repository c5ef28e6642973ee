"""Pure functions on arrays: intervals, tests and corrections. numpy and scipy only.

Everything is clustered (two images of one caption are not two observations), everything random
takes a seed, and what cannot be known is `None` with a reason: never NaN, never 0.
"""

from ppdbench.statistics.holm import holm
from ppdbench.statistics.intervals import (
    Interval,
    cluster_bootstrap_mean,
    ratio_of_means_interval,
    wilson,
)
from ppdbench.statistics.permutation import SignFlip, sign_flip_test
from ppdbench.statistics.win_rate import WinRate, outcomes, win_rate

__all__ = [
    "Interval",
    "SignFlip",
    "WinRate",
    "cluster_bootstrap_mean",
    "holm",
    "outcomes",
    "ratio_of_means_interval",
    "sign_flip_test",
    "wilson",
    "win_rate",
]
