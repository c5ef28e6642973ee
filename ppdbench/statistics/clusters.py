"""Observations to clusters: one row of totals a cluster, which is all that is resampled.

Elsewhere: what is done with the totals (`bootstrap`, `permutation`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Clusters = Sequence[str] | Sequence[int] | NDArray[np.generic]
"""Cluster label of each observation, shape (N,): the caption's id, say."""


def cluster_totals(clusters: Clusters, *columns: ArrayLike) -> NDArray[np.float64]:
    """Sum columns within clusters.

    Args:
        clusters: label of each observation, shape (N,).
        columns: K arrays of finite numbers, shape (N,).

    Returns:
        Totals, shape (G, K + 1), clusters in sorted order; the last column counts observations.

    Raises:
        ValueError: shapes differ, or a number is not finite.
    """
    labels = np.asarray(clusters)
    values = [np.asarray(column, dtype=np.float64) for column in columns]
    for column in values:
        if column.ndim != 1 or column.shape != labels.shape:
            raise ValueError(
                f"values of shape {column.shape} need as many clusters, got {labels.shape}"
            )
        if not np.isfinite(column).all():
            raise ValueError("values must be finite: leave missing observations out")
    _, group = np.unique(labels, return_inverse=True)
    size = int(group.max()) + 1 if group.size else 0
    totals = [np.bincount(group, weights=column, minlength=size) for column in values]
    return np.column_stack([*totals, np.bincount(group, minlength=size)]).astype(np.float64)
