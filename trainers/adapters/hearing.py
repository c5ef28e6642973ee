"""What an adapter hears of a request's user: whether it is the one to draw, and the user vector.

An adapter hears reward weights, a person's embedding, or nothing. Elsewhere: drawing
(`generator.py`), training on each (`ppd.py`, `people.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ppdbench.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ppdbench.protocols import UserContext
    from trainers.adapters.header import AdapterHeader, Embedding


def listener(headers: Sequence[AdapterHeader], user: UserContext | None) -> int:
    """Which of an entry's adapters draws for a user.

    Weights go to the one that hears weights; an embedding, and nobody, to the one that hears
    embeddings; whatever else there is, to the only one. Weights come first where a user has both:
    they are what the user likes, an embedding is a guess at it.
    """
    by_kind = {header.user_vector: number for number, header in enumerate(headers)}
    if user is not None and user.reward_weights and "reward_weights" in by_kind:
        return by_kind["reward_weights"]
    return by_kind.get("embedding", 0)


def user_vector(header: AdapterHeader, user: UserContext | None, name: str) -> NDArray[np.float32]:
    """User vector (user_dim,) of a user; zeros, the null user, where there is nothing to hear.

    Args:
        header: of the adapter that is to hear.
        user: None, and a user without what the adapter hears, are the null user.
        name: what errors call the entry.

    Raises:
        UsageError: the user weighs a reward that the adapter does not know, has embeddings but
            not the adapter's, or one of another length.
    """
    vector = np.zeros(header.shape.user_dim, np.float32)
    if user is None or header.user_vector == "null":
        return vector
    if header.embedding is not None:
        if user.embeddings:
            vector[:] = _heard(header.embedding, len(vector), user, name)
        return vector
    for reward, weight in (user.reward_weights or {}).items():
        if reward in header.rewards:
            vector[header.rewards.index(reward)] = weight
        elif weight:
            raise UsageError(
                f"{name} knows no reward called {reward!r}",
                fix=f"give weights of {', '.join(header.rewards)}",
            )
    return vector


def _heard(known: Embedding, dim: int, user: UserContext, name: str) -> NDArray[np.float32]:
    """The user's embedding, normalised (dim,); raises as `user_vector`."""
    given = user.embeddings.get(known.encoder)
    if given is None:
        raise UsageError(
            f"{name} hears embeddings by {known.encoder}, "
            f"the user's are by {', '.join(sorted(user.embeddings))}",
            fix=f"give an embedding by {known.encoder}",
        )
    if given.shape != (dim,) or not np.isfinite(given).all():
        raise UsageError(
            f"{name} takes {dim} finite numbers by {known.encoder}, "
            f"the user's embedding has shape {given.shape}, or numbers that are not finite",
            fix=f"embed the user anew with {known.encoder}",
        )
    return known.normalised(given)
