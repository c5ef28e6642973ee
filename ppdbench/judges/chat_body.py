"""A question as the body of a chat completion: messages with lossless images, and its settings.

The shots' images are made once for all questions that share them, and the candidates' once for
both orders. Elsewhere: the words (`prompt`), the format of the reply (`reply`).
"""

from __future__ import annotations

import base64
import io
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ppdbench.judges.by_content import ByContent
from ppdbench.judges.completion import clean
from ppdbench.judges.prompt import (
    SYSTEM,
    Style,
    preferred_first,
    question_text,
    shown,
    shown_size,
)
from ppdbench.judges.reply import RESPONSE_FORMAT
from ppdbench.judges.token_bounds import image_bound, text_bound
from ppdbench.protocols import Question, Shot
from ppdbench.users.prompts import IMAGE, shots_images

if TYPE_CHECKING:
    from PIL.Image import Image

TEMPERATURE = 0
MAX_TOKENS: dict[Style, int] = {"digit": 1, "json": 300}
"""Most tokens of a reply, where nothing else is asked for. A digit is the answer's first token, as
for a model that is read by its next token's logits: what it would say after that is no matter."""
AT_HAND = 16
"""Sets of shots, and four times as many candidates, whose encoded images are kept."""
FORMAT_BYTES = len(str(RESPONSE_FORMAT))
"""A server may count the format among the tokens it reads."""


@dataclass(frozen=True, slots=True)
class Form:
    """What a request says beside its messages; servers refuse what they do not know."""

    format: bool
    """Whether the reply's JSON schema is sent along."""
    tokens: str = "max_tokens"
    """The name by which the longest reply goes."""
    temperature: bool = True


def simpler(form: Form, complaint: str) -> Form | None:
    """The form without what a server refuses; None where it complains of something else.

    Args:
        form: what was sent.
        complaint: the server's words, and the field that it names.
    """
    said = complaint.lower()
    if form.format and any(word in said for word in _FORMAT_WORDS):
        return replace(form, format=False)
    if form.tokens == "max_tokens" and "max_completion_tokens" in said:
        return replace(form, tokens="max_completion_tokens")
    if form.temperature and "temperature" in said:
        return replace(form, temperature=False)
    return None


_FORMAT_WORDS = (
    "response_format",
    "response format",
    "json_schema",
    "json schema",
    "structured",
    "guided",
    "grammar",
)


class Bodies:
    """Makes the bodies of one model's calls.

    Args:
        model: as the server knows it.
        style: what is asked for.
        max_tokens: most tokens of a reply.
    """

    def __init__(self, model: str, style: Style, max_tokens: int) -> None:
        self.model = model
        self.style = style
        self.max_tokens = max_tokens
        self._shots: OrderedDict[int, tuple[tuple[Shot, ...], list[str]]] = OrderedDict()
        self._candidates = ByContent(
            lambda images, _: [data_url(image) for image in images], room=4 * AT_HAND
        )

    def messages(self, question: Question) -> list[dict[str, Any]]:
        """The turn, text and images in the order of `prompt.question_text`."""
        texts = clean(question_text(question, self.style)).split(IMAGE)
        pair = (question.first, question.second)
        urls = [*self._shot_urls(question.shots), *self._candidates.of(pair)]
        parts: list[dict[str, Any]] = [{"type": "text", "text": texts[0]}]
        for url, text in zip(urls, texts[1:], strict=True):
            image = {"url": url} if self.style == "digit" else {"url": url, "detail": "high"}
            parts += [{"type": "image_url", "image_url": image}, {"type": "text", "text": text}]
        turn = {"role": "user", "content": [part for part in parts if part.get("text") != ""]}
        if self.style == "digit":
            return [turn]
        return [{"role": "system", "content": SYSTEM}, turn]

    def body(self, messages: list[dict[str, Any]], form: Form) -> dict[str, Any]:
        """The whole request."""
        body: dict[str, Any] = {"model": self.model, "messages": messages}
        if form.temperature:
            body["temperature"] = TEMPERATURE
        body[form.tokens] = self.max_tokens
        if form.format:
            body["response_format"] = RESPONSE_FORMAT
        return body

    def tokens_in(self, question: Question, form: Form) -> int:
        """Most tokens that are read of a question; no image is encoded."""
        said = [question_text(question, self.style)]
        if self.style != "digit":
            said.append(SYSTEM)
        images = [*shots_images(question.shots), question.first, question.second]
        return (
            text_bound(*said)
            + (FORMAT_BYTES if form.format else 0)
            + sum(image_bound(*shown_size(image.size), self.model) for image in images)
        )

    def _shot_urls(self, shots: tuple[Shot, ...]) -> list[str]:
        found = self._shots.get(id(shots))
        if found is None or found[0] is not shots:
            found = (
                shots,
                [data_url(image) for image in shots_images(shots, preferred_first(shots))],
            )
            self._shots[id(shots)] = found  # kept, so that no other takes its place
        self._shots.move_to_end(id(shots))
        while len(self._shots) > AT_HAND:
            self._shots.popitem(last=False)
        return found[1]


def data_url(image: Image) -> str:
    """An image as judges are shown it, as a PNG inside a URL; deflated little, as that is quick."""
    buffer = io.BytesIO()
    shown(image).save(buffer, format="PNG", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
