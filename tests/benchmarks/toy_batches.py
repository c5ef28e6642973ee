"""A judge of the toy world whose calls a provider takes as files, and that provider.

The provider answers a request by what stands in it alone, live and in a file in the same way.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import people_world
import pytest
import toy_judges
from toy_judges import Toy

from ppdbench.judges.budget import dollars
from ppdbench.judges.completion import read_completion, read_usage
from ppdbench.judges.question import question_digest
from ppdbench.judges.reply import RESPONSE_FORMAT
from ppdbench.protocols import JudgeContext, Question, Verdict

PRICE = (1000.0, 10_000.0)
"""US dollars a million tokens: two cents a call of the provider."""
MODEL = "sender-1"
bodies: list[str] = []
"""What bodies were made of, by caption; tests clear it and look."""


class Sender(Toy):
    """Prefers what the shots show, in one token or with a reason; always says how it would ask."""

    def __init__(self, price: tuple[float, float] | None, *, digit: bool) -> None:
        super().__init__("sender", self._live)
        self._price = price
        self._digit = digit

    def body(self, question: Question) -> dict[str, Any]:
        bodies.append(question.caption)
        odds = toy_judges.by_taste(question, question_digest(question)).log_odds
        asked: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": odds}]}
        if self._digit:
            return {**asked, "max_tokens": 1}
        return {**asked, "max_tokens": 300, "response_format": RESPONSE_FORMAT}

    def _live(self, question: Question, _: str) -> Verdict:
        reply = provider(self.body(question))
        found = read_completion(reply, format_asked=not self._digit, first_token=self._digit)
        assert found is not None
        return found.verdict(
            cost=dollars(self._price, read_usage(reply)),
            details={"requested_model": MODEL, "format_asked": not self._digit, "seconds": None},
        )


def provider(body: Mapping[str, Any]) -> dict[str, Any]:
    """A completion: the first image where the number in the request is above 0."""
    choice = "1" if body["messages"][0]["content"] > 0 else "2"
    text = choice
    if "response_format" in body:
        text = json.dumps({"reason": "it is so", "choice": choice, "confidence": 0.75})
    return {
        "model": "sender-1-of-may",
        "choices": [
            {
                "message": {"role": "assistant", "content": text},
                "finish_reason": "length" if body["max_tokens"] == 1 else "stop",
            }
        ],
        "usage": {"prompt_tokens": 10, "completion_tokens": 1},
    }


def parts_of(path: Path) -> list[Path]:
    """The batch files that a command wrote by this name."""
    return sorted(path.parent.glob(f"{path.stem}-*{path.suffix}"))


def requests_of(path: Path) -> dict[str, dict[str, Any]]:
    """Key -> body, in all files of this name; no key comes twice."""
    lines = [line for part in parts_of(path) for line in part.read_text().splitlines()]
    found = {record["custom_id"]: record["body"] for record in map(json.loads, lines)}
    assert len(found) == len(lines)
    return found


def answer(key: str, body: Mapping[str, Any], status: int = 200) -> str:
    """A line of the provider's file."""
    said = provider(body) if status == 200 else {"error": {"message": "the server is full"}}
    response = {"status_code": status, "body": said}
    return json.dumps({"custom_id": key, "response": response, "error": None}) + "\n"


def answered(
    requests: Mapping[str, Mapping[str, Any]], path: Path, but: Iterable[str] = ()
) -> Path:
    """The provider's file, with no answers to some; in another order than it was asked."""
    left = set(but)
    lines = [answer(key, requests[key]) for key in sorted(requests) if key not in left]
    path.write_text("".join(lines))
    return path


def sender(context: JudgeContext) -> Sender:
    return Sender(context.price, digit=context.argument == "digit")


def use_sender(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register the judge."""
    monkeypatch.setitem(people_world.OWN["judges"], "sender", "toy_batches:sender")
    bodies.clear()
