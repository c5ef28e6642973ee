"""What servers and models say: never an exception that is not the parser's own, never a guess.

Each property is held on `FAST` cases always and on 10,000 with `-m slow`, in the bounds of `cases`.
Elsewhere: the same over a socket (`test_hostile_http`); replies one by one, and each with one
letter changed (`tests/judges/test_judges_reply.py`).
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from cases import TEXTS, Draw, damage, damages, edit, edits, hold, profiles, takes
from PIL import Image

from ppdbench.data.images import encode_png
from ppdbench.generators.chat_server import ChatServer
from ppdbench.generators.http_calls import Unanswered
from ppdbench.generators.http_messages import read_answer, read_info
from ppdbench.generators.language_model import Silence
from ppdbench.generators.not_drawn import NotDrawn
from ppdbench.generators.openai_image_calls import _picture
from ppdbench.judges.batch_files import read_replies
from ppdbench.judges.completion import (
    error_code,
    error_words,
    is_refusal,
    read_completion,
    read_usage,
)
from ppdbench.judges.reply import Reply, read_reply
from ppdbench.judges.retry import LONGEST_WAIT, retry_after
from ppdbench.protocols import GenerationRequest, Verdict
from ppdbench.runs.profiles import FILE, read_profiles
from ppdbench.users.rewrite_prompt import LONGEST
from ppdbench.users.rewrite_prompt import read_reply as read_caption

SWAPPED = str.maketrans("12", "21")
OTHER = {"first": "second", "second": "first", "abstain": "abstain"}
PIECES = (
    *("1", "2", "[1]", "[[2]]", "(1)", "1.", "Answer: 2", "The final answer is 1", "**2**"),
    *("\n", "\r\n", "\r", " ", "\t", "\u2028", "\x0b", "\x85", "```", "```json\n", "\n```", "`"),
    *("{", "}", '"', "both", "neither", "image 1 is better than image 2", "12", "1 2", "not 1"),
    *("\u0661", "\u00b9", "\uff11"),
)
JSON_REPLY = {"reason": "It is red.", "choice": "1", "confidence": 0.75}
MESSAGE = {"role": "assistant", "content": json.dumps(JSON_REPLY), "refusal": None}
COMPLETION = {
    "id": "chatcmpl-1",
    "model": "tiny",
    "system_fingerprint": "fp_1",
    "choices": [{"index": 0, "finish_reason": "stop", "message": MESSAGE}],
    "usage": {
        "prompt_tokens": 100,
        "completion_tokens": 10,
        "prompt_tokens_details": {"cached_tokens": 64},
    },
}
ERROR = {
    "error": {"message": "no", "type": "error", "code": "content_filter", "param": "messages"},
    "usage": {"prompt_tokens": 7},
}


def texts_of(pieces: tuple[str, ...]) -> Callable[[Draw], str]:
    """Up to six pieces, some of them hostile words, put together."""

    def joined(draw: Draw) -> str:
        count = draw.randrange(1, 7)
        return "".join(draw.choice(pieces if draw.random() < 0.8 else TEXTS) for _ in range(count))

    return joined


def bodies(*valid: Any) -> Callable[[Draw], bytes]:
    """JSON with other values in it; one in four is damaged as bytes too."""

    def body(draw: Draw) -> bytes:
        data = json.dumps(edit(draw.choice(valid), draw, draw.randrange(4))).encode()
        return damage(data, draw, draw.randrange(3)) if draw.random() < 0.25 else data

    return body


def decoded(data: bytes) -> Any:
    """As every reader of an answer decodes it: None where it is no JSON."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def require_storable(verdict: Verdict) -> None:
    """It is told in a record as any other, in UTF-8 and without NaN."""
    told = [verdict.raw, verdict.reason, verdict.error, verdict.confidence, dict(verdict.details)]
    json.dumps(told, allow_nan=False, ensure_ascii=False).encode()
    assert (verdict.choice is not None) == (verdict.status == "ok")
    assert verdict.confidence is None or 0 <= verdict.confidence <= 1


# --- a judge's reply ------------------------------------------------------------------------------


def names(text: str) -> set[str]:
    """Images that lines of a text name and name alone, read without the grammar of the parser."""
    marks = r"(?i)the|final|answer|is|[:.\s*`\"()\[\]]"
    kept = [re.sub(marks, "", line) for line in re.split(r"[\r\n]", text)]
    return {line for line in kept if line in ("1", "2")}


