"""How well anybody could know the world's people from a few of their choices.

Computed for the people who are evaluated, on their own shots and held-out choices. A guesser who
knows how people are made, how they choose and the exact attributes of every picture, and who
infers by Bayes' rule, is right most often in the long run; on a finite set of choices a worse one
may be luckier. Elsewhere: the inference (`beliefs.py`), the pictures' attributes
(`differences.py`), how well users can be told apart (`identification.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from ppdbench.data.assignment import SHOTS
from ppdbench.protocols import UserSplit
from ppdbench.suites.shapes.beliefs import (
    dominant_of,
    dominant_posterior,
    posteriors,
    predict,
    right_share,
    taste_prior,
    top_share,
)
from ppdbench.suites.shapes.differences import differences
from ppdbench.suites.shapes.people import people, person_of, preference

SHOT_COUNTS = (0, 1, 2, SHOTS, 2 * SHOTS)
"""Of the shots curve: the first of a user's first set, then both sets."""

Floats = NDArray[np.float64]


@cache
def ceilings(split: UserSplit) -> Mapping[str, float]:
    """What nobody exceeds in the long run on a split's users; rates 0 to 1, by name.

    choice: a held-out choice guessed from the first set of four shots, against the true
        preference; choice_noisy: against the user's label, which errs.
    dominant: the signed attribute that the user cares most for, guessed from the same shots.
    choice_expected, choice_noisy_expected, dominant_expected: how often the guesser expects to be
        right, given the same shots and pictures: the same ceilings with less chance in them.
    choice_two_sets, ...: each of these six from eight shots, both sets.
    choice_shots_0, _1, _2, _4, _8, choice_noisy_shots_0, ...: choice and choice_noisy along the
        shots curve.
    choice_noisy_known: the label guessed by one who knows the taste exactly.
    choice_remembered, choice_remembered_expected: as choice, by one who also knows the tastes of
        all training people, but not whose shots these are; of seen users only. A system that
        recognises users, by their captions or their ids, may pass this.
    self_agreement: how often a user, asked a held-out choice twice, is expected to say the same.
    n_users, n_choices: how many these are about.

    Raises:
        MissingPrerequisite: the pairs cannot be rendered.
    """
    from ppdbench.suites.shapes.suite import ShapesSuite

    world = ShapesSuite().people
    users = world.users(split)
    ids = [
        identity for user in users for group in (*user.shots, user.choices) for identity in group
    ]
    found = differences(world, ids).reshape(len(users), -1, 6)
    shots, choices = found[:, : SHOT_COUNTS[-1]], found[:, SHOT_COUNTS[-1] :]
    tastes = np.array([person_of(user.id).taste for user in users])
    curve = choice_ceilings(tastes, shots, choices, SHOT_COUNTS)
    result = {
        **curve[SHOTS],
        **{f"{name}_two_sets": rate for name, rate in curve[2 * SHOTS].items()},
        **{
            f"{name}_shots_{count}": curve[count][name]
            for name in ("choice", "choice_noisy")
            for count in SHOT_COUNTS
        },
    }
    utility = np.einsum("uca,ua->uc", choices, tastes)
    chance = preference(utility, np.zeros_like(utility))
    result["choice_noisy_known"] = right_share(chance, True)
    result["self_agreement"] = float(np.mean(chance**2 + (1 - chance) ** 2))
    if all(user.seen for user in users):
        known = np.array([person.taste for person in people("train")])
        remembered = choice_ceilings(tastes, shots, choices, (SHOTS,), known)
        for name in ("choice", "choice_expected"):
            result[name.replace("choice", "choice_remembered")] = remembered[SHOTS][name]
    result |= {"n_users": float(len(users)), "n_choices": float(utility.size)}
    return MappingProxyType(result)


def choice_ceilings(
    tastes: Floats,
    shots: Floats,
    choices: Floats,
    counts: Sequence[int],
    prior: Floats | None = None,
) -> dict[int, dict[str, float]]:
    """Ceilings by number of shots: choice, choice_noisy, dominant, and each as expected.

    Args:
        tastes: of the users, (U, 6).
        shots: (U, S, 6), preferred minus dispreferred; the first n are used.
        choices: (U, C, 6), the same of the choices to be guessed.
        counts: the numbers of shots.
        prior: equally likely tastes (T, 6); `taste_prior()` where not given.
    """
    prior = taste_prior() if prior is None else prior
    preferred = np.empty((len(counts), *choices.shape[:2]))
    chosen = preferred.copy()
    dominant = np.empty((len(counts), len(tastes), 2 * tastes.shape[1]))
    for user in range(len(tastes)):
        weights = posteriors(shots[user], counts, prior)
        prediction = predict(weights, choices[user], prior)
        preferred[:, user], chosen[:, user] = prediction.preferred, prediction.chosen
        dominant[:, user] = dominant_posterior(weights, prior)
    truth = np.einsum("uca,ua->uc", choices, tastes) > 0
    return {
        count: {
            "choice": right_share(preferred[row], truth),
            "choice_noisy": right_share(chosen[row], True),
            "dominant": top_share(dominant[row], dominant_of(tastes), 1),
            "choice_expected": right_share(preferred[row]),
            "choice_noisy_expected": right_share(chosen[row]),
            "dominant_expected": float(dominant[row].max(1).mean()),
        }
        for row, count in enumerate(counts)
    }
