"""Encoder by CLIP: how preferred images differ from the others, on average over the shots.

The cheap floor: no language, no training, one vector in the space of the suite's CLIP reward, whose
image tower and preprocessing it uses as they are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ppdbench.errors import MissingPrerequisite
from ppdbench.protocols import (
    EncoderInfo,
    LoadContext,
    Shot,
    UserCode,
    UserContext,
    UserEncoder,
)
from ppdbench.rewards.embedding_reward import BATCH_SIZE, EmbeddingReward
from ppdbench.rewards.load import load_reward
from ppdbench.rewards.open_clip_tower import embedding_size
from ppdbench.rewards.preprocess import to_rgb

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NAME = "clip-pairs"
KIND = "clip"
RECIPE = "mean over shots of normalised preferred minus normalised dispreferred"


class ClipPairsEncoder:
    """Implements `protocols.UserEncoder`."""

    def __init__(self, clip: EmbeddingReward) -> None:
        self._clip = clip
        facts = (RECIPE, clip.folder.sha256, clip.folder.architecture, clip.recipe.identity)
        self.info = EncoderInfo(
            name=NAME,
            revision=hashlib.sha256("\0".join(facts).encode()).hexdigest(),
            dim=embedding_size(clip.folder),
            uses="shots",
            settings={"precision": clip.precision},
        )

    def encode(self, users: Sequence[UserContext]) -> list[UserCode | None]:
        """One code a user, in order; None for a user without shots.

        Zeros would say that the user's choices are balanced, not that nothing is known.
        """
        import numpy as np

        shots = [shot for user in users for shot in user.shots]
        differences = self._differences(shots)
        codes: list[UserCode | None] = []
        at = 0
        for user in users:
            own = differences[at : at + len(user.shots)]
            at += len(user.shots)
            mean = own.mean(axis=0).astype(np.float32) if len(own) else None
            codes.append(None if mean is None else UserCode(embedding=mean))
        return codes

    def _differences(self, shots: Sequence[Shot]) -> NDArray[np.float64]:
        """Preferred minus dispreferred, (N, D)."""
        import numpy as np

        images = [image for shot in shots for image in (shot.preferred, shot.dispreferred)]
        found = np.empty((len(images), self.info.dim))
        for start in range(0, len(images), BATCH_SIZE):
            some = [to_rgb(image) for image in images[start : start + BATCH_SIZE]]
            embedded = self._clip.tower.encode_images(self._clip.recipe(some))
            found[start : start + len(some)] = embedded.cpu().double().numpy()
        return found[0::2] - found[1::2]


def encoder(context: LoadContext) -> UserEncoder:
    """Entry point `ppdbench.encoders: clip-pairs`; the tower is loaded at the first user.

    Raises:
        MissingPrerequisite: the suite has no CLIP reward, or its weights are not here.
    """
    for spec in context.suite.rewards():
        if spec.kind == KIND and not spec.gold:
            reward = load_reward(spec, context.device)
            if isinstance(reward, EmbeddingReward):
                return ClipPairsEncoder(reward)
    raise MissingPrerequisite(
        f"the suite {context.suite.name} has no CLIP reward, whose tower {NAME} embeds with",
        fix="take another encoder: ppdbench list encoders",
    )
