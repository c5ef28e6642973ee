"""A bilinear probe of user embeddings: do they say what their users like? Pure functions.

If an embedding e represents a reward under Bradley-Terry that is linear in image features f, then
for some matrix W, the same for all users,

    P(picture 0 is preferred) = sigmoid(e^T W (f_0 - f_1)),

with e standardised and a 1 appended, whose row of W is what all users have in common. W is found by
L2-regularised maximum likelihood; how strong the penalty is, cross-validation over training users
decides. No intercept: the probe cannot learn a picture's place. Elsewhere: which embeddings and
pairs (`users.probe`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, optimize, special

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""What cross-validation chooses from, beside a mean log-loss."""
FOLDS = 4
COMPONENTS = 128
"""Embeddings and features of more dimensions are cut to so many principal components."""
STEPS = 200
NEGLIGIBLE = 1e-6
"""A spread below this share of the mean is rounding."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """Who chose between what, one choice a row."""

    embeddings: Floats
    """(N, D) of the chooser, made from pairs that this one is not among."""
    differences: Floats
    """(N, F) features of picture 0 minus those of picture 1."""
    first: NDArray[np.bool_]
    """(N,) whether picture 0 was preferred."""
    users: NDArray[np.str_]
    """(N,)"""

    def __len__(self) -> int:
        return len(self.first)


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A fitted probe."""

    weights: Floats
    """W in reduced coordinates, (d + 1, f); the last row is common to all users."""
    centre: Floats
    """(D,) mean training embedding."""
    embedding_axes: Floats
    """(D, d)"""
    feature_axes: Floats
    """(F, f)"""
    penalty: float
    log_loss: float
    """Of held-out training users at that penalty, nats a choice; ln 2 is knowing nothing."""

    def margins(self, embeddings: Floats, differences: Floats) -> Floats:
        """Log-odds (N,) that picture 0 is preferred, from rows (N, D) and (N, F)."""
        e, d = self._reduced(embeddings, differences)
        return np.asarray(((e @ self.weights) * d).sum(axis=1))

    def matrix(self) -> Floats:
        """W for embeddings minus `centre` and features as they were given, (D, F)."""
        return np.asarray(self.embedding_axes @ self.weights[:-1] @ self.feature_axes.T)

    def _reduced(self, embeddings: Floats, differences: Floats) -> tuple[Floats, Floats]:
        return (
            _with_one((embeddings - self.centre) @ self.embedding_axes),
            np.asarray(differences @ self.feature_axes),
        )


def fit_probe(
    choices: Choices,
    *,
    penalties: Sequence[float] = PENALTIES,
    folds: int = FOLDS,
    components: int = COMPONENTS,
    seed: int = 0,
) -> Probe:
    """Fit W to choices of training users.

    Args:
        choices: of at least two users; a choice may stand there with several embeddings.
        penalties: what the strength of the penalty is chosen from.
        folds: parts into which users are split by chance.
        components: of embeddings and of features, the most that are kept.
        seed: seeds the split.

    Raises:
        ValueError: there are choices of fewer than two users, or a number is not finite.
    """
    names, owner = np.unique(choices.users, return_inverse=True)
    if len(names) < 2:
        raise ValueError(f"choices of {len(names)} users: a probe is fitted over users")
    if not (np.isfinite(choices.embeddings).all() and np.isfinite(choices.differences).all()):
        raise ValueError("embeddings and features must be finite: leave missing users out")
    centre = choices.embeddings.mean(axis=0)
    embedding_axes = _axes(choices.embeddings - centre, NEGLIGIBLE * np.abs(centre), components)
    feature_axes = _axes(choices.differences, np.zeros(choices.differences.shape[1]), components)
    e = _with_one((choices.embeddings - centre) @ embedding_axes)
    d = np.asarray(choices.differences @ feature_axes)
    rng = np.random.default_rng(seed)
    fold = rng.permutation(np.arange(len(names)) % min(folds, len(names)))[owner]
    losses = np.zeros(len(penalties))
    for held in range(int(fold.max()) + 1):
        out = fold == held
        weights = np.zeros((e.shape[1], d.shape[1]))
        # From the strongest: each solution is where the next begins.
        for at in sorted(range(len(penalties)), key=lambda at: -penalties[at]):
            weights = _fit(e[~out], d[~out], choices.first[~out], penalties[at], weights)
            losses[at] += _losses(e[out], d[out], choices.first[out], weights).sum()
    best = int(np.argmin(losses))
    nothing = np.zeros((e.shape[1], d.shape[1]))
    return Probe(
        weights=_fit(e, d, choices.first, penalties[best], nothing),
        centre=centre,
        embedding_axes=embedding_axes,
        feature_axes=feature_axes,
        penalty=penalties[best],
        log_loss=float(losses[best] / len(choices)),
    )


def right(margins: Floats, first: NDArray[np.bool_]) -> Floats:
    """Whether each guess by the margin's sign is right, (N,); one half where it says nothing."""
    return np.where(margins == 0, 0.5, (margins > 0) == first)


def _fit(e: Floats, d: Floats, first: NDArray[np.bool_], penalty: float, start: Floats) -> Floats:
    """The W with the smallest mean log-loss plus penalty / 2 times its squared norm."""
    sign = np.where(first, 1.0, -1.0)

    def objective(flat: Floats) -> tuple[float, Floats]:
        weights = flat.reshape(start.shape)
        margin = sign * ((e @ weights) * d).sum(axis=1)
        slope = -sign * special.expit(-margin) / len(sign)
        gradient = e.T @ (slope[:, None] * d) + penalty * weights
        loss = np.logaddexp(0, -margin).mean() + penalty / 2 * float((weights**2).sum())
        return float(loss), gradient.ravel()

    found = optimize.minimize(
        objective, start.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": STEPS}
    )
    return np.asarray(found.x, dtype=np.float64).reshape(start.shape)


def _losses(e: Floats, d: Floats, first: NDArray[np.bool_], weights: Floats) -> Floats:
    margin = np.where(first, 1.0, -1.0) * ((e @ weights) * d).sum(axis=1)
    return np.asarray(np.logaddexp(0, -margin))


def _axes(rows: Floats, rounding: Floats, most: int) -> Floats:
    """Axes (D, R) that scale each column to a root mean square of 1, then cut to `most`.

    Up to `most` columns stay what they are; more become principal components. A column no larger
    than its rounding (D,) is left out.
    """
    size = np.sqrt((rows**2).mean(axis=0))
    inverse = np.divide(1.0, size, out=np.zeros_like(size), where=size > rounding)
    if rows.shape[1] <= most:
        return np.diag(inverse)
    scaled = rows * inverse
    values, axes = linalg.eigh(scaled.T @ scaled / len(rows))
    return np.asarray(inverse[:, None] * axes[:, np.argsort(values)[::-1][:most]])


def _with_one(rows: Floats) -> Floats:
    return np.column_stack([rows, np.ones(len(rows))])
