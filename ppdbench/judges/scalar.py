"""The judge `scalar:REWARD`: the image that one of the suite's rewards scores higher.

A control, as it never looks at the shots: what it agrees on with users needs no personalization.
Elsewhere: the rewards (`rewards`), scores kept by content (`by_content`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ppdbench.errors import unknown_name
from ppdbench.judges.argument import one_argument
from ppdbench.judges.batches import in_batches
from ppdbench.judges.by_content import ByContent
from ppdbench.judges.verdicts import Free, chosen
from ppdbench.protocols import Judge, JudgeContext, JudgeInfo, Question, Reward, Verdict
from ppdbench.rewards.identity import score_identity
from ppdbench.rewards.load import load_reward

if TYPE_CHECKING:
    from PIL.Image import Image

NAME = "scalar"


class ScalarJudge(Free):
    """Implements `protocols.Judge`."""

    def __init__(self, reward: Reward, device: str = "cpu") -> None:
        self._reward = reward
        self._scores = ByContent(self._score)
        identity = score_identity(reward.info, device)
        self.info = JudgeInfo(
            name=f"{NAME}:{reward.info.name}",
            revision=hashlib.sha256(f"{NAME} 1 {identity.id}".encode()).hexdigest(),
            personal=False,
            settings={"reward": reward.info.name, "scores": identity.id},
        )

    def judge(
        self,
        questions: Sequence[Question],
        *,
        allowance: float | None = None,  # noqa: ARG002 - it costs nothing
    ) -> Iterator[tuple[int, Verdict]]:
        """Each question's place and its verdict; it abstains where scores are equal.

        Its log-odds are the scores' difference, in the reward's own units: only the sign counts.

        Raises:
            PpdbenchError: the reward cannot score at all.
        """
        return in_batches(questions, self._answer)

    def _answer(self, questions: Sequence[Question]) -> list[Verdict]:
        images = [image for question in questions for image in (question.first, question.second)]
        captions = [question.caption for question in questions for _ in range(2)]
        scores = self._scores.of(images, captions)
        # + 0.0 makes -0.0 plain
        return [
            chosen(first - second + 0.0)
            for first, second in zip(scores[0::2], scores[1::2], strict=True)
        ]

    def _score(self, images: Sequence[Image], captions: Sequence[str]) -> list[float]:
        return [float(score) for score in self._reward.score(images, captions)]


def judge(context: JudgeContext) -> Judge:
    """Entry point `ppdbench.judges: scalar`; the reward's name follows a colon.

    Raises:
        UsageError: the suite has no reward of that name, or none is named.
        MissingPrerequisite: its weights are not here.
    """
    specs = {spec.name: spec for spec in context.suite.rewards()}
    name = one_argument(NAME, "reward", context)
    if name not in specs:
        raise unknown_name(f"reward of {context.suite.name}", name, specs)
    return ScalarJudge(load_reward(specs[name], context.device), context.device)
