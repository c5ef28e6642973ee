"""How much asking costs: the judge `openai` against the bare `openai` client.

Both sides send the very same requests, ten 64-pixel images each, to a server in a process of its
own that answers every one after the same latency, with the same number in flight; in one process,
alternating. The bare side is a semaphore around `AsyncOpenAI`'s `chat.completions.create`, its
requests made beforehand. The other side is all that `ppdbench judge` does with decoded images: each
question is looked up by its content, the requests are made, images included, the replies read, and
every verdict is put on record and into the cache before a further call is made. It posts through
the same client, but spares it looking through requests that are JSON already, and that is why it
can be the faster one.

    python perf/judge_throughput.py [--calls 1000] [--concurrency 32] [--latency 0.2] [--repeats 3]

Exits 1 if the judge asks at less than 90% of the bare client's throughput; writes
results/judge_throughput.json.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from result_file import RESULTS, header, write_result

from ppdbench.data.images import decode_image
from ppdbench.judges import openai_judge
from ppdbench.judges.ask import ask
from ppdbench.judges.call import Call
from ppdbench.judges.on_record import FILE, done
from ppdbench.judges.openai_judge import OpenAIJudge
from ppdbench.protocols import JudgeContext, Question
from ppdbench.suites.shapes.suite import ShapesSuite
from ppdbench.users.contexts import UserContexts

BAR = 0.90
OUT = RESULTS / "judge_throughput.json"
CHOICES = 4
"""Pairs of a user, each asked in both orders."""

REPLY = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-4o",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {
                    "role": "assistant",
                    "content": '{"reason": "It is redder.", "choice": "1", "confidence": 0.8}',
                },
            }
        ],
        "usage": {"prompt_tokens": 2800, "completion_tokens": 20, "total_tokens": 2820},
    }
).encode()
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(REPLY)
) + REPLY


class AfterLatency(asyncio.Protocol):
    """Answers every request after the latency, and reads nothing of it but its length."""

    def __init__(self, latency: float) -> None:
        self._latency = latency
        self._head = b""
        self._missing = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - it is a stream's
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Count the body down; the client sends one request at a time on a connection."""
        if not self._missing:
            self._head += data
            head, end, rest = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            self._head = b""
            self._missing = _length(head)
            data = rest
        self._missing -= len(data)
        if not self._missing:
            asyncio.get_running_loop().call_later(self._latency, self._answer)

    def _answer(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(ANSWER)


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


async def serve(latency: float) -> None:
    """Serve on a free port of the loopback, told on standard output, until killed."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: AfterLatency(latency), "127.0.0.1", 0, backlog=256)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextlib.contextmanager
def serving(latency: float) -> Iterator[str]:
    """The base URL of a server in a process of its own."""
    words = [sys.executable, __file__, "--serve", "--latency", str(latency)]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None  # noqa: S101 - it is a pipe
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        finally:
            process.kill()


def make_questions(calls: int) -> list[Question]:
    """Held-out choices of users of `shapes`, four shots each, each pair in both orders."""
    people = ShapesSuite().people
    users = people.users("unseen")[: -(-calls // (2 * CHOICES))]
    contexts = UserContexts(people, [(user.id, user.shots[0]) for user in users])
    found: list[Question] = []
    for user, context in zip(users, contexts, strict=True):
        for pair in people.pairs(user.choices[:CHOICES]):
            sides = [decode_image(pair.image_0), decode_image(pair.image_1)]
            found += [
                Question(caption=pair.caption, shots=context.shots, first=first, second=second)
                for first, second in (sides, sides[::-1])
            ]
    return found[:calls]


def make_judge(base_url: str, concurrency: int) -> OpenAIJudge:
    """A fresh judge: no image is encoded yet."""
    return openai_judge.judge(
        JudgeContext(
            suite=ShapesSuite(),
            device="cpu",
            argument="gpt-4o",
            base_url=base_url,
            concurrency=concurrency,
        )
    )


def bare_seconds(base_url: str, bodies: list[dict[str, Any]], concurrency: int) -> float:
    """Seconds that the client alone takes for requests made beforehand."""
    from openai import AsyncOpenAI

    async def ask_all() -> int:
        places = asyncio.Semaphore(concurrency)
        async with AsyncOpenAI(api_key="none", base_url=base_url, max_retries=0) as client:

            async def ask(body: dict[str, Any]) -> bool:
                async with places:
                    completion = await client.chat.completions.create(**body)
                return bool(completion.choices[0].message.content)

            return sum(await asyncio.gather(*map(ask, bodies)))

    begin = time.perf_counter()
    answered = asyncio.run(ask_all())
    seconds = time.perf_counter() - begin
    if answered != len(bodies):
        raise SystemExit(f"the bare client had {answered} answers to {len(bodies)} requests")
    return seconds


def judge_seconds(base_url: str, questions: list[Question], concurrency: int) -> float:
    """Seconds that asking takes, to the last verdict on record."""
    judge = make_judge(base_url, concurrency)
    calls = [
        Call(id=str(number), shots=(), images=(str(number), ""), caption=question.caption)
        for number, question in enumerate(questions)
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        begin = time.perf_counter()
        ask(
            judge,
            calls,
            lambda call: questions[int(call.id)],
            folder,
            events=Quiet(),
            cache=folder / "verdicts.sqlite",
        )
        seconds = time.perf_counter() - begin
        said = len(done(folder / FILE, calls))
    if said != len(questions):
        raise SystemExit(f"the judge had {said} verdicts on {len(questions)} questions")
    return seconds


class Quiet:
    """Says nothing; implements `protocols.Events`."""

    def stage(self, name: str, total: int) -> None:
        """Nothing."""

    def advance(self, n: int) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Say it."""
        print(text, file=sys.stderr)


def compare(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure both sides in turn and put what a number must carry beside it."""
    questions = make_questions(arguments.calls)
    bare, ours = [], []
    with serving(arguments.latency) as url:
        maker = make_judge(url, 1)
        bodies = [maker.body(question) for question in questions]
        few = arguments.concurrency
        bare_seconds(url, bodies[:few], few)  # imports and first calls, thrown away
        judge_seconds(url, questions[:few], few)
        for repeat in range(arguments.repeats):
            bare.append(bare_seconds(url, bodies, arguments.concurrency))
            ours.append(judge_seconds(url, questions, arguments.concurrency))
            print(
                f"{repeat + 1}/{arguments.repeats}: bare {len(bodies) / bare[-1]:.1f} calls/s, "
                f"judge {len(bodies) / ours[-1]:.1f} calls/s",
                file=sys.stderr,
            )
    ratio = statistics.median(bare) / statistics.median(ours)
    return {
        **header(also=("openai",)),
        "calls": len(bodies),
        "images_a_call": sum("image_url" in part for part in bodies[0]["messages"][-1]["content"]),
        "request_bytes": round(statistics.fmean(len(json.dumps(body)) for body in bodies)),
        "latency_seconds": arguments.latency,
        "concurrency": arguments.concurrency,
        "repeats": arguments.repeats,
        "bare_requests": "made beforehand",
        "judge_requests": "made inside the time; verdicts recorded and cached",
        "bare_calls_per_second": [round(len(bodies) / seconds, 2) for seconds in bare],
        "judge_calls_per_second": [round(len(bodies) / seconds, 2) for seconds in ours],
        "most_possible_calls_per_second": round(arguments.concurrency / arguments.latency, 2),
        "ratio_of_medians": round(ratio, 4),
        "bar": arguments.bar,
        "passed": ratio >= arguments.bar,
    }


def main() -> int:
    """Parse, compare, write, judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--latency", type=float, default=0.2, help="seconds")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--bar", type=float, default=BAR)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(serve(arguments.latency))
        return 0
    os.environ.setdefault("OPENAI_API_KEY", "none")
    result = compare(arguments)
    write_result(result, arguments.out)
    print(f"the judge runs at {result['ratio_of_medians']:.1%} of the bare client", file=sys.stderr)
    if not result["passed"]:
        print(f"that is below the bar of {arguments.bar:.0%}", file=sys.stderr)
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
