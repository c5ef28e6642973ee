"""What a reply says: the format that is asked for, and the only readings of a text that count.

A reply is either the JSON object of `RESPONSE_FORMAT`, alone or inside one fence, or a text whose
last line is nothing but a choice. Whatever mentions both images, argues, or is merely near to one
of these says nothing: no verdict is ever guessed. Elsewhere: the question (`prompt`), the envelope
that a reply travels in (`completion`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from ppdbench.data.plain_json import parse_json

Status = Literal["ok", "parse_error", "refusal"]
Choice = Literal["first", "second", "abstain"]
ParsedBy = Literal["json_schema", "json", "last_line"]
"""How a reply was read: as JSON that the server was asked for, as JSON that only the prompt asked
for, or by its last line."""

SCHEMA_VERSION = "1"
"""Of the format and of the parse; part of every judge's revision."""

RESPONSE_FORMAT: dict[str, Any] = {
    "type": "json_schema",
    "json_schema": {
        "name": "choice",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {
                "reason": {"type": "string"},
                "choice": {"type": "string", "enum": ["1", "2", "abstain"]},
                "confidence": {"type": "number", "minimum": 0, "maximum": 1},
            },
            "required": ["reason", "choice", "confidence"],
            "additionalProperties": False,
        },
    },
}
"""What a server that honours structured output is sent; the reason comes before the choice."""

LONGEST = 20_000
"""Characters of a reply that are read and kept; a longer one is no answer to the question."""

_CHOICES: dict[str, Choice] = {"1": "first", "2": "second", "abstain": "abstain"}
_KEYS = {"reason", "choice", "confidence"}
_FENCED = re.compile(r"```(?:json)?[ \t]*\n(.*)\n[ \t]*```", re.DOTALL | re.IGNORECASE)
_LINE = re.compile(
    r"(?:(?:the )?(?:final )?answer(?: is)?:? ?)?"
    r"(?:\[\[([12])\]\]|\[([12])\]|\(([12])\)|([12]))\.?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A reply as it was read; only one whose status is "ok" has a choice."""

    status: Status
    choice: Choice | None = None
    reason: str | None = None
    confidence: float | None = None
    parsed_by: ParsedBy | None = None
    error: str | None = None
    """Why it says nothing, on one line."""


def read_reply(
    text: object,
    *,
    refusal: object = None,
    finish_reason: str | None = "stop",
    format_asked: bool = False,
    first_token: bool = False,
) -> Reply:
    r"""What a model's text says.

    The grammar of a last line, after the marks of emphasis and quotation (``* ` "``) are taken out
    and white space is made single: `1` or `2`, bare or in `[ ]`, `[[ ]]` or `( )`, with or without
    a dot after it and "Answer:", "The answer is" or "Final answer:" before it. Another line of
    that form that names the other image makes the text contradict itself.

    Args:
        text: the message's content; anything but text says nothing.
        refusal: the message's own field for a refusal.
        finish_reason: why the model stopped, as the server says; of a text that was cut ("length")
            only whole JSON counts.
        format_asked: whether `RESPONSE_FORMAT` was sent and not refused.
        first_token: whether one token was asked for, as by who reads the next token's logits: then
            it is no fault that the model would have gone on.
    """
    if refusal:
        return Reply(status="refusal", error="the model refused")
    if finish_reason == "content_filter":
        return Reply(status="refusal", error="the server's content filter stopped the reply")
    if not isinstance(text, str) or not text.strip():
        return _nothing("the reply has no text")
    if len(text) > LONGEST:
        return _nothing(f"the reply has {len(text)} characters, and {LONGEST} are read")
    bare = text.strip()
    fenced = _FENCED.fullmatch(bare)
    if fenced is not None or bare.startswith(("{", "```")):
        return _read_json(fenced.group(1) if fenced is not None else bare, format_asked)
    if finish_reason == "length" and not first_token:
        return _nothing("the reply was cut at its longest length")
    return _read_last_line(bare)


def _read_json(text: str, format_asked: bool) -> Reply:
    try:
        found = parse_json(text)
    except (ValueError, RecursionError):
        return _nothing("the reply is no whole JSON object")
    if not isinstance(found, dict) or set(found) != _KEYS:
        return _nothing("the reply's JSON does not have reason, choice and confidence alone")
    reason, choice, confidence = found["reason"], found["choice"], found["confidence"]
    if not isinstance(reason, str):
        return _nothing("the reply's reason is no text")
    if not isinstance(choice, str) or choice not in _CHOICES:
        return _nothing('the reply\'s choice is none of "1", "2" and "abstain"')
    if isinstance(confidence, bool) or not isinstance(confidence, int | float):
        return _nothing("the reply's confidence is no number")
    if not 0 <= confidence <= 1:
        return _nothing("the reply's confidence is not from 0 to 1")
    return Reply(
        status="ok",
        choice=_CHOICES[choice],
        reason=reason,
        confidence=float(confidence),
        parsed_by="json_schema" if format_asked else "json",
    )


def _read_last_line(text: str) -> Reply:
    said = [_line_choice(line) for line in re.split(r"\r\n|\r|\n", text) if line.strip()]
    if said[-1] is None:
        return _nothing("the reply's last line is not 1 or 2 alone")
    if len({choice for choice in said if choice is not None}) > 1:
        return _nothing("the reply gives both 1 and 2 as its answer")
    return Reply(status="ok", choice=_CHOICES[said[-1]], parsed_by="last_line")


def _line_choice(line: str) -> str | None:
    """The number that the line says and nothing else, by the grammar of `read_reply`."""
    found = _LINE.fullmatch(" ".join(re.sub(r'[*`"]', "", line).split()))
    return None if found is None else next(group for group in found.groups() if group)


def _nothing(error: str) -> Reply:
    return Reply(status="parse_error", error=error)
