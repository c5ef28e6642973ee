"""Holm's step-down correction for testing several hypotheses at once.

Source: Holm (1979), Scandinavian Journal of Statistics 6, 65-70.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Adjusted p-values, shape (M,), in the order given; the family is all that is passed.

    Args:
        p_values: shape (M,), each in [0, 1]; leave out hypotheses that were not tested.

    Raises:
        ValueError: a p-value is outside [0, 1] or not a number.
    """
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1 or not np.all((p >= 0) & (p <= 1)):
        raise ValueError("p-values must lie in [0, 1]")
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p))))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(steps, 1.0)
    return adjusted
