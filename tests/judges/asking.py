"""Questions small enough to send by the hundred, and the judge that asks a server of a test."""

from __future__ import annotations

from typing import Any

import pytest
from hostile_server import HostileServer
from PIL import Image

from ppdbench.judges import openai_judge, retry
from ppdbench.judges.openai_judge import OpenAIJudge
from ppdbench.protocols import JudgeContext, Question, Shot

KEY = "sk-a-secret-that-never-leaks"
PRICE = (2.5, 10.0)


def plain(red: int, green: int = 0, blue: int = 0) -> Image.Image:
    """An image of one colour."""
    return Image.new("RGB", (8, 8), (red, green, blue))


SHOTS = tuple(
    Shot(caption=f"shot {n}", preferred=plain(n, 1), dispreferred=plain(n, 2)) for n in range(4)
)


def question(number: int) -> Question:
    """One that no other is like; its caption is "pair NUMBER"."""
    return Question(
        caption=f"pair {number}",
        shots=SHOTS,
        first=plain(number % 256, number // 256, 3),
        second=plain(number % 256, number // 256, 4),
    )


def questions(count: int) -> list[Question]:
    """So many."""
    return [question(number) for number in range(count)]


def quick(monkeypatch: pytest.MonkeyPatch, key: str | None = KEY) -> None:
    """Let waits be short, and set the key."""
    monkeypatch.setattr(retry, "FIRST_WAIT", 0.01)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    if key is None:
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    else:
        monkeypatch.setenv("OPENAI_API_KEY", key)


def judge_of(server: HostileServer | str, argument: str = "tiny", **also: Any) -> OpenAIJudge:
    """The judge that asks this server."""
    suite: Any = None  # it has no part in a server's judge
    settings = {"timeout": 5.0, "price": PRICE, **also}
    url = server if isinstance(server, str) else server.base_url
    return openai_judge.judge(
        JudgeContext(suite=suite, device="cpu", argument=argument, base_url=url, **settings)
    )
