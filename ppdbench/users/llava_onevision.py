"""Encoder by a vision-language model: it is shown the shots, thinks aloud, and is read (PPD).

The model says how the images of each pair differ and what the person likes. The embedding is the
hidden state at the last token of that answer, before the mark that ends it, read in a pass over
prompt and answer (`vlm.Vlm.last_states` says which position and which layer); the profile is the
answer's last line. An answer cut off at the longest length is read where it was cut. Elsewhere: the
prompt (`prompts`), the model (`vlm`), caches (`encode`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from ppdbench.errors import UsageError
from ppdbench.protocols import EncoderInfo, LoadContext, UserCode, UserContext, UserEncoder
from ppdbench.rewards.open_clip_tower import Precision
from ppdbench.users import prompts
from ppdbench.users.vlm_files import VlmFiles, find_vlm
from ppdbench.users.vlm_load import default_precision, load_vlm

if TYPE_CHECKING:
    from ppdbench.users.vlm import Vlm

NAME = "llava-onevision"
MAX_NEW_TOKENS = 1024
"""The longest answer, where the model's own generation_config.json says nothing."""


class LlavaOnevisionEncoder:
    """Implements `protocols.UserEncoder`; the model is loaded at the first user."""

    def __init__(
        self,
        files: VlmFiles,
        device: str = "cpu",
        *,
        layer: int = -1,
        max_new_tokens: int | None = None,
        precision: Precision | None = None,
        max_shots: int | None = None,
    ) -> None:
        """See what is asked for; only files are read.

        Args:
            files: of `vlm_files.find_vlm`.
            device: as torch names it.
            layer: which hidden state, as transformers numbers them: 0 is the input of the first
                layer, n the output of layer n, -1 the final-normed output of the last.
            max_new_tokens: the longest answer; by default the model's own limit.
            precision: "bf16" on a GPU and "fp32" elsewhere, where nothing is said.
            max_shots: the most shots of a user that the model understands, where that is known; no
                part of the revision.

        Raises:
            UsageError: there is no such layer, or no answer is allowed.
            MissingPrerequisite: a file is damaged.
        """
        if not -files.layers - 1 <= layer <= files.layers:
            raise UsageError(
                f"{files.name} has no hidden state {layer}",
                fix=f"use 0 to {files.layers}, or -1 to {-files.layers - 1} from the end",
            )
        self._longest = files.max_new_tokens or MAX_NEW_TOKENS
        if max_new_tokens is not None:
            self._longest = max_new_tokens
        if self._longest < 1:
            raise UsageError(f"answers of {self._longest} tokens", fix="allow one at least")
        self._files, self._device = files, device
        self._layer = layer if layer < 0 else layer - files.layers - 1
        self._precision = precision or default_precision(device)
        asked = [prompts.VERSION, prompts.DESCRIBE, prompts.IMAGE, self._layer, self._longest]
        self.info = EncoderInfo(
            name=NAME,
            revision=hashlib.sha256(json.dumps([files.sha256, *asked]).encode()).hexdigest(),
            dim=files.width,
            uses="shots",
            settings={
                "vlm_sha256": files.sha256,
                "prompts": prompts.VERSION,
                "layer": self._layer,
                "max_new_tokens": self._longest,
                "precision": self._precision,
            },
            max_shots=max_shots,
        )

    @cached_property
    def vlm(self) -> Vlm:
        """The model, shared with whoever else asks it here."""
        return load_vlm(self._files, self._device, self._precision)

    def encode(self, users: Sequence[UserContext]) -> list[UserCode | None]:
        """One code a user, in order, all in one batch; None for a user without shots.

        Without shots there is nothing to describe: whoever trains on embeddings has a null user
        of its own.

        Raises:
            MissingPrerequisite: the model's files are damaged.
            PpdbenchError: the device has too little memory.
            ValueError: a user's shots are more than the model takes.
        """
        asked = [user.shots for user in users if user.shots]
        if not asked:
            return [None for _ in users]
        ready = self.vlm.prepare(
            [prompts.shots_text(shots) + prompts.DESCRIBE for shots in asked],
            [prompts.shots_images(shots) for shots in asked],
        )
        answers = self.vlm.answer(ready, max_new_tokens=self._longest)
        states = self.vlm.last_states(ready, answers, layer=self._layer).numpy()
        codes = iter(
            UserCode(embedding=state, profile=last_line(answer.text))
            for state, answer in zip(states, answers, strict=True)
        )
        return [next(codes) if user.shots else None for user in users]


def last_line(text: str) -> str | None:
    """The last line that holds something, None where none does."""
    lines = [line.strip() for line in text.splitlines()]
    return next((line for line in reversed(lines) if line), None)


def encoder(
    context: LoadContext, *, layer: int = -1, max_new_tokens: int | None = None
) -> UserEncoder:
    """Entry point `ppdbench.encoders: llava-onevision`, with the suite's model.

    Args:
        context: a suite that knows how many shots its model understands says so by an attribute
            `vlm_max_shots`, which a suite need not have.
        layer: as `LlavaOnevisionEncoder` has it.
        max_new_tokens: the same.

    Raises:
        UsageError: there is no such layer, or no answer is allowed.
        MissingPrerequisite: the suite's model is not here, or is not whole.
    """
    return LlavaOnevisionEncoder(
        find_vlm(context.suite.vlm),
        context.device,
        layer=layer,
        max_new_tokens=max_new_tokens,
        max_shots=getattr(context.suite, "vlm_max_shots", None),
    )
