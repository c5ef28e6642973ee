"""A server of chat completions that answers late, and a share of its requests by a fault.

What befalls a request is a function of the question and of how often it was asked: whoever asks the
same questions meets the same faults. The first part of the path is whose turn it is: each has
counts of its own, and `GET /TURN/log` gives all of its requests as JSON. Tokens are counted as
gpt-4o is billed for images of these sizes, and whatever was begun to be answered is charged:
replies that were cut, came garbled or never left included. Elsewhere: who asks (`judge_load`,
`bare_client`).

    python perf/faulty_server.py [--latency 0.2] [--faults 0.05]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import subprocess
import sys
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

Kind = Literal["reply", "rate", "broken", "silent", "cut", "garbled", "refusal"]
FAULTS: tuple[Kind, ...] = ("rate", "broken", "silent", "cut", "garbled", "refusal")
"""429 with Retry-After, 500, no answer at all, a connection that ends inside the answer, an answer
that is no JSON, and a model that declines: each equally often."""
ANSWERED: tuple[Kind, ...] = ("reply", "refusal")
"""What is a whole answer, paid for, and no reason to ask again."""
UNCHARGED: tuple[Kind, ...] = ("rate", "broken")
RETRY_AFTER = 1
"""Seconds, as a 429 asks for."""
IMAGE_TOKENS = 255
"""https://platform.openai.com/docs/guides/images-vision#calculating-costs: gpt-4o takes 85 and 170
for an image within one tile."""
BYTES_A_TOKEN = 4
"""Of English text, about."""
FEWEST, SPREAD = 20, 41
"""Tokens of a reply: 20 to 60."""


def question_of(messages: Sequence[Mapping[str, Any]]) -> str:
    """What a question is known by: all that it shows, in its order; 64 hex digits."""
    return hashlib.sha256(json.dumps(messages, sort_keys=True).encode()).hexdigest()


def fate(question: str, attempt: int, faults: float) -> Kind:
    """What befalls a question when it is asked for the so-manieth time, counted from 1.

    Args:
        question: as `question_of` gives it.
        attempt: of this turn.
        faults: share of all requests that meet one, 0 to 1.
    """
    digest = hashlib.sha256(f"{question}/{attempt}".encode()).digest()
    if int.from_bytes(digest[:6], "big") >= faults * 2**48:
        return "reply"
    return FAULTS[int.from_bytes(digest[6:8], "big") % len(FAULTS)]


def tokens(question: str, messages: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
    """Tokens read and written; of a question always the same."""
    read = 0
    for message in messages:
        content = message["content"]
        for part in [{"text": content}] if isinstance(content, str) else content:
            text = part.get("text")
            read += IMAGE_TOKENS if text is None else len(text.encode()) // BYTES_A_TOKEN
    return read, FEWEST + int(question[:8], 16) % SPREAD


def answer(kind: Kind, question: str, read: int, written: int) -> bytes:
    """The whole HTTP answer; of a connection that is cut, what comes before."""
    if kind == "rate":
        error = {"error": {"message": "Rate limit reached.", "code": "rate_limit_exceeded"}}
        return _http("429 Too Many Requests", error, f"Retry-After: {RETRY_AFTER}\r\n")
    if kind == "broken":
        return _http("500 Internal Server Error", {"error": {"message": "Something broke."}})
    says = {"reason": "It is redder.", "choice": "12"[int(question[-1], 16) % 2], "confidence": 0.8}
    refusal = "I cannot compare these." if kind == "refusal" else None
    content = None if refusal else json.dumps(says)
    message = {"role": "assistant", "content": content, "refusal": refusal}
    whole = _http(
        "200 OK",
        {
            "id": f"chatcmpl-{question[:12]}",
            "object": "chat.completion",
            "created": 1,
            "model": "gpt-4o",
            "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
            "usage": {
                "prompt_tokens": read,
                "completion_tokens": written,
                "total_tokens": read + written,
            },
        },
    )
    if kind == "garbled":  # the length is right, the JSON ends in another way
        return whole[:-20] + b"<html>bad gateway</h"
    return whole[:-60] if kind == "cut" else whole


def _http(status: str, body: object, headers: str = "") -> bytes:
    data = json.dumps(body).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{headers}"
    return f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data


class Log:
    """All requests of all turns, in the order in which they came."""

    def __init__(self) -> None:
        self._asked: Counter[tuple[str, str]] = Counter()
        self._lines: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)

    def begin(self, turn: str, question: str, faults: float) -> dict[str, Any]:
        """A line for a request that has come; `delivered` becomes true with the whole answer."""
        self._asked[turn, question] += 1
        attempt = self._asked[turn, question]
        kind = fate(question, attempt, faults)
        line = {"question": question, "attempt": attempt, "kind": kind, "delivered": False}
        self._lines[turn].append(line)
        return line

    def of(self, turn: str) -> list[dict[str, Any]]:
        """The lines of a turn."""
        return self._lines[turn]


class Connection(asyncio.Protocol):
    """One client's connection; it sends one request at a time."""

    def __init__(self, log: Log, latency: float, faults: float) -> None:
        self._log, self._latency, self._faults = log, latency, faults
        self._data = bytearray()
        self._needed = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - it is a stream's
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer, once a request is whole."""
        self._data += data
        if not self._needed:
            end = self._data.find(b"\r\n\r\n")
            if end < 0:
                return
            self._needed = end + 4 + _length(bytes(self._data[:end]))
        if len(self._data) >= self._needed:
            head, _, body = bytes(self._data[: self._needed]).partition(b"\r\n\r\n")
            del self._data[: self._needed]
            self._needed = 0
            turn = head.split(b" ", 2)[1].decode().split("/")[1]
            if head.startswith(b"GET "):
                self._transport.write(_http("200 OK", self._log.of(turn)))
            else:
                self._ask(turn, json.loads(body)["messages"])

    def _ask(self, turn: str, messages: Sequence[Mapping[str, Any]]) -> None:
        question = question_of(messages)
        line = self._log.begin(turn, question, self._faults)
        line["tokens_in"], line["tokens_out"] = tokens(question, messages)
        if line["kind"] != "silent":
            asyncio.get_running_loop().call_later(self._latency, self._answer, line)

    def _answer(self, line: dict[str, Any]) -> None:
        if self._transport.is_closing():  # the client has given up
            return
        kind, question = line["kind"], line["question"]
        self._transport.write(answer(kind, question, line["tokens_in"], line["tokens_out"]))
        line["delivered"] = True
        if kind == "cut":
            self._transport.close()


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


async def serve(latency: float, faults: float) -> None:
    """Serve on a free port of the loopback, told on standard output, until killed."""
    loop, log = asyncio.get_running_loop(), Log()
    server = await loop.create_server(
        lambda: Connection(log, latency, faults), "127.0.0.1", 0, backlog=256
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextlib.contextmanager
def serving(latency: float, faults: float) -> Iterator[str]:
    """The URL of a server in a process of its own; a turn follows it, and then `v1`."""
    words = [sys.executable, __file__, "--latency", str(latency), "--faults", str(faults)]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None  # noqa: S101 - it is a pipe
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def read_log(url: str, turn: str) -> list[dict[str, Any]]:
    """All requests of a turn so far: question, attempt, kind, tokens, and whether it was answered.

    Args:
        url: as `serving` gives it.
        turn: whose.
    """
    with urllib.request.urlopen(f"{url}/{turn}/log", timeout=60) as found:  # noqa: S310 - our own server
        lines: list[dict[str, Any]] = json.load(found)
    return lines


def main() -> None:
    """Parse and serve."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--latency", type=float, default=0.2, help="seconds")
    parser.add_argument("--faults", type=float, default=0.05, help="share of requests, 0 to 1")
    given = parser.parse_args()
    asyncio.run(serve(given.latency, given.faults))


if __name__ == "__main__":
    main()
