"""The judge `vlm`: a vision-language model on this machine, read by its next token's logits.

The choice is the likelier of "1" and "2" as the answer's first token, compared in fp32; nothing is
written or sampled. Elsewhere: the prompt (`prompt`), the model (`users.vlm`), its files
(`users.vlm_files`).
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from functools import cached_property
from importlib import metadata
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from ppdbench.judges import prompt
from ppdbench.judges.batches import in_batches
from ppdbench.judges.verdicts import chosen
from ppdbench.protocols import Estimate, Judge, JudgeContext, JudgeInfo, Question, Verdict
from ppdbench.rewards.identity import libraries
from ppdbench.rewards.open_clip_tower import Precision
from ppdbench.users import prompts
from ppdbench.users.encode import LIBRARIES
from ppdbench.users.vlm_files import VlmFiles, find_vlm
from ppdbench.users.vlm_load import default_precision, load_vlm

if TYPE_CHECKING:
    from ppdbench.users.vlm import Vlm

NAME = "vlm"
BATCH_TOKENS = 32_768
"""Prompt tokens in a batch at most, unless one question alone has more: four questions with four
shots of the 7B model, whose feed-forward layers then hold 4 GB in bf16. Batches change speed and
memory, and log-odds by float noise only."""
FRAME_TOKENS = 64
"""More than the chat template puts around a turn."""


class VlmJudge:
    """Implements `protocols.Judge`; the model is loaded at the first question."""

    def __init__(
        self,
        files: VlmFiles,
        device: str = "cpu",
        *,
        name: str = NAME,
        precision: Precision | None = None,
        max_shots: int | None = None,
    ) -> None:
        """See who is asked; only files are read.

        Args:
            files: of `vlm_files.find_vlm`.
            device: as torch names it.
            name: the judge's.
            precision: "bf16" on a GPU and "fp32" elsewhere, where nothing is said.
            max_shots: the most shots that the model understands, where that is known; a question
                with more fails.

        Raises:
            MissingPrerequisite: a file is damaged.
        """
        self._files, self._device, self._max_shots = files, device, max_shots
        self._precision = precision or default_precision(device)
        self._model_name = PurePath(files.name).name
        versions = {**libraries(), **{name: metadata.version(name) for name in LIBRARIES}}
        facts = [
            files.sha256,
            prompt.VERSION,
            prompt.MAX_SIDE,
            prompt.words_sha256("digit"),
            self._precision,
        ]
        self.info = JudgeInfo(
            name=name,
            revision=hashlib.sha256(json.dumps([facts, versions]).encode()).hexdigest(),
            personal=True,
            settings={
                "model": self._model_name,
                "vlm_sha256": files.sha256,
                "prompt": prompt.VERSION,
                "max_side": prompt.MAX_SIDE,
                "precision": self._precision,
            },
        )

    @cached_property
    def vlm(self) -> Vlm:
        """The model, shared with whoever else asks it here."""
        return load_vlm(self._files, self._device, self._precision)

    def estimate(self, question: Question) -> Estimate:
        """What asking takes at most, by the model's config; nothing is loaded, nothing is paid.

        An image among several is its patches and a newline; no text has more tokens than bytes.
        """
        vision = self._files.config.get("vision_config") or {}
        side, patch = vision.get("image_size", 384), vision.get("patch_size", 14)
        text = prompt.question_text(question)
        images = text.count(prompts.IMAGE)
        tokens = len(text.encode()) + FRAME_TOKENS + images * ((side // patch) ** 2 + 1)
        return Estimate(tokens_in=tokens, tokens_out=0, cost=0.0)

    def judge(
        self,
        questions: Sequence[Question],
        *,
        allowance: float | None = None,  # noqa: ARG002 - it costs nothing
    ) -> Iterator[tuple[int, Verdict]]:
        """Each question's place and its verdict, as `batches.in_batches` yields them.

        Raises:
            MissingPrerequisite: the model's files are damaged, or it does not answer by one token.
            PpdbenchError: the device has too little memory for the model, or one question.
        """
        return in_batches(
            questions,
            self._answer,
            weigh=lambda question: self.estimate(question).tokens_in,
            most=BATCH_TOKENS,
        )

    def _answer(self, questions: Sequence[Question]) -> list[Verdict]:
        for question in questions:
            if self._max_shots is not None and len(question.shots) > self._max_shots:
                raise ValueError(
                    f"{len(question.shots)} shots: the model takes {self._max_shots} at most"
                )
        vlm = self.vlm
        started = time.perf_counter()
        ready = vlm.prepare(
            [prompt.question_text(question) for question in questions],
            [prompt.question_images(question) for question in questions],
        )
        odds = vlm.choice_log_odds(ready).tolist()
        seconds = (time.perf_counter() - started) / len(questions)
        return [
            chosen(log_odds, self._details(question, seconds, len(row)))
            for question, log_odds, row in zip(questions, odds, ready.rows, strict=True)
        ]

    def _details(self, question: Question, seconds: float, tokens: int) -> dict[str, Any]:
        return {
            "model": self._model_name,
            "seconds": round(seconds, 6),
            "tokens_in": tokens,
            "tokens_out": 0,
            "slots": prompt.slots(question.shots),
        }


def judge(context: JudgeContext) -> Judge:
    """Entry point `ppdbench.judges: vlm`, the suite's own model; `vlm:FOLDER` is another.

    Args:
        context: a suite that knows how many shots its model understands says so by an attribute
            `vlm_max_shots`, which a suite need not have.

    Raises:
        MissingPrerequisite: the model is not here, or is not whole.
    """
    if context.argument:
        files = find_vlm(context.argument)
        return VlmJudge(files, context.device, name=f"{NAME}:{PurePath(files.name).name}")
    return VlmJudge(
        find_vlm(context.suite.vlm),
        context.device,
        max_shots=getattr(context.suite, "vlm_max_shots", None),
    )
