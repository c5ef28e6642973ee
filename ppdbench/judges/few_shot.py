"""The judge `few-shot`: Bradley-Terry on differences of image embeddings, fitted to the shots.

A user's taste is a direction theta in the space of the suite's CLIP reward, with
P(first) = sigmoid(theta . (e(first) - e(second))); it maximises the shots' log-likelihood less a
ridge. Free, symmetric by construction, blind to captions, and it shares no weights with the
vision-language encoder: the floor that a larger judge must beat. Elsewhere: embeddings kept by
content (`by_content`), the fit (`statistics.taste`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ppdbench.judges.argument import no_argument
from ppdbench.judges.batches import in_batches
from ppdbench.judges.by_content import ByContent
from ppdbench.judges.verdicts import Free, chosen
from ppdbench.protocols import (
    Judge,
    JudgeContext,
    JudgeInfo,
    LoadContext,
    Question,
    Verdict,
)
from ppdbench.rewards.embedding_reward import EmbeddingReward
from ppdbench.rewards.identity import libraries
from ppdbench.statistics.taste import PRIOR_SD, fit_taste
from ppdbench.users.suite_clip import embedded, facts_of, suite_clip

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

NAME = "few-shot"
RECIPE = "1: Bradley-Terry on normalised embeddings, ridge by the shots' mean squared difference"


class FewShotJudge(Free):
    """Implements `protocols.Judge`; the tower is loaded at the first question."""

    def __init__(self, clip: EmbeddingReward) -> None:
        self._clip = clip
        self._embedded = ByContent(self._embed)
        facts = [
            RECIPE,
            PRIOR_SD,
            *facts_of(clip),
            clip.precision,
            libraries(),
        ]
        self.info = JudgeInfo(
            name=NAME,
            revision=hashlib.sha256(json.dumps(facts).encode()).hexdigest(),
            personal=True,
            settings={
                "embeddings": clip.info.name,
                "checkpoint_sha256": clip.info.checkpoint_sha256,
                "prior_sd": PRIOR_SD,
                "precision": clip.precision,
            },
        )

    def judge(
        self,
        questions: Sequence[Question],
        *,
        allowance: float | None = None,  # noqa: ARG002 - it costs nothing
    ) -> Iterator[tuple[int, Verdict]]:
        """Each question's place and its verdict; it abstains without shots, or on one picture.

        Raises:
            PpdbenchError: the tower's files are damaged, or the device has too little memory.
        """
        return in_batches(questions, self._answer)

    def _answer(self, questions: Sequence[Question]) -> list[Verdict]:
        import numpy as np

        images = [image for question in questions for image in _images(question)]
        embeddings = iter(self._embedded.of(images))
        verdicts = []
        for question in questions:
            own = np.stack([next(embeddings) for _ in _images(question)])
            differences = own[0::2] - own[1::2]
            new, shots = differences[0], differences[1:]
            # Negated exactly where the images are swapped; + 0.0 makes -0.0 plain.
            verdicts.append(chosen(float(fit_taste(shots) @ new) + 0.0))
        return verdicts

    def _embed(self, images: Sequence[Image], _: Sequence[str]) -> list[NDArray[np.float64]]:
        return list(embedded(self._clip, images))


def _images(question: Question) -> list[Image]:
    """The new pair, then the shots, preferred first."""
    shots = [image for shot in question.shots for image in (shot.preferred, shot.dispreferred)]
    return [question.first, question.second, *shots]


def judge(context: JudgeContext) -> Judge:
    """Entry point `ppdbench.judges: few-shot`, with the tower of the suite's CLIP reward.

    Raises:
        UsageError: something follows its name.
        MissingPrerequisite: the suite has no CLIP reward, or its weights are not here.
    """
    no_argument(NAME, context)
    where = LoadContext(suite=context.suite, device=context.device)
    return FewShotJudge(suite_clip(where, NAME, fix="take another judge: ppdbench list judges"))
