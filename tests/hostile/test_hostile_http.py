"""Servers that never end, over a socket: time and memory of an answer are bounded, whoever asks.

What a status or a body means is tested beside each client (`tests/judges/`, `tests/generators/`).
"""

from __future__ import annotations

import contextlib
import functools
import gzip
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator

import openai  # noqa: F401 - before memory is counted
import pytest
from asking import judge_of, questions

from ppdbench.generators import chat_server
from ppdbench.generators.chat_server import ChatServer
from ppdbench.generators.http_calls import JsonServer, Unanswered
from ppdbench.generators.language_model import Silence
from ppdbench.judges import openai_calls

MINUTE = 60.0
MOST = 60_000_000
"""Bytes of Python's own that asking may take: some times the bound of an answer, as text too."""
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
BOMB = gzip.compress(b" " * 200_000_000)
Act = Callable[[socket.socket, threading.Event], None]


def endless(to: socket.socket, over: threading.Event) -> None:
    to.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\n")
    while not over.is_set():
        to.sendall(b"10000\r\n" + b" " * 65_536 + b"\r\n")


def bomb(to: socket.socket, _over: threading.Event) -> None:
    to.sendall(OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB)


def trickle(start: bytes, piece: bytes, to: socket.socket, over: threading.Event) -> None:
    to.sendall(start)
    while not over.wait(0.05):
        to.sendall(piece)


ACTS: dict[str, Act] = {
    "an endless body": endless,
    "a body that unpacks to 200 MB": bomb,
    "a header now and then": functools.partial(trickle, OK, b"X-More: and more\r\n"),
    "a letter of a header now and then": functools.partial(trickle, OK + b"X-More: ", b"a"),
    "a letter now and then": functools.partial(trickle, OK + b"Content-Length: 9999\r\n\r\n", b" "),
    "nothing": functools.partial(trickle, b"", b""),
}


@contextlib.contextmanager
def acting(act: Act) -> Iterator[str]:
    """A server that reads a request and then does nothing but `act`; for a minute at most."""
    over = threading.Event()
    end = threading.Timer(MINUTE, over.set)
    end.daemon = True
    end.start()
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                to, _ = listening.accept()
                threading.Thread(target=answer, args=(to,), daemon=True).start()

    def answer(to: socket.socket) -> None:
        with contextlib.suppress(OSError), to, to.makefile("rb") as sent:
            # All of it is read: else the system resets the connection.
            lines = iter(lambda: sent.readline().strip().lower(), b"")
            length = [line for line in lines if line.startswith(b"content-length:")]
            sent.read(int(length[0].partition(b":")[2]))
            act(to, over)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
    finally:
        end.cancel()
        over.set()
        listening.close()


def by_judge(url: str) -> str:
    ((_, verdict),) = judge_of(url, timeout=0.6).judge(questions(1))
    assert (verdict.status, verdict.choice) == ("api_error", None)
    return str(verdict.error)


def by_language_model(url: str) -> str:
    server = ChatServer("tiny", base_url=url, max_tokens=None, concurrency=1, timeout=0.6)
    ((_, said),) = server.answer([[{"role": "user", "content": "hello"}]])
    assert isinstance(said, Silence)
    return said.why


def by_json(url: str) -> str:
    with pytest.raises(Unanswered) as caught:
        JsonServer(url, timeout=0.6).post("/generate", {}, most=1_000_000)
    return str(caught.value)


@pytest.mark.parametrize(
    "ask",
    [
        by_json,
        pytest.param(by_judge, marks=pytest.mark.slow),
        pytest.param(by_language_model, marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("act", sorted(ACTS))
def test_an_answer_without_end_is_given_up(
    act: str, ask: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setattr(openai_calls, "TRIES", 1)
    monkeypatch.setattr(chat_server, "TRIES", 1)
    with acting(ACTS[act]) as url:
        began = time.monotonic()
        tracemalloc.start()
        why = ask(url)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        # A server that trickles does so until it is left alone, or until the minute is over; a
        # busy machine may take as long for 0.6 seconds.
        assert time.monotonic() - began < MINUTE
    assert most < MOST, f"{most:,} bytes"
    if "body" in act:
        assert "bytes" in why or "no JSON" in why or "no answer in" in why, why
    else:
        assert "no answer in 0.6 s" in why
