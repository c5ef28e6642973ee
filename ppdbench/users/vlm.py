"""A LLaVA-OneVision that is shown pictures and asked: its answers, hidden states and choices.

What a prompt gives does not depend on the prompts beside it, up to float noise: batches are padded
on the left, positions are counted without the padding. Nothing is sampled. Elsewhere: loading it
(`vlm_load`), what it is asked (`prompts`), embeddings of users (`llava_onevision`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ppdbench.errors import MissingPrerequisite, UsageError
from ppdbench.rewards.open_clip_tower import Precision, inference
from ppdbench.rewards.preprocess import to_rgb
from ppdbench.users.prompts import IMAGE

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

CHOICES = ("1", "2")
"""What `prompts.choice_text` has answered."""
END_OF_TURN = "<|im_end|>"
LESS_MEMORY = "take fewer users or questions at once, or a larger device"


@dataclass(frozen=True, slots=True)
class Prompts:
    """Prompts as the model takes them; `Vlm.prepare` makes them."""

    rows: tuple[Tensor, ...]
    """Token ids of each prompt, (T,), unpadded, up to where the answer begins."""
    images: Mapping[str, Tensor]
    """Pixels of all images in order, and how many are whose."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model answered to one prompt."""

    ids: tuple[int, ...]
    """Its tokens, without the mark that ends it."""
    text: str
    finished: bool
    """False where it was cut off at the longest length."""


