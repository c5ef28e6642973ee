"""Pure functions on arrays: intervals, tests and corrections. numpy and scipy only.

Everything is clustered (two images of one caption are not two observations), everything random
takes a seed, and what cannot be known is `None` with a reason: never NaN, never 0.
"""

from ppdbench.statistics.bradley_terry import BradleyTerry, bradley_terry
from ppdbench.statistics.deviation import standard_deviation
from ppdbench.statistics.holm import holm
from ppdbench.statistics.intervals import (
    Interval,
    cluster_bootstrap_mean,
    exact,
    ratio_of_means_interval,
    wilson,
)
from ppdbench.statistics.paired import PairedDifference, paired_difference
from ppdbench.statistics.permutation import SignFlip, sign_flip_test
from ppdbench.statistics.power import minimum_detectable_difference, minimum_detectable_rate
from ppdbench.statistics.rogan_gladen import Corrected, rogan_gladen
from ppdbench.statistics.training_spread import WithTraining, with_training_spread
from ppdbench.statistics.trend import Trend, rising
from ppdbench.statistics.win_rate import WinRate, outcomes, win_rate

__all__ = [
    "BradleyTerry",
    "Corrected",
    "Interval",
    "PairedDifference",
    "SignFlip",
    "Trend",
    "WinRate",
    "WithTraining",
    "bradley_terry",
    "cluster_bootstrap_mean",
    "exact",
    "holm",
    "minimum_detectable_difference",
    "minimum_detectable_rate",
    "outcomes",
    "paired_difference",
    "ratio_of_means_interval",
    "rising",
    "rogan_gladen",
    "sign_flip_test",
    "standard_deviation",
    "wilson",
    "win_rate",
    "with_training_spread",
]