@profiles
def test_a_text_is_the_other_choice_with_the_numbers_swapped(number: int) -> None:
    def body(text: str) -> bool:
        found = read_reply(text)
        mirrored = read_reply(text.translate(SWAPPED))
        assert found.status == mirrored.status
        if found.status != "ok":
            assert found.choice is None and found.error
            return False
        assert found.choice is not None and mirrored.choice == OTHER[found.choice]
        if found.parsed_by == "last_line":
            said = names(text)
            assert said == {"1" if found.choice == "first" else "2"}, "both or none are no choice"
        return True

    hold(body, texts_of(PIECES), number=number)


@profiles
def test_json_is_a_choice_only_by_the_schema(number: int) -> None:
    def body(data: bytes) -> bool:
        found = read_reply(data.decode("utf-8", "replace"), format_asked=True)
        if found.status != "ok":
            assert found == Reply(status="parse_error", error=found.error)
            return False
        told = json.loads(data.decode("utf-8", "replace"))
        if found.parsed_by == "last_line":
            assert told in (1, 2, [1], [2], [[1]], [[2]])
            return True
        assert set(told) == set(JSON_REPLY)
        assert {"1": "first", "2": "second", "abstain": "abstain"}[told["choice"]] == found.choice
        return True

    hold(body, bodies(JSON_REPLY, {**JSON_REPLY, "choice": "abstain"}), number=number)


# --- envelopes ------------------------------------------------------------------------------------


@profiles
def test_a_completion_is_a_verdict_or_none(number: int) -> None:
    words = {**COMPLETION, "choices": [{"message": {"content": "so\n2"}, "finish_reason": "stop"}]}

    def body(data: bytes) -> bool:
        found = read_completion(decoded(data), format_asked=True)
        if found is None:
            return False
        verdict = found.verdict(cost=0.0, details={"requested_model": "tiny"})
        require_storable(verdict)
        for tokens in (found.usage.tokens_in, found.usage.tokens_out, found.usage.cached_tokens):
            assert tokens is None or 0 <= tokens < 10**9
        return verdict.status == "ok"

    hold(body, bodies(COMPLETION, words), number=number)


@profiles
def test_an_errors_body_is_words_on_one_line(number: int) -> None:
    def body(data: bytes) -> bool:
        found = decoded(data)
        error_words(found).encode()
        assert isinstance(error_code(found), str)
        read_usage(found)
        return is_refusal(400, found)

    hold(body, bodies(ERROR, {"error": "no"}, {"message": "no"}), number=number)


@profiles
def test_a_wait_is_none_or_within_bounds(number: int) -> None:
    date = format_datetime(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), usegmt=True)
    waits = (b"12", b"0.5", b"1e3", b"-1", b"nan", date.encode(), b"Fri, 2 Jan 2026 03:05 -9999")

    def headers(draw: Draw) -> dict[str, str]:
        def one(*valid: bytes) -> str:
            return damage(draw.choice(valid), draw, draw.randrange(4)).decode("latin-1")

        name = draw.choice(("retry-after", "retry-after-ms"))
        return {name: one(*waits), "date": one(date.encode())}

    def body(found: Mapping[str, str]) -> bool:
        seconds = retry_after(found)
        assert seconds is None or 0 <= seconds <= LONGEST_WAIT
        return seconds is not None

    hold(body, headers, number=number)


@profiles
def test_batch_files_are_verdicts_or_a_named_line(number: int, tmp_path: Path) -> None:
    answer = {"custom_id": "ab" * 32, "response": {"status_code": 200, "body": COMPLETION}}
    failed = {
        "custom_id": "cd" * 32,
        "response": {"status_code": 400, "body": ERROR},
        "error": None,
    }
    path = tmp_path / "answers.jsonl"

    def file(draw: Draw) -> bytes:
        lines = [json.dumps(edit(each, draw, draw.randrange(3))) for each in (answer, failed)]
        data = "\n".join([*lines, *draw.choices(lines, k=draw.randrange(2)), ""]).encode()
        return damage(data, draw, draw.randrange(3)) if draw.random() < 0.3 else data

    def check(found: Mapping[bytes, Verdict]) -> None:
        for verdict in found.values():
            require_storable(verdict)
            assert verdict.cost >= 0

    def body(data: bytes) -> bool:
        path.write_bytes(data)
        return takes(
            lambda: read_replies(path, model="tiny", format_asked=True, price=(2.5, 10.0)), check
        )

    hold(body, file, number=number, folder=tmp_path)


# --- rewriting ------------------------------------------------------------------------------------


@profiles
def test_a_rewritten_caption_is_one_line(number: int) -> None:
    def body(text: str) -> bool:
        try:
            said = read_caption(text)
        except ValueError as error:
            assert type(error) is ValueError and "\n" not in str(error)
            return False
        assert said == said.strip() and len(said) <= LONGEST and len(said.splitlines()) == 1
        return True

    pieces = ("Caption: ", '"', "\u201c", "\u201d", "a red circle", "\n", "\r", "\x85", *PIECES)
    hold(body, texts_of(pieces), number=number)


