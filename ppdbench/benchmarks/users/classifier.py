"""Who is this? A K-way classifier on user embeddings, a few to a user: pure functions on arrays.

Probabilistic linear discriminant analysis (PLDA): a user's embeddings are Gaussian about the
user's own mean with a covariance that all users share, and the means are Gaussian about a common
one. A few embeddings leave a user's mean uncertain, and PLDA counts that in, which plain LDA does
not; it is closed form, and tells users apart as well as softmax regression at a hundredth of its
time. The within-user covariance is shrunk towards a multiple of the identity, by how much
cross-validation over the training groups decides.

Source: Ioffe (2006), "Probabilistic linear discriminant analysis", ECCV, with users' means
integrated out; shrinkage as in Friedman (1989), JASA 84, 165-175.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from ppdbench.statistics.top_k import ranks

SHRINKAGE = (0.001, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.99, 1.0)
"""What cross-validation chooses from: 0 is the covariance as it is, 1 a sphere."""
NEGLIGIBLE = 1e-6
"""Directions and variances below this share of the largest are rounding."""

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True)
class Identification:
    """What the classifier says of test embeddings, and how it was chosen."""

    scores: Floats
    """(M, N) log-likelihoods up to a constant an embedding."""
    shrinkage: float
    log_rank: float | None
    """Mean natural logarithm of the right user's rank in cross-validation at that shrinkage."""


def identify(
    train: Floats,
    users: Ints,
    groups: Ints,
    test: Floats,
    n_users: int,
    *,
    shrinkage: Sequence[float] = SHRINKAGE,
) -> Identification:
    """Learn users from their training embeddings and score test embeddings.

    The shrinkage is the one with the smallest mean log rank of the right user, when each group
    number in turn is left out of training; the larger one where two are equal.

    Args:
        train: embeddings, (T, D), finite.
        users: whose each is, from 0, (T,).
        groups: number of each one's group, (T,); what is left out together.
        test: embeddings, (M, D).
        n_users: N; each of them has a training embedding.
        shrinkage: what is chosen from.

    Raises:
        ValueError: fewer than two users, or no user has two training embeddings.
    """
    counts = np.bincount(users, minlength=n_users)
    if n_users < 2 or counts.min() < 1 or counts.max() < 2:
        raise ValueError(
            "a classifier needs two users, an embedding of each and two of one of them"
        )
    train, test = np.asarray(train, np.float64), np.asarray(test, np.float64)
    log_rank = _cross_validated(train, users, groups, n_users, shrinkage)
    order = sorted(range(len(shrinkage)), key=lambda at: -shrinkage[at])
    best = min(order, key=lambda at: log_rank[at])
    chosen = shrinkage[best]
    (scores,) = _scores(train, users, test, n_users, [chosen])
    known = float(log_rank[best])
    return Identification(
        scores=scores, shrinkage=chosen, log_rank=known if np.isfinite(known) else None
    )


def _cross_validated(
    train: Floats, users: Ints, groups: Ints, n_users: int, shrinkage: Sequence[float]
) -> Floats:
    """Mean log rank of the right user at each shrinkage; infinite where nothing can be left out."""
    total, count = np.zeros(len(shrinkage)), 0
    for group in np.unique(groups):
        held = groups == group
        # Whoever has nothing left to be known by is not asked for.
        known = np.isin(users, users[~held])
        asked = held & known
        learnt = np.bincount(users[~held], minlength=n_users)
        if not asked.any() or learnt.max() < 2:
            continue
        found = _scores(train[~held], users[~held], train[asked], n_users, shrinkage)
        for at, scores in enumerate(found):
            total[at] += ranks(scores, users[asked]).expected_log.sum()
        count += int(asked.sum())
    return total / count if count else np.full(len(shrinkage), np.inf)


def _scores(
    train: Floats, users: Ints, test: Floats, n_users: int, shrinkage: Sequence[float]
) -> list[Floats]:
    """Scores (M, N) of test embeddings at each shrinkage."""
    centre, basis = _coordinates(train)
    x, asked = (np.asarray((part - centre) @ basis) for part in (train, test))
    if not x.shape[1]:  # all alike: nobody can be told from anybody
        return [np.zeros((len(test), n_users)) for _ in shrinkage]
    counts: Floats = np.bincount(users, minlength=n_users).astype(np.float64)
    sums = np.zeros((n_users, x.shape[1]))
    np.add.at(sums, users, x)
    means = sums / np.maximum(counts, 1.0)[:, None]
    inner = x - means[users]
    freedom = len(x) - int(np.count_nonzero(counts))
    within = inner.T @ inner / max(1, freedom)
    spread, axes = linalg.eigh(within)
    level = max(float(spread.sum()), 0.0) / len(spread)
    floor = NEGLIGIBLE * max(float(x.var(axis=0).max()), level)
    found = []
    for share in shrinkage:
        whitened = axes / np.sqrt(np.maximum((1 - share) * spread + share * level, floor))
        found.append(plda(means @ whitened, counts, asked @ whitened))
    return found


def plda(means: Floats, counts: Floats, asked: Floats) -> Floats:
    """Log-likelihoods where the within-user covariance is the identity.

    Along an axis on which users' means have variance b, a user with n embeddings of mean m has
    the posterior mean nb/(1 + nb) m with variance b/(1 + nb), about the common mean 0; a new
    embedding has that mean, and that variance plus 1.

    Args:
        means: (N, R), rows without embeddings any number.
        counts: n, (N,), 0 included.
        asked: (M, R).
    """
    there = counts > 0
    centre = means[there].mean(axis=0)
    centred = np.where(there[:, None], means - centre, 0.0)
    # Only axes on which means differ tell users apart: at most N - 1 of them.
    _, size, axes = linalg.svd(centred[there], full_matrices=False)
    axes = axes[size > NEGLIGIBLE * max(float(size[0]), NEGLIGIBLE)].T
    own, new = centred @ axes, (asked - centre) @ axes
    between = np.maximum((own[there] ** 2).mean(axis=0) - (1 / counts[there]).mean(), 0.0)
    weight = counts[:, None] * between / (1 + counts[:, None] * between)
    mean, variance = weight * own, 1 + between / (1 + counts[:, None] * between)
    distance = (
        new**2 @ (1 / variance).T - 2 * new @ (mean / variance).T + (mean**2 / variance).sum(axis=1)
    )
    return np.asarray(-0.5 * (distance + np.log(variance).sum(axis=1)))


def _coordinates(train: Floats) -> tuple[Floats, Floats]:
    """Where the coordinates begin (D,) and their axes (D, R): embeddings centred and scaled.

    A dimension that is the same for all is left out. With fewer embeddings than dimensions there
    are fewer axes, and nothing is lost: all that their covariance knows lies in their span.
    """
    mean, scale = train.mean(axis=0), train.std(axis=0)
    varies = scale > NEGLIGIBLE * np.abs(mean)
    inverse = np.divide(1.0, scale, out=np.zeros_like(scale), where=varies)
    _, size, axes = linalg.svd((train - mean) * inverse, full_matrices=False)
    kept = axes[size > NEGLIGIBLE * max(float(size[0]), NEGLIGIBLE)]
    return mean, inverse[:, None] * kept.T
