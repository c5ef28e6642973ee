"""Encoder of ids: which training user this is, and nothing else.

It has no answer for anybody new: the row that shows what few-shot encoders are for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

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
        import numpy as np

        codes: list[UserCode | None] = []
        for user in users:
            place = self._place.get(user.id)
            if place is None:
                codes.append(None)
                continue
            embedding = np.zeros(self.info.dim, np.float32)
            embedding[place] = 1.0
            codes.append(UserCode(embedding=embedding))
        return codes


def encoder(context: LoadContext) -> UserEncoder:
    """Entry point `ppdbench.encoders: onehot`; reads the ids of the training pairs, no images.

    Raises:
        MissingPrerequisite: the suite has no training pairs at hand, or nobody is in them.
    """
    pairs = context.suite.pairs("train")
    users = [str(user) for user in user_ids(pairs)]
    if not users:
        raise MissingPrerequisite(
            f"the pairs of {pairs} are nobody's", fix="give training pairs with a user_id"
        )
    return OneHotEncoder(users)
