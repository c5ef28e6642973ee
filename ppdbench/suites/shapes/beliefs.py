"""What a few choices tell of a person: exact Bayes over tastes, by weighted draws from the prior.

Pure functions of attribute differences: a choice is a row (6,), preferred minus dispreferred
picture, in units of `ATTRIBUTE_SCALE`; a candidate pair is a row, picture 0 minus picture 1.
Elsewhere: how people are drawn and choose (`people.py`), what their captions tell (`topics.py`),
what follows for the people who are evaluated (`ceilings.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ppdbench.suites.shapes.attributes import ATTRIBUTES
from ppdbench.suites.shapes.people import CHOICE_SHARPNESS, random_person

DRAWS = 4_000
"""Of the prior; each stands for twelve tastes."""
EVEN = 1e-6
"""A chance nearer to one half than this decides nothing: rounding, where nothing is known."""
LEVEL = 1e-9
"""Scores nearer than this are equal, but for rounding."""
_BLOCK = 4096

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Prediction:
    """Of candidate pairs: chances (..., C) for picture 0."""

    preferred: Floats
    """That the person truly likes picture 0 better."""
    chosen: Floats
    """That the person, who errs, chooses picture 0 when asked."""


@cache
def taste_prior(draws: int = DRAWS, seed: int = 0) -> Floats:
    """Tastes (12 draws, 6), equally likely: a person of whom nothing is known.

    Draws of `random_person`, each turned through the six attributes and two signs. The prior has
    these symmetries; so every dominant attribute is exactly as likely as every other here, and a
    choice predicted from nothing is exactly even.
    """
    rng = np.random.default_rng(seed)
    drawn = np.array([random_person(rng).taste for _ in range(draws)])
    turned = np.concatenate([np.roll(drawn, by, axis=1) for by in range(len(ATTRIBUTES))])
    tastes = np.concatenate([turned, -turned])
    tastes.flags.writeable = False
    return tastes


def log_likelihood(choices: Floats, tastes: Floats) -> Floats:
    """Ln P(choice | taste), (S, T), of choices (S, 6) under tastes (T, 6): Bradley-Terry."""
    found = np.empty((len(choices), len(tastes)))
    for at in _blocks(tastes):
        margin = CHOICE_SHARPNESS * choices @ tastes[at].T
        # ln of the sigmoid, without overflow on either side.
        found[:, at] = np.minimum(margin, 0) - np.log1p(np.exp(-np.abs(margin)))
    return found


def posterior(choices: Floats, tastes: Floats | None = None) -> Floats:
    """Weights (T,), sum 1, of equally likely tastes after choices (S, 6).

    Args:
        choices: none, shape (0, 6), leave the prior as it is.
        tastes: (T, 6): `taste_prior()` where not given; the actual people, where those are known.
    """
    return np.asarray(posteriors(choices, (len(choices),), tastes)[0])


def posteriors(choices: Floats, counts: Sequence[int], tastes: Floats | None = None) -> Floats:
    """Weights (N, T) as of `posterior`, after the first `counts` (N) of the choices (S, 6)."""
    each = log_likelihood(choices, _or_prior(tastes))
    return normalised(np.stack([each[:count].sum(0) for count in counts]))


def normalised(log_weights: Floats) -> Floats:
    """Weights that sum to 1 along the last axis, from their logarithms up to a constant."""
    weights = np.exp(log_weights - log_weights.max(-1, keepdims=True))
    return np.asarray(weights / weights.sum(-1, keepdims=True))


def predict(weights: Floats, candidates: Floats, tastes: Floats | None = None) -> Prediction:
    """What tastes of these weights (..., T) say of candidate pairs (C, 6): chances (..., C).

    With the weights of a posterior, guessing picture 0 where the chance is above one half is right
    more often than any other rule: `preferred` of the true preference, `chosen` of the noisy label.
    """
    tastes = _or_prior(tastes)
    preferred = np.zeros((*weights.shape[:-1], len(candidates)))
    chosen = preferred.copy()
    for at in _blocks(tastes):
        margin = tastes[at] @ candidates.T
        # A taste to which both pictures are the same has half a vote for each.
        preferred += weights[..., at] @ (0.5 + 0.5 * np.sign(margin))
        chosen += weights[..., at] @ (0.5 + 0.5 * np.tanh(0.5 * CHOICE_SHARPNESS * margin))
    return Prediction(preferred, chosen)


def dominant_posterior(weights: Floats, tastes: Floats | None = None) -> Floats:
    """Chances (..., 12) that an attribute dominates: the six liked, then the six disliked."""
    return np.asarray(weights @ np.eye(2 * len(ATTRIBUTES))[dominant_of(_or_prior(tastes))])


def dominant_of(tastes: Floats) -> NDArray[np.intp]:
    """Which signed attribute dominates each taste (T, 6): 0-5 liked, 6-11 disliked, (T,)."""
    first = np.abs(tastes).argmax(1)
    liked = tastes[np.arange(len(tastes)), first] > 0
    return np.asarray(np.where(liked, first, first + len(ATTRIBUTES)))


def dominant_name(number: int) -> str:
    """The name of a signed attribute, as `Truth.dominant` writes it: "-detail"."""
    liked = number < len(ATTRIBUTES)
    return f"{'+' if liked else '-'}{ATTRIBUTES[number % len(ATTRIBUTES)]}"


def right_share(chance: Floats, truth: NDArray[np.bool_] | bool | None = None) -> float:
    """How often guessing by chances (N,) is right; an even chance is half right.

    Args:
        chance: that picture 0 is the one.
        truth: whether it is; where not given, what the chances themselves promise.
    """
    if truth is None:
        return float(np.maximum(chance, 1 - chance).mean())
    sure = np.abs(chance - 0.5) > EVEN
    return float(np.where(sure, (chance > 0.5) == truth, 0.5).mean())


def top_share(scores: Floats, own: NDArray[np.intp], top: int) -> float:
    """How often the right column `own` (N,) is among the `top` highest of scores (N, U).

    Scores that differ by rounding alone are put in order at random: each has its share of the
    places left.
    """
    right = np.take_along_axis(scores, own[:, None], axis=1)
    level = np.abs(scores - right) < LEVEL
    ahead = (scores > right) & ~level
    return float(np.clip((top - ahead.sum(1)) / level.sum(1), 0, 1).mean())


def _or_prior(tastes: Floats | None) -> Floats:
    return taste_prior() if tastes is None else tastes


def _blocks(tastes: Floats) -> Iterator[slice]:
    """Parts small enough for a processor's cache."""
    return (slice(at, at + _BLOCK) for at in range(0, len(tastes), _BLOCK))
