"""Encoder of ids: which training user this is, and nothing else.

It has no answer for anybody new: the row that shows what few-shot encoders are for. Elsewhere: the
same with an answer for strangers (`known_users`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from ppdbench.data.pickapic import user_ids
from ppdbench.errors import MissingPrerequisite
from ppdbench.protocols import EncoderInfo, LoadContext, UserCode, UserContext, UserEncoder

NAME = "onehot"


class OneHotEncoder:
    """Implements `protocols.UserEncoder`: one place a training user, in ascending order of ids."""

    def __init__(self, users: Sequence[str]) -> None:
        self._place = {user: place for place, user in enumerate(users)}
        self.info = EncoderInfo(
            name=NAME,
            revision=hashlib.sha256(json.dumps(list(users)).encode()).hexdigest(),
            dim=len(users),
            uses="id",
        )

    def encode(self, users: Sequence[UserContext]) -> list[UserCode | None]:
        """One code a user, in order; None for whoever gave no training pairs."""
        places = [self._place.get(user.id) for user in users]
        return [None if place is None else one_hot(place, self.info.dim) for place in places]


def one_hot(place: int, dim: int) -> UserCode:
    """The code of whom a place stands for, (dim,): 1 there and 0 elsewhere."""
    import numpy as np

    embedding = np.zeros(dim, np.float32)
    embedding[place] = 1.0
    return UserCode(embedding=embedding)


def training_users(pairs: Path) -> list[str]:
    """Ids of the users of training pairs, in ascending order of numbers; reads no images.

    Args:
        pairs: as `Suite.pairs("train")` names them.

    Raises:
        MissingPrerequisite: there are no such pairs, or nobody is in them.
        PpdbenchError: a file is damaged.
    """
    users = [str(user) for user in user_ids(pairs)]
    if not users:
        raise MissingPrerequisite(
            f"the pairs of {pairs} are nobody's", fix="give training pairs with a user_id"
        )
    return users


def encoder(context: LoadContext) -> UserEncoder:
    """Entry point `ppdbench.encoders: onehot`; reads the ids of the training pairs, no images.

    Raises:
        MissingPrerequisite: the suite has no training pairs at hand, or nobody is in them.
    """
    return OneHotEncoder(training_users(context.suite.pairs("train")))