class Vlm:
    """Model and processor on one device; the model is taken as it is and left so."""

    def __init__(
        self, model: Any, processor: Any, device: str = "cpu", precision: Precision = "fp32"
    ) -> None:
        self.model = model
        self.processor = processor
        self.device = device
        self.precision = precision
        tokenizer = processor.tokenizer
        ends = model.generation_config.eos_token_id
        marks = [*(ends if isinstance(ends, list) else [ends]), tokenizer.eos_token_id]
        marks += [tokenizer.pad_token_id, tokenizer.get_vocab().get(END_OF_TURN)]
        self._ends = sorted({mark for mark in marks if mark is not None})

    @property
    def layers(self) -> int:
        """Layers of the language model; hidden states are numbered 0 (its input) to this."""
        return len(self.model.model.language_model.layers)

    def prepare(self, texts: Sequence[str], images: Sequence[Sequence[Image]]) -> Prompts:
        """Make prompts of user turns.

        Args:
            texts: what the user says, one a prompt, `<image>` where an image stands.
            images: each prompt's images, in the order of their marks.

        Raises:
            ValueError: a text has more or fewer marks than images, or is longer than the model
                takes.
        """
        for text, shown in zip(texts, images, strict=True):
            if text.count(IMAGE) != len(shown):
                raise ValueError(f"{text.count(IMAGE)} marks for {len(shown)} images in a prompt")
        if not texts:
            return Prompts((), {})
        turns = [
            # The images are marked inside the text: as parts of their own, the published template
            # puts all of them before it.
            self.processor.apply_chat_template(
                [{"role": "user", "content": [{"type": "text", "text": text}]}],
                add_generation_prompt=True,
                tokenize=False,
            )
            for text in texts
        ]
        # A list of lists: a flat one is taken for prompts of one image each.
        nested = [[to_rgb(image) for image in shown] for shown in images]
        found = self.processor(
            text=turns,
            images=nested if any(nested) else None,
            padding=True,
            return_tensors="pt",
        )
        ids, mask = found.pop("input_ids"), found.pop("attention_mask").bool()
        rows = tuple(row[kept] for row, kept in zip(ids, mask, strict=True))
        longest = max(len(row) for row in rows)
        limit = self.model.config.text_config.max_position_embeddings
        if longest > limit:
            raise ValueError(f"a prompt has {longest} tokens, and the model takes {limit}")
        return Prompts(rows, dict(found))

    def answer(self, prompts: Prompts, *, max_new_tokens: int) -> list[Answer]:
        """Answers, each the likeliest word after word, of at most so many tokens."""
        if not prompts.rows:
            return []
        ids, mask, _ = self._padded(prompts.rows)
        with inference(self.device, fix=LESS_MEMORY), self._greedy(max_new_tokens):
            written = self.model.generate(
                input_ids=ids, attention_mask=mask, **self._images(prompts)
            )
        answers = []
        for row in written[:, ids.shape[1] :].tolist():
            end = next((at for at, token in enumerate(row) if token in self._ends), None)
            text = self.processor.tokenizer.decode(row[:end], skip_special_tokens=True)
            answers.append(Answer(tuple(row[:end]), text.strip(), end is not None))
        return answers

    def last_states(
        self, prompts: Prompts, answers: Sequence[Answer] | None = None, *, layer: int = -1
    ) -> Tensor:
        """Hidden state at the last token of each answer, (N, width) fp32 on the CPU.

        One pass over prompt and answer together. The last token is the answer's own, before the
        mark that ends it; it was never fed back while the answer was written, so `generate`'s own
        last hidden state is that of the token before. Without answers, or where one is empty, it
        is the prompt's last token, from which the first word is predicted.

        Args:
            prompts: of `prepare`.
            answers: one a prompt.
            layer: 0 is the input of the first layer, n the output of layer n, and the last one,
                -1, is final-normed: the numbers of transformers' `hidden_states`.

        Raises:
            UsageError: there is no such layer.
        """
        import torch

        number = layer + self.layers + 1 if layer < 0 else layer
        if not 0 <= number <= self.layers:
            raise UsageError(
                f"the model has no hidden state {layer}",
                fix=f"use 0 to {self.layers}, or -1 to {-self.layers - 1} from the end",
            )
        if not prompts.rows:
            return torch.empty(0, self.model.config.text_config.hidden_size)
        rows = list(prompts.rows)
        if answers is not None:
            rows = [
                torch.cat([row, torch.tensor(answer.ids, dtype=row.dtype)])
                for row, answer in zip(rows, answers, strict=True)
            ]
        ids, mask, positions = self._padded(rows)
        with inference(self.device, fix=LESS_MEMORY), self._last_position(number) as kept:
            self.model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions,
                **self._images(prompts),
                use_cache=False,
                logits_to_keep=1,
            )
        return kept[0].cpu().clone()  # no longer an inference tensor

    def choice_log_odds(self, prompts: Prompts) -> Tensor:
        """Log-odds (N,), fp32 on the CPU, that the answer begins with "1" rather than "2".

        The logits' difference, taken in fp32 from the last hidden state: in bf16 a logit of 20 is
        known to 1/16 only. One order of the images each; who asks averages over both.

        Raises:
            MissingPrerequisite: "1" or "2" is no token of the model's.
        """
        weight = self.model.lm_head.weight.detach()
        first, second = (weight[token].float().cpu() for token in self._choice_tokens())
        return self.last_states(prompts).matmul(first - second)

    def _choice_tokens(self) -> list[int]:
        tokens = []
        for word in CHOICES:
            ids = self.processor.tokenizer.encode(word, add_special_tokens=False)
            if len(ids) != 1:
                raise MissingPrerequisite(
                    f"{word!r} is {len(ids)} tokens of the vision-language model, not one",
                    fix="take a model that answers by one token, as Qwen2's do",
                )
            tokens += ids
        return tokens

    def _padded(self, rows: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Token ids, attention mask and positions, (N, T) each, padded on the left."""
        import torch

        longest = max(len(row) for row in rows)
        ids = torch.full((len(rows), longest), self._ends[0])
        mask = torch.zeros_like(ids)
        for at, row in enumerate(rows):
            ids[at, longest - len(row) :] = row
            mask[at, longest - len(row) :] = 1
        positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
        return ids.to(self.device), mask.to(self.device), positions.to(self.device)

    def _images(self, prompts: Prompts) -> dict[str, Tensor]:
        """Images on the device, pixels in the model's number format."""
        return {
            name: tensor.to(self.device, self.model.dtype)
            if tensor.is_floating_point()
            else tensor.to(self.device)
            for name, tensor in prompts.images.items()
        }

    @contextmanager
    def _greedy(self, max_new_tokens: int) -> Iterator[None]:
        """Let the model write its likeliest words, whatever its folder says of sampling."""
        import transformers

        library: Any = transformers
        own = self.model.generation_config
        self.model.generation_config = library.GenerationConfig(
            do_sample=False,
            num_beams=1,
            max_new_tokens=max_new_tokens,
            eos_token_id=self._ends,
            pad_token_id=self._ends[0],
            # A mark of an image that is not there would have no pixels when it is read again.
            suppress_tokens=[self.processor.image_token_id, self.processor.video_token_id],
        )
        try:
            yield
        finally:
            self.model.generation_config = own

    @contextmanager
    def _last_position(self, number: int) -> Iterator[list[Tensor]]:
        """Keep the last position of hidden state `number`, (N, width) fp32, of the next pass.

        A hook, as the states of all tokens of all layers would fill the device.
        """
        import torch

        language = self.model.model.language_model
        kept: list[Tensor] = []

        def keep(states: Tensor) -> None:
            kept.append(states[:, -1].to(torch.float32, copy=True))

        if number == self.layers:
            hook = language.norm.register_forward_hook(lambda _module, _args, out: keep(out))
        else:
            hook = language.layers[number].register_forward_pre_hook(
                lambda _module, args, named: keep(args[0] if args else named["hidden_states"]),
                with_kwargs=True,
            )
        try:
            yield kept
        finally:
            hook.remove()
