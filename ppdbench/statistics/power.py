"""What a comparison of this size can find: the smallest effect that it detects.

An effect below it may be there and not be seen: "not significant" then means "not distinguishable
with so many items", never "equal". Elsewhere: the difference itself (`paired`).

Source: power of the exact binomial test, summed; two-sided normal power for standard errors, as
Miller (2024), "Adding error bars to evals", arXiv 2411.00640, section 5.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats


def minimum_detectable_rate(
    n: int, *, against: float = 0.5, power: float = 0.8, alpha: float = 0.05
) -> float | None:
    """The smallest true rate above `against` that n independent trials find with this power.

    Found: the two-sided exact binomial test of `against` has a p-value of at most `alpha`. Ties
    are no trials: pass how many comparisons are decided. By symmetry 1 - rate is found below 1/2.

    Args:
        n: trials.
        against: the rate under the null, in (0, 1).
        power: chance to find it, in (alpha, 1).
        alpha: two-sided level of the test, in (0, 1).

    Returns:
        A rate in (against, 1), or None where no outcome above `against` is significant at all
        (five trials against 1/2).

    Raises:
        ValueError: n is negative, or a rate, power or level lies outside what is said above.
    """
    if n < 0 or n != int(n):
        raise ValueError(f"{n} trials")
    if not 0 < against < 1 or not 0 < alpha < power < 1:
        raise ValueError(f"a rate of {against}, a power of {power}, a level of {alpha}")
    counts = np.arange(n + 1)
    significant = counts[_p_values(n, against) <= alpha]
    above = significant[significant > n * against]
    if not len(above):
        return None

    def missing(rate: float) -> float:
        return float(stats.binom.pmf(significant, n, rate).sum()) - power

    # At a rate of 1 all n succeed, which is significant: the power there is 1. From the null's
    # own rate up it only rises, but for the lower tail, which adds next to nothing.
    return float(optimize.brentq(missing, against, 1.0, xtol=1e-9))


def minimum_detectable_difference(
    standard_error: float, *, power: float = 0.8, alpha: float = 0.05
) -> float:
    """The smallest true difference that an estimate with this standard error finds.

    (z(1 - alpha / 2) + z(power)) times the standard error, in its unit: 2.80 standard errors by
    default. Normal, so a little too small for few clusters.

    Args:
        standard_error: of the difference, positive.
        power: chance to find it, in (alpha, 1).
        alpha: two-sided level of the test, in (0, 1).

    Raises:
        ValueError: the standard error is not positive and finite, or power and level lie outside
            what is said above.
    """
    if not 0 < standard_error < np.inf:
        raise ValueError(f"a standard error of {standard_error}")
    if not 0 < alpha < power < 1:
        raise ValueError(f"a power of {power}, a level of {alpha}")
    return float((stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(power)) * standard_error)


def _p_values(n: int, against: float) -> NDArray[np.float64]:
    """Two-sided exact binomial p-value of every count, (n + 1,), as `scipy.stats.binomtest` has it.

    The chance of all counts at most as likely as this one.
    """
    chances = stats.binom.pmf(np.arange(n + 1), n, against)
    order = np.sort(chances)
    total = np.cumsum(order)
    # Equally likely counts differ by rounding: as likely is up to 1e-7 of itself, as in scipy.
    at_most = np.searchsorted(order, chances * (1 + 1e-7), side="right")
    return np.asarray(np.minimum(total[at_most - 1], 1.0))
