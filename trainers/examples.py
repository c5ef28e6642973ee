"""The table a run learns from: which pair, under which user, which of its images wins.

One line an example, so that every method is the same walk over another table: the population's
labels with the null user (SFT, Diffusion-DPO), one reward's labels with the null user (the upper
bounds), or every reward's labels, each with its one-hot user (PPD).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ppdbench.errors import MissingPrerequisite

POPULATION = "population"


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """M examples over the pairs of one file."""

    pair: NDArray[np.int64]
    """(M,) row of the pair in the latent cache."""
    winner: NDArray[np.int64]
    """(M,) 0 or 1: which of the pair's images is preferred."""
    user: NDArray[np.int64]
    """(M,) row of `users`."""
    users: NDArray[np.float32]
    """(U, user_dim) user vectors."""
    names: tuple[str, ...]
    """(U,) whose labels: a reward's name, or "population"."""
    left_out: Mapping[str, Mapping[str, int]]
    """Name -> reason -> pairs left out; recorded with the run."""

    def __len__(self) -> int:
        return len(self.pair)


@dataclass(frozen=True, slots=True)
class Labels:
    """Who wins each of N pairs, in one labeller's eyes."""

    name: str
    margin: NDArray[np.float64]
    """(N,) value of image 1 less value of image 0; its sign is the choice, 0 is a tie."""
    user: NDArray[np.float32]
    """(user_dim,) the user vector these labels are learnt under; zeros is the null user."""


def table(labels: Sequence[Labels], *, margin_quantile: float = 0.0) -> Examples:
    """Lay the labels of each labeller under each other; ties are left out, and narrow margins.

    Args:
        labels: one entry a labeller, all over the same pairs.
        margin_quantile: pairs whose margin is below this quantile of the labeller's margins (ties
            apart) are left out.

    Raises:
        MissingPrerequisite: a labeller prefers nothing, so there is nothing to learn.
    """
    pairs, winners, users, left_out = [], [], [], {}
    for row, labeller in enumerate(labels):
        size = np.abs(labeller.margin)
        decided = size > 0
        if not decided.any():
            raise MissingPrerequisite(
                f"no pair has a preferred image by {labeller.name}",
                fix="give pair data with labels other than ties",
            )
        wide = decided & (size >= np.quantile(size[decided], margin_quantile))
        pairs.append(np.flatnonzero(wide))
        winners.append((labeller.margin[wide] > 0).astype(np.int64))
        users.append(np.full(int(wide.sum()), row))
        left_out[labeller.name] = {
            "tie": int((~decided).sum()),
            "narrow margin": int((decided & ~wide).sum()),
        }
    return Examples(
        pair=np.concatenate(pairs),
        winner=np.concatenate(winners),
        user=np.concatenate(users),
        users=np.stack([labeller.user for labeller in labels]).astype(np.float32),
        names=tuple(labeller.name for labeller in labels),
        left_out=left_out,
    )


def one_hot(names: Sequence[str], name: str, user_dim: int) -> NDArray[np.float32]:
    """User vector (user_dim,) whose weight is all on `name`, in the order of `names`."""
    vector = np.zeros(user_dim, np.float32)
    vector[list(names).index(name)] = 1
    return vector
