"""A chat completion as it came, live or from a batch file: read strictly, trusted in nothing.

Servers that call themselves compatible leave fields out, name them otherwise and send other types;
what is not as it should be is None here, and never an exception. Elsewhere: what the message says
(`reply`), what the call cost (`budget`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ppdbench.judges.reply import LONGEST, Reply, read_reply
from ppdbench.protocols import Verdict

FILTERED = ("content_filter", "content_policy_violation", "moderation_blocked")
"""Codes by which servers refuse a prompt for what it shows."""
LONGEST_NAME = 200
"""Characters that are kept of a model's name and the like."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of a call as the server counts them; None where it does not say."""

    tokens_in: int | None = None
    tokens_out: int | None = None
    cached_tokens: int | None = None
    """Of those read, the ones that the server had at hand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What of a completion is kept."""

    reply: Reply
    raw: str | None
    usage: Usage
    model: str | None
    """The model's name as the server gives it."""
    system_fingerprint: str | None
    finish_reason: str | None

    def verdict(self, *, cost: float, details: Mapping[str, Any]) -> Verdict:
        """The verdict, with what is known of the call; `details` stand before what is told here.

        Args:
            cost: US dollars of all attempts.
            details: JSON; has `requested_model`.
        """
        reply = self.reply
        requested = details.get("requested_model")
        return Verdict(
            status=reply.status,
            choice=reply.choice,
            confidence=reply.confidence,
            reason=reply.reason,
            raw=self.raw,
            error=reply.error,
            cost=cost,
            details={
                **details,
                "model": self.model or requested,
                "other_model": self.model is not None and self.model != requested,
                "system_fingerprint": self.system_fingerprint,
                "finish_reason": self.finish_reason,
                "tokens_in": self.usage.tokens_in,
                "tokens_out": self.usage.tokens_out,
                "cached_tokens": self.usage.cached_tokens,
                "parsed_by": reply.parsed_by,
            },
        )


def read_completion(
    body: object,
    *,
    format_asked: bool,
    first_token: bool = False,
    hide: Callable[[str], str] = str,
) -> Completion | None:
    """Read a completion's body; None where it has no choice at all, which is worth another try.

    Args:
        body: decoded JSON.
        format_asked: whether the reply's format was sent and not refused.
        first_token: whether one token was asked for.
        hide: takes out of a text what is not to be kept, before the text is clipped.
    """
    choices = _get(body, "choices")
    if not isinstance(choices, list) or not choices:
        return None
    choice = choices[0]
    message = _get(choice, "message")
    content = _get(message, "content")
    finish_reason = _name(_get(choice, "finish_reason"), hide)
    if len(choices) > 1:
        reply = Reply(status="parse_error", error=f"{len(choices)} replies came for one")
    else:
        reply = read_reply(
            clean(content) if isinstance(content, str) else None,
            refusal=_get(message, "refusal"),
            finish_reason=finish_reason,
            format_asked=format_asked,
            first_token=first_token,
        )
    if reply.reason is not None:  # its JSON may have spelt what the text around it did not
        reply = replace(reply, reason=hide(clean(reply.reason)))
    refusal = _get(message, "refusal")
    raw = content if isinstance(content, str) else refusal if isinstance(refusal, str) else None
    return Completion(
        reply=reply,
        raw=None if raw is None else hide(clean(raw))[:LONGEST],
        usage=read_usage(body),
        model=_name(_get(body, "model"), hide),
        system_fingerprint=_name(_get(body, "system_fingerprint"), hide),
        finish_reason=finish_reason,
    )


def read_usage(body: object) -> Usage:
    """What a body, of an error too, says of its tokens."""
    usage = _get(body, "usage")
    return Usage(
        tokens_in=_count(_get(usage, "prompt_tokens")),
        tokens_out=_count(_get(usage, "completion_tokens")),
        cached_tokens=_count(_get(_get(usage, "prompt_tokens_details"), "cached_tokens")),
    )


def error_words(body: object) -> str:
    """What the body of an error says, wherever in it the words stand."""
    told = body.get("error", body) if isinstance(body, Mapping) else body
    message = _get(told, "message")
    return clean(str(message or told))


def error_code(body: object) -> str:
    """The code by which the body of an error names its kind; empty where there is none."""
    told = body.get("error", body) if isinstance(body, Mapping) else None
    return str(_get(told, "code") or _get(told, "type") or "")


def is_refusal(status: int, body: object) -> bool:
    """Whether an HTTP error says that the question was looked at, and not for what it shows."""
    flagged = status == 403 and "flagged" in error_words(body).lower()
    return flagged or (400 <= status < 500 and error_code(body) in FILTERED)


def clean(text: str) -> str:
    """Text that any file and database takes: halves of characters, which JSON can spell, go."""
    return text.encode("utf-8", "replace").decode()


def _get(found: object, key: str) -> object:
    return found.get(key) if isinstance(found, Mapping) else None


def _name(found: object, hide: Callable[[str], str]) -> str | None:
    return hide(clean(found))[:LONGEST_NAME] if isinstance(found, str) else None


def _count(found: object) -> int | None:
    """A number of tokens; more than any model reads is no count either."""
    if not isinstance(found, int) or isinstance(found, bool):
        return None
    return found if 0 <= found < 10**9 else None
