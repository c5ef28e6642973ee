"""A causal language model on this machine, through transformers: greedy, one chat at a time.

One at a time, as a batch moves logits by float noise and with them the word that is said; chats
that come to the same prompt are answered once. Data in a chat loses whatever the tokenizer would
take for a mark of its own. Elsewhere: where a name's folder is (`users.model_folder`), keeping
answers (`replies`).
"""

from __future__ import annotations

import hashlib
import importlib.metadata as metadata
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from ppdbench.errors import MissingPrerequisite, PpdbenchError, one_line
from ppdbench.generators.language_model import Silence
from ppdbench.rewards.folder import checked_sha256
from ppdbench.rewards.weights import Found
from ppdbench.runs.device import resolve
from ppdbench.users.model_folder import model_folder
from ppdbench.users.rewrite_prompt import Messages
from ppdbench.users.vlm_load import default_precision, quietly

WHAT = "language model"
MAX_TOKENS = 300
"""The longest answer, where the model's generation_config.json says nothing."""
READ = ("*.json", "*.jinja", "*.txt", "*.model", "*.safetensors")
"""Files that the library may read; manifest.json, which is ours, is not among them."""
LIBRARIES = ("torch", "transformers", "tokenizers")


class LocalModel:
    """Implements `language_model.LanguageModel`; the weights are loaded at the first chat."""

    paid = False

    def __init__(self, name: str, device: str, *, max_tokens: int | None = None) -> None:
        """Find the files; arguments as `language_model.language_model`.

        Raises:
            MissingPrerequisite: there is no such model here, or it has no safetensors.
        """
        self._name, self._device = name, resolve(device)
        self._max_tokens = max_tokens
        try:
            self._path = model_folder(name, WHAT)
        except MissingPrerequisite as error:
            raise MissingPrerequisite(
                error.cause, fix=f"{error.fix}; a server's model is named openai:MODEL"
            ) from error
        for needed in ("config.json", "*.safetensors"):
            if not any(self._path.glob(needed)):
                raise MissingPrerequisite(
                    f"{name} lacks {self._path / needed}",
                    fix="name a causal language model in transformers' layout, as safetensors",
                )
        self._said: dict[str, str | Silence] = {}

    @cached_property
    def identity(self) -> Mapping[str, Any]:
        """Files by hash, and how they are computed with.

        Raises:
            MissingPrerequisite: a file is not the one that the folder's manifest.json lists.
        """
        total = hashlib.sha256()
        files = {file for kind in READ for file in self._path.glob(kind)}
        for file in sorted(file for file in files if file.name != "manifest.json"):
            try:
                digest = checked_sha256(self._path, Found(file, None))
            except PpdbenchError as error:
                raise MissingPrerequisite(error.cause, fix=error.fix) from error
            total.update(f"{file.name} {digest}\n".encode())
        return {
            "llm_sha256": total.hexdigest(),
            "precision": default_precision(self._device),
            "max_tokens": self._max_tokens,
        }

    @property
    def versions(self) -> str:
        """Libraries that compute."""
        return " ".join(f"{name} {metadata.version(name)}" for name in LIBRARIES)

    def answer(self, chats: Sequence[Messages]) -> Iterator[tuple[int, str | Silence]]:
        """See `LanguageModel.answer`; in order.

        Raises:
            MissingPrerequisite: its files are damaged or of no causal language model.
            PpdbenchError: the device has too little memory.
        """
        for place, chat in enumerate(chats):
            prompt = self.prompt(chat)
            if prompt not in self._said:
                self._said[prompt] = self._spoken(prompt)
            yield place, self._said[prompt]

    def prompt(self, chat: Messages) -> str:
        """What the model reads of a chat: by its own template, or turn after turn without one."""
        _, tokenizer = self._loaded
        marks = sorted({*tokenizer.all_special_tokens, *tokenizer.get_added_vocab()}, key=len)
        plain = [{**turn, "content": _without(turn["content"], marks[::-1])} for turn in chat]
        if not tokenizer.chat_template:
            return "\n\n".join([*(turn["content"] for turn in plain), "Rewritten caption:"])
        text: str = tokenizer.apply_chat_template(
            plain,
            tokenize=False,
            add_generation_prompt=True,
            enable_thinking=False,  # of templates that know it: thoughts are no caption
        )
        return text

    def _spoken(self, prompt: str) -> str | Silence:
        import torch

        model, tokenizer = self._loaded
        read = tokenizer(
            prompt, return_tensors="pt", add_special_tokens=not tokenizer.chat_template
        ).to(self._device)
        length = read["input_ids"].shape[1]
        longest = self._max_tokens or model.generation_config.max_new_tokens or MAX_TOKENS
        try:
            with torch.inference_mode():
                said = model.generate(
                    input_ids=read["input_ids"],
                    attention_mask=read["attention_mask"],
                    max_new_tokens=longest,
                    pad_token_id=tokenizer.eos_token_id,  # one chat: nothing is padded
                )[0, length:]
        except torch.OutOfMemoryError as error:
            raise PpdbenchError(
                f"{self._device} has too little memory for {self._name}", fix="use a larger device"
            ) from error
        ends = model.generation_config.eos_token_id
        ended = int(said[-1]) in (ends if isinstance(ends, list) else [ends])
        if len(said) >= longest and not ended:
            return Silence(f"the language model was cut off at {longest} tokens")
        text: str = tokenizer.decode(said, skip_special_tokens=True)
        return text

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        half = default_precision(self._device) == "bf16"
        try:
            with quietly():
                tokenizer: Any = AutoTokenizer.from_pretrained(
                    self._path,
                    local_files_only=True,
                    trust_remote_code=False,  # where nothing is said, it asks on the terminal
                )
                found: Any = AutoModelForCausalLM.from_pretrained(
                    self._path,
                    dtype=torch.bfloat16 if half else torch.float32,
                    local_files_only=True,
                    trust_remote_code=False,
                    use_safetensors=True,  # never pickle
                    output_loading_info=True,
                )
        except (PpdbenchError, ImportError):
            raise
        except Exception as error:  # what libraries raise on damaged files is no closed list
            raise MissingPrerequisite(
                f"the language model {self._name} cannot be loaded: {one_line(error)}",
                fix="its files are damaged or of no causal language model: copy all of it again",
            ) from error
        model, report = found
        lacking = sorted({*report["missing_keys"], *report["mismatched_keys"]}, key=str)
        if lacking:  # the library fills them with noise
            raise MissingPrerequisite(
                f"the weights of {self._name} lack {len(lacking)} tensors: {lacking[0]}, ...",
                fix="make config.json and the weights belong together",
            )
        settings = model.generation_config
        settings.do_sample, settings.num_beams = False, 1
        settings.temperature = settings.top_p = settings.top_k = None
        return model.eval().requires_grad_(False).to(self._device), tokenizer


def _without(text: str, marks: Sequence[str]) -> str:
    """A text without marks, longest first; one that taking out makes is taken out too."""
    while any(mark in text for mark in marks if mark.strip()):
        for mark in marks:
            if mark.strip():
                text = text.replace(mark, " ")
    return text
