"""How well anybody could tell the world's people apart by a group of four pairs.

By Bayes' rule, as in `ceilings.py`, from the labels, the captions or both. Elsewhere: the
inference (`beliefs.py`, `topics.py`), the pictures' attributes (`differences.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ppdbench.suites.shapes.beliefs import (
    log_likelihood,
    normalised,
    posterior,
    taste_prior,
    top_share,
)
from ppdbench.suites.shapes.differences import differences
from ppdbench.suites.shapes.people import person_of
from ppdbench.suites.shapes.topics import HABITS, caption_log_likelihood

if TYPE_CHECKING:
    from ppdbench.suites.shapes.evaluated import ShapesPeople

TOPS = (1, 5, 16)
"""Lengths of the lists in which a user is to be found."""
_BLOCK = 8
"""Groups at a time."""

Floats = NDArray[np.float64]


@cache
def identification_ceilings(*, topics: bool) -> Mapping[str, float]:
    """Bayes-optimal identification of users by one group of four pairs; rates 0 to 1, by name.

    Each test group is one of the identified users', equally likely. For K of 1, 5 and 16:

    topK: from the labels alone, by one who saw the labels of every user's training groups.
    topK_expected: how often that guesser expects to be right; less chance in it.
    known_topK: from the labels alone, by one who knows every user's taste exactly.
    captions_topK, both_topK: from the captions alone, and from captions and labels, of test and
        training groups; with `topics` only, as the captions are everybody's without.
    n_users, n_groups: how many users, and test groups of theirs.

    Args:
        topics: with users' own captions, or with captions that are common to all.

    Raises:
        MissingPrerequisite: the pairs cannot be rendered.
    """
    from ppdbench.suites.shapes.suite import ShapesSuite

    world = ShapesSuite().people
    users = world.identified(topics=topics)
    train = [[identity for group in user.train for identity in group] for user in users]
    test = [group for user in users for group in user.test]
    own = np.array([row for row, user in enumerate(users) for _ in user.test])
    found = _by_id(world, [*train, *test])
    learnt = np.array([[found[identity] for identity in ids] for ids in train])
    asked = np.array([[found[identity] for identity in ids] for ids in test])
    tastes = np.array([person_of(user.id).taste for user in users])

    labels = label_scores(learnt, asked)
    scores = {"": labels, "known_": known_scores(tastes, asked)}
    if topics:
        captions = _caption_scores(world, train, test)
        scores |= {"captions_": captions, "both_": captions + labels}
    result = {
        f"{name}top{count}": top_share(score, own, count)
        for name, score in scores.items()
        for count in TOPS
    }
    sure = np.sort(normalised(labels), axis=1)[:, ::-1]
    result |= {f"top{count}_expected": float(sure[:, :count].sum(1).mean()) for count in TOPS}
    result |= {"n_users": float(len(users)), "n_groups": float(len(asked))}
    return MappingProxyType(result)


def known_scores(tastes: Floats, asked: Floats) -> Floats:
    """Log-probabilities (G, U) of the labels of groups (G, S, 6), given tastes (U, 6)."""
    each = log_likelihood(asked.reshape(-1, asked.shape[-1]), tastes)
    return np.asarray(each.reshape(*asked.shape[:2], -1).sum(1))


def label_scores(learnt: Floats, asked: Floats) -> Floats:
    """Log-probabilities (G, U) of a test group's labels, given a user's training labels.

    Args:
        learnt: each user's training choices, (U, N, 6).
        asked: the test groups, (G, S, 6).
    """
    prior = taste_prior()
    # Double precision, though weights are many: in single, most are denormal, and slow.
    weights = np.stack([posterior(choices, prior) for choices in learnt])
    blocks = [asked[at : at + _BLOCK] for at in range(0, len(asked), _BLOCK)]
    return np.concatenate([np.log(np.exp(known_scores(prior, b)) @ weights.T) for b in blocks])


def _by_id(world: ShapesPeople, groups: Sequence[Sequence[str]]) -> dict[str, Floats]:
    ids = [identity for group in groups for identity in group]
    return dict(zip(ids, differences(world, ids), strict=True))


def _caption_scores(
    world: ShapesPeople, train: Sequence[Sequence[str]], test: Sequence[Sequence[str]]
) -> Floats:
    """Log-probabilities (G, U) of a test group's captions, given a user's training captions."""

    def of(groups: Sequence[Sequence[str]]) -> Floats:
        pairs = world.pairs([identity for group in groups for identity in group])
        each = caption_log_likelihood([pair.caption for pair in pairs])
        return np.asarray(each.reshape(len(groups), -1, len(HABITS)).sum(1))

    return np.log(np.exp(of(test)) @ normalised(of(train)).T)
