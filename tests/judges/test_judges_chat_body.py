"""A request holds the prompt's very images and words, and its images are made once."""

from __future__ import annotations

import base64
import json
from typing import Any, get_args

import numpy as np
import pytest
from asking import SHOTS, plain, question
from PIL import Image

from ppdbench.data.images import decode_image
from ppdbench.judges import chat_body, prompt
from ppdbench.judges.chat_body import Bodies, Form, simpler
from ppdbench.judges.prompt import Style
from ppdbench.judges.token_bounds import image_bound
from ppdbench.protocols import Question, Shot


def noisy(seed: int, width: int, height: int, mode: str = "RGB") -> Image.Image:
    draw = np.random.default_rng(seed)
    return Image.fromarray(draw.integers(0, 255, (height, width, 3), dtype=np.uint8)).convert(mode)


def pixels(url: str) -> bytes:
    head, _, data = url.partition(",")
    assert head == "data:image/png;base64"
    return decode_image(base64.b64decode(data, validate=True)).tobytes()


def parts_of(asked: Question, style: Style) -> list[str | Image.Image]:
    """Text and images in turn, by hand."""
    first, *texts = prompt.question_text(asked, style).split("<image>")
    images = prompt.question_images(asked)
    turns = [part for pair in zip(images, texts, strict=True) for part in pair]
    return [part for part in (first, *turns) if part != ""]


@pytest.mark.parametrize("style", get_args(Style))
@pytest.mark.parametrize("count", [0, 4])
def test_the_turn_is_the_prompts_parts_in_their_order(style: Style, count: int) -> None:
    shots = tuple(
        Shot(caption=f"c{n}", preferred=noisy(n, 64, 48), dispreferred=noisy(n + 10, 700, 600))
        for n in range(count)
    )
    asked = Question(
        caption="a\u00e9 b <image> <|im_end|>",
        shots=shots,
        first=noisy(20, 600, 900, "RGBA"),
        second=noisy(21, 32, 32, "P"),
    )
    *before, turn = Bodies("m", style, 9).messages(asked)
    parts = parts_of(asked, style)
    assert [m["role"] for m in before] == ([] if style == "digit" else ["system"])
    assert len(turn["content"]) == len(parts)
    for sent, part in zip(turn["content"], parts, strict=True):
        if isinstance(part, str):
            assert sent == {"type": "text", "text": part}
        else:
            assert sent["type"] == "image_url"
            assert pixels(sent["image_url"]["url"]) == part.tobytes()
    json.dumps(turn)


def test_both_orders_share_their_beginning() -> None:
    asked = question(3)
    flipped = Question(
        caption=asked.caption, shots=asked.shots, first=asked.second, second=asked.first
    )
    bodies = Bodies("m", "json", 300)
    one, other = (bodies.messages(q)[-1]["content"] for q in (asked, flipped))
    assert one != other
    differ = [n for n, (a, b) in enumerate(zip(one, other, strict=True)) if a != b]
    assert len(differ) == 2 and differ[0] > 2 * 2 * len(SHOTS)


def test_images_are_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = 0
    encode = chat_body.data_url

    def count(image: Image.Image) -> str:
        nonlocal made
        made += 1
        return encode(image)

    monkeypatch.setattr(chat_body, "data_url", count)
    bodies = Bodies("m", "json", 300)
    for number in range(3):  # of each, both orders, with images decoded anew
        asked = question(number)
        again = question(number)
        bodies.messages(asked)
        bodies.messages(
            Question(caption="c", shots=asked.shots, first=again.second, second=again.first)
        )
    assert made == 2 * len(SHOTS) + 3 * 2


def test_many_users_leave_no_more_than_are_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_body, "AT_HAND", 2)
    bodies = Bodies("m", "digit", 4)
    said = []
    for number in range(6):
        shot = Shot(caption="c", preferred=plain(number, 7), dispreferred=plain(number, 8))
        asked = Question(caption="c", shots=(shot,), first=plain(1), second=plain(2))
        said.append(json.dumps(bodies.messages(asked)))
    assert len(set(said)) == 6 and len(bodies._shots) == 2


@pytest.mark.parametrize("size", [(64, 64), (512, 300), (513, 512), (3000, 1), (900, 1400)])
def test_bounds_are_of_the_images_as_they_are_shown(size: tuple[int, int]) -> None:
    asked = Question(caption="c", shots=(), first=noisy(1, *size), second=noisy(2, *size))
    bodies, form = Bodies("gpt-4o", "json", 300), Form(format=True)
    sent = bodies.messages(asked)
    words = len(json.dumps([part for part in sent[-1]["content"] if "text" in part]))
    width, height = prompt.shown(asked.first).size
    images = 2 * image_bound(width, height, "gpt-4o")
    bound = bodies.tokens_in(asked, form)
    assert images < bound < images + len(prompt.SYSTEM) + words + chat_body.FORMAT_BYTES + 100
    assert bodies.tokens_in(asked, Form(format=False)) < bound


def test_the_request_has_what_the_form_says() -> None:
    bodies = Bodies("m", "json", 300)
    least = Form(format=False, tokens="max_completion_tokens", temperature=False)
    assert bodies.body([], least) == {"model": "m", "messages": [], "max_completion_tokens": 300}
    whole = bodies.body([], Form(format=True))
    assert (whole["max_tokens"], whole["temperature"]) == (300, 0)
    assert whole["response_format"]["type"] == "json_schema"


FULL = Form(format=True)


@pytest.mark.parametrize(
    ("complaint", "left"),
    [
        ("Invalid parameter: 'response_format' of type 'json_schema' is not supported", False),
        ("structured outputs are not available", False),
        ("xgrammar: grammar error", False),
    ],
)
def test_a_format_that_is_refused_is_left_out(complaint: str, left: bool) -> None:
    assert simpler(FULL, complaint) == Form(format=left)
    assert simpler(Form(format=False), complaint) is None  # it was not sent: something else


def test_other_settings_that_are_refused_are_said_otherwise_or_left_out() -> None:
    tokens = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
    found = simpler(FULL, tokens)
    assert found == Form(format=True, tokens="max_completion_tokens")
    heat: Any = simpler(found, "Unsupported value: 'temperature' does not support 0")
    assert heat == Form(format=True, tokens="max_completion_tokens", temperature=False)
    assert simpler(heat, tokens + " temperature") is None
    assert simpler(FULL, "this image cannot be read") is None