@profiles
def test_a_chat_servers_answer_is_text_or_silence(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    url = "http://127.0.0.1:9/v1"
    server = ChatServer("tiny", base_url=url, max_tokens=None, concurrency=1, timeout=1.0)

    def body(data: bytes) -> bool:
        found = server._read(data.decode("utf-8", "replace"))
        if isinstance(found, str):
            found.encode()
            return True
        why = found.why
        assert "\n" not in why
        why.encode()
        assert not isinstance(found, Silence) or why
        return False

    hold(body, bodies(COMPLETION), number=number)


# --- pictures -------------------------------------------------------------------------------------

INFO = {
    "name": "flat",
    "version": "1",
    "revision": "abc",
    "licence": "CC0-1.0",
    "conditions_on": ["shots", "profile"],
    "seeded": True,
    "encoder": "clip",
    "encoder_revision": "1",
    "training_users_digest": None,
    "batch": 4,
    "settings": {"steps": 4, "more": {"of": ["it", 0.5]}},
}
_PNG = encode_png(Image.new("RGB", (8, 8), (9, 8, 7)))
IMAGE = base64.b64encode(_PNG).decode()


def request(number: int) -> GenerationRequest:
    """For a picture of 8 x 8."""
    return GenerationRequest(id=str(number), caption="c", user=None, seed=number, width=8, height=8)


def nested(depth: int) -> bytes:
    """What a server says of itself, with settings so deep."""
    text = json.dumps({**INFO, "settings": {"a": 0}})
    return text.replace("0}", "[" * depth + "]" * depth + "}").encode()


@profiles
def test_what_a_server_says_of_itself_is_recorded_or_refused(number: int) -> None:
    def body(data: bytes) -> bool:
        try:
            found = read_info(decoded(data))
        except Unanswered as error:
            assert "\n" not in str(error)
            return False
        told = found.model_dump(mode="json")
        json.dumps(told, allow_nan=False, ensure_ascii=False).encode()
        assert 1 <= found.batch <= 1024
        return True

    # Nested so deep that Python reads it, and could not write it.
    hold(
        body, bodies(INFO), number=number, examples=[nested(depth) for depth in (18, 40, 900, 950)]
    )


@profiles
def test_pictures_in_json_are_pictures_or_said_not_to_be(number: int) -> None:
    wanted = [request(0), request(1)]
    valid = {"images": [IMAGE, IMAGE]}, {"images": [IMAGE, {"error": "no"}]}

    def body(found: Any) -> bool:
        try:
            outcomes = read_answer(found, wanted)
        except Unanswered as error:
            assert "\n" not in str(error)
            return False
        assert len(outcomes) == 2
        drawn = [each for each in outcomes if not isinstance(each, NotDrawn)]
        assert all((each.size, each.mode, each.info) == ((8, 8), "RGB", {}) for each in drawn)
        return len(drawn) == 2

    hold(body, edits(*valid), number=number)


@profiles
def test_a_paid_picture_is_one_or_said_not_to_be(number: int) -> None:
    data = {"data": [{"b64_json": IMAGE}]}
    link = {"data": [{"url": f"data:image/png;base64,{IMAGE}"}]}

    def body(found: Any) -> bool:
        try:
            picture = _picture(found)
        except Unanswered:
            return False
        return not isinstance(picture, NotDrawn)

    hold(body, edits(data, link, {"data": [{"url": "http://x/y.png"}]}), number=number)


def _in_base64(data: bytes) -> dict[str, Any]:
    return {"data": [{"b64_json": base64.b64encode(data).decode()}]}


@profiles
def test_a_damaged_picture_keeps_nothing_but_pixels(number: int) -> None:
    def body(data: bytes) -> bool:
        found = _picture(_in_base64(data))
        if isinstance(found, NotDrawn):
            assert "\n" not in str(found)
            return False
        assert found.mode == "RGB"
        return True

    hold(body, damages(_PNG), number=number)


# --- profiles -------------------------------------------------------------------------------------


@profiles
def test_profiles_of_a_run_are_texts_or_none(number: int, tmp_path: Path) -> None:
    valid = {"schema_version": 1, "profiles": {"vlm": {"user:1": "Likes red.", "user:2": "-"}}}
    check: Callable[[Any], bool] = lambda found: all(  # noqa: E731
        isinstance(text, str) for texts in found.values() for text in texts.values()
    )

    def body(data: bytes) -> bool:
        (tmp_path / FILE).write_bytes(data)
        found = read_profiles(tmp_path)
        assert check(found)
        return bool(found)

    hold(body, bodies(valid), number=number, folder=tmp_path)
