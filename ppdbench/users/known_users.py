"""Encoder by known users: who is known is themselves, anybody else a combination of those.

For models that learn an embedding for each training user, as Premier does (arXiv 2603.20725), whose
"new users are represented as linear combinations of existing preference embeddings". Its code is
not published and how it finds the combination is not in what we could read, so this way is ours: a
stranger's coefficients are the probabilities of having each known user's taste, after a few choices
(`statistics.taste.alike`), stretched to a taste as pronounced as a person's (`as_pronounced`).
Tastes are fitted to the known users' training choices in the space of the suite's CLIP reward.

Known users have all their training choices behind them, strangers the shots they show: whoever
compares the two should say so. Elsewhere: one-hot alone (`onehot`), the tower (`suite_clip`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from ppdbench.data.pickapic import read_pairs
from ppdbench.errors import MissingPrerequisite, PpdbenchError
from ppdbench.protocols import (
    EncoderInfo,
    LoadContext,
    PreferencePair,
    UserCode,
    UserContext,
    UserEncoder,
)
from ppdbench.rewards.embedding_reward import BATCH_SIZE, EmbeddingReward
from ppdbench.rewards.identity import libraries
from ppdbench.rewards.open_clip_tower import embedding_size
from ppdbench.runs.atomic import write_atomic
from ppdbench.runs.cache_folder import cache_folder
from ppdbench.runs.fingerprint import fingerprint
from ppdbench.users.contexts import shot_of
from ppdbench.users.onehot import one_hot, training_users
from ppdbench.users.suite_clip import differences, facts_of, suite_clip

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NAME = "known-users"
RECIPE = "1: probability of each known taste, Bradley-Terry; stretched to the usual length"
CHOICES = 64
"""Choices by which a known user's taste is fitted, at most: the first ones."""
KNOWN_PRIOR_SD = 4.0
"""`prior_sd` of the known users' tastes. Held-out choices of the validation users of `shapes` are
predicted, from four shots, with a log-loss of 0.636 (unseen) and 0.617 (seen); no other prior (1,
2, 4, 8) or tempering of the likelihood (0.25 to 4) is better by more than 0.004, a ridge on the
coefficients in the place of Bayes' rule is at 0.638 and 0.620, and the users' own shots alone, as
`statistics.taste.fit_taste` reads them, are at 0.660 and 0.645."""


class KnownUsersEncoder:
    """Implements `protocols.UserEncoder`: one place a training user, in ascending order of ids."""

    def __init__(self, users: Sequence[str], pairs: Path, identity: str, clip: EmbeddingReward):
        """Say who it is; tastes are fitted at the first stranger, and kept.

        Args:
            users: the known ones, by id.
            pairs: their choices.
            identity: of these choices.
            clip: whose tower embeds.
        """
        self._users = tuple(users)
        self._place = {user: place for place, user in enumerate(users)}
        self._pairs = pairs
        self._clip = clip
        facts = [RECIPE, KNOWN_PRIOR_SD, CHOICES, self._users, identity, *facts_of(clip)]
        self.info = EncoderInfo(
            name=NAME,
            revision=hashlib.sha256(json.dumps(facts).encode()).hexdigest(),
            dim=len(self._users),
            uses="id or shots",
            settings={
                "known": f"by their id, and by up to {CHOICES} of their training choices",
                "others": "by their shots",
                "prior_sd": KNOWN_PRIOR_SD,
                "precision": clip.precision,
            },
        )

    def encode(self, users: Sequence[UserContext]) -> list[UserCode | None]:
        """One code a user, in order; None for a stranger without shots."""
        return [self._code(user) for user in users]

    def _code(self, user: UserContext) -> UserCode | None:
        from ppdbench.statistics.taste import alike, as_pronounced

        place = self._place.get(user.id)
        if place is not None:
            return one_hot(place, self.info.dim)
        if not user.shots:
            return None
        probabilities = alike(differences(self._clip, user.shots), self.tastes)
        combination = as_pronounced(probabilities, self.tastes)
        return UserCode(embedding=combination.astype("float32"))

    @cached_property
    def tastes(self) -> NDArray[np.float64]:
        """(U, D) tastes of the known users; fitted once, and kept in the cache folder."""
        from safetensors.numpy import load, save

        made_of = {
            "revision": self.info.revision,
            "pairs": str(self._pairs.resolve()),  # where a suite's name for its world is
            "libraries": libraries(),
        }
        key = fingerprint(made_of)
        file = cache_folder() / NAME / f"{key}.safetensors"
        try:
            kept: NDArray[np.float64] = load(file.read_bytes())["tastes"]
        except Exception:  # not there, or damaged: it is made anew
            kept = self._fitted()
            with suppress(PpdbenchError):  # fitted again next time
                write_atomic(file, save({"tastes": kept}))
        return kept

    def _fitted(self) -> NDArray[np.float64]:
        import numpy as np

        from ppdbench.statistics.taste import fit_taste

        own: dict[str, list[NDArray[np.float64]]] = {user: [] for user in self._users}
        choices = _first_choices(read_pairs(self._pairs), own)
        while some := list(islice(choices, BATCH_SIZE)):
            found = differences(self._clip, [shot_of(pair) for pair in some])
            for pair, difference in zip(some, found, strict=True):
                own[str(pair.user_id)].append(difference)
        nothing = np.zeros((0, embedding_size(self._clip.folder)))
        return np.stack(
            [
                fit_taste(np.stack(each) if each else nothing, KNOWN_PRIOR_SD)
                for each in own.values()
            ]
        )


def _first_choices(
    pairs: Iterable[PreferencePair], users: Iterable[str]
) -> Iterator[PreferencePair]:
    """The first `CHOICES` decided pairs of each of these users."""
    left = dict.fromkeys(users, CHOICES)
    for pair in pairs:
        user = str(pair.user_id)
        if pair.tie or not pair.are_different or not left.get(user):
            continue
        left[user] -= 1
        yield pair


def encoder(context: LoadContext) -> UserEncoder:
    """Entry point `ppdbench.encoders: known-users`; images are read at the first stranger.

    Raises:
        MissingPrerequisite: the suite has no people, no training pairs at hand or nobody in them,
            or no CLIP reward.
    """
    suite = context.suite
    clip = suite_clip(context, NAME)
    if suite.people is None:
        raise MissingPrerequisite(
            f"the suite {suite.name} has no people", fix="choose another encoder, or another suite"
        )
    pairs = suite.pairs("train")
    return KnownUsersEncoder(training_users(pairs), pairs, suite.people.digest, clip)
