"""The standard deviation that gains are counted in, or that there is none.

Elsewhere: the variance between trainings (`training_spread`), standard errors (`paired`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def standard_deviation(values: ArrayLike) -> float | None:
    """Sample standard deviation (ddof 1) of finite values, (N,).

    None of fewer than two, or where all are alike: three times 0.1 has one of 2e-17 by rounding,
    and a gain in such a unit would be a number with 16 digits before the point.
    """
    array = np.asarray(values, dtype=np.float64)
    if len(array) < 2 or np.ptp(array) <= 1e-12 * np.abs(array).max():
        return None
    return float(np.std(array, ddof=1))
