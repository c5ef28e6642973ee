"""The table a run learns from: which pair, under which user, which of its images wins.

One line an example, so that every method is the same walk over another table: the population's
labels with the null user (SFT, Diffusion-DPO), one reward's labels with the null user (the upper
bounds), every reward's labels, each with its one-hot user (PPD), or each person's own choices with
that person's embeddings (`people.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ppdbench.errors import MissingPrerequisite

POPULATION = "population"
NO_ROW = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """M examples over the pairs of one file."""

    pair: NDArray[np.int64]
    """(M,) row of the pair in the latent cache."""
    winner: NDArray[np.int64]
    """(M,) 0 or 1: which of the pair's images is preferred."""
    user: NDArray[np.int64]
    """(M,) row of `users`; where a user has several vectors, the first of them."""
    users: NDArray[np.float32]
    """(U, user_dim) user vectors; those of one user stand together."""
    names: tuple[str, ...]
    """(U,) whose labels: a reward's name, or "population"; ("people",) stands for all of them."""
    left_out: Mapping[str, Mapping[str, int]]
    """Name -> reason -> pairs left out; recorded with the run."""
    vectors: NDArray[np.int64] | None = None
    """(M,) how many vectors the example's user has; None is one each."""
    barred: NDArray[np.int64] | None = None
    """(M, K) rows of `users` that this example must not be learnt under, padded with `NO_ROW`;
    they are the user's own, and leave one at least. None bars none."""

    def __len__(self) -> int:
        return len(self.pair)

    def user_rows(
        self, examples: NDArray[np.int64], chance: NDArray[np.float64]
    ) -> NDArray[np.int64]:
        """Rows (B,) of `users` for some examples (B,): one of the allowed ones, each as likely.

        Args:
            examples: which.
            chance: (B,) uniform in [0, 1).
        """
        row: NDArray[np.int64] = self.user[examples]
        if self.vectors is None:
            return row
        barred = np.empty((len(row), 0), np.int64) if self.barred is None else self.barred[examples]
        allowed = self.vectors[examples] - (barred != NO_ROW).sum(1)
        row = row + (chance * allowed).astype(np.int64)
        for column in np.sort(barred, axis=1).T:  # each barred row met pushes one further
            row = row + (row >= column)
        return row


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
