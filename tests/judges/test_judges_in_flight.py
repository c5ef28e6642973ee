"""Calls side by side: places, what is saved of them when all ends, and how quickly it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence

import pytest
from asking import judge_of, question, questions, quick
from hostile_server import Answer, HostileServer, Request, chose, refused, serving

from ppdbench.errors import MissingPrerequisite, PpdbenchError
from ppdbench.protocols import Question


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)


def test_calls_run_side_by_side_up_to_the_concurrency() -> None:
    with serving(lambda _: chose("1", delay=0.1)) as server:
        judge = judge_of(server, concurrency=8)
        list(judge.judge(questions(1)))  # imports the client
        begin = time.monotonic()
        found = list(judge.judge(questions(32)))
        seconds = time.monotonic() - begin
    assert len(found) == 32 and server.most_at_once == 8
    assert seconds < 32 * 0.1 / 3


@pytest.mark.parametrize("concurrency", [1, 3, 8])
def test_asked_and_not_saved_are_never_more_than_the_concurrency(concurrency: int) -> None:
    """What a kill at any moment can make be asked again."""
    with serving(lambda request: chose("1", delay=0.01 * (request.number % 3))) as server:
        answers = judge_of(server, concurrency=concurrency).judge(questions(40))
        for saved, _ in enumerate(answers):
            time.sleep(0.002)  # the verdict is at hand and not yet saved
            assert len(server.requests) - saved <= concurrency


def test_questions_are_decoded_when_their_turn_comes() -> None:
    decoded: list[int] = []

    class Lazy(Sequence[Question]):
        def __len__(self) -> int:
            return 20

        def __getitem__(self, index: int) -> Question:  # type: ignore[override]
            decoded.append(index)
            return question(index)

    with serving(lambda _: chose("1")) as server:
        for number, _ in enumerate(judge_of(server, concurrency=4).judge(Lazy()), start=1):
            assert len(decoded) <= number + 3
    assert decoded == list(range(20))  # each once


class Broken(list[Question]):
    """Questions of which one cannot be read."""

    def __init__(self, count: int, error: Exception) -> None:
        super().__init__(questions(count))
        self.error = error

    def __getitem__(self, index: int) -> Question:  # type: ignore[override]
        if index == 3:
            raise self.error
        return super().__getitem__(index)


def test_a_question_that_cannot_be_read_fails_alone() -> None:
    broken = Broken(6, PpdbenchError("the image is broken", fix="mend it"))
    with serving(lambda _: chose("1")) as server:
        found = dict(judge_of(server, concurrency=2).judge(broken))
        assert len(server.requests) == 5
    assert (found[3].status, found[3].error) == ("api_error", "the image is broken")
    assert {found[n].status for n in (0, 1, 2, 4, 5)} == {"ok"}


def test_what_cannot_go_on_hands_over_the_calls_in_flight_first() -> None:
    broken = Broken(6, MissingPrerequisite("the disk is gone", fix="plug it in"))
    with serving(lambda _: chose("1", delay=0.1)) as server:
        found = []
        with pytest.raises(MissingPrerequisite, match="disk"):
            for answer in judge_of(server, concurrency=4).judge(broken):
                found.append(answer)
    assert sorted(place for place, _ in found) == [0, 1, 2]


def test_closing_the_generator_ends_all_calls() -> None:
    threads = threading.active_count()
    with serving(lambda _: chose("1", delay=0.2 if _.number else 0.0)) as server:
        answers = judge_of(server, concurrency=4).judge(questions(100))
        next(answers)
        begin = time.monotonic()
        answers.close()  # type: ignore[attr-defined]
        assert time.monotonic() - begin < 0.15
        time.sleep(0.1)  # what was sent is there now
        asked = len(server.requests)
        time.sleep(0.3)
        assert len(server.requests) == asked <= 5
    assert next(answers, None) is None
    assert threading.active_count() <= threads + 4  # the server's own, on their way out


def test_a_generator_that_nobody_starts_asks_nothing() -> None:
    with serving(lambda _: chose("1")) as server:
        judge_of(server).judge(questions(3)).close()  # type: ignore[attr-defined]
        assert server.requests == []


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("moment", ["asking", "waiting to ask again"])
def test_an_interrupt_comes_through_at_once(name: str, moment: str) -> None:
    """As the command line takes both signals: SIGINT as Python does, SIGTERM as the same."""

    def script(_: Request) -> Answer:
        if moment == "asking":
            return chose("1", delay=1.5)
        return refused(429, Retry_After="20")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    # A shell that runs the tests in the background lets them ignore SIGINT.
    own = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with serving(script) as server:
            answers = judge_of(server, concurrency=4).judge(questions(50))
            timer = threading.Timer(0.4, os.kill, (os.getpid(), getattr(signal, name)))
            timer.start()
            begin = time.monotonic()
            with pytest.raises(KeyboardInterrupt):
                list(answers)
            assert time.monotonic() - begin < 1.2
            timer.join()
    finally:
        signal.signal(signal.SIGTERM, before)
        signal.signal(signal.SIGINT, own)


def test_a_run_that_was_interrupted_can_be_asked_again() -> None:
    with serving(lambda _: chose("1", delay=0.01)) as server:
        judge = judge_of(server, concurrency=4)
        answers = judge.judge(questions(20))
        for _ in range(5):
            next(answers)
        with pytest.raises(KeyboardInterrupt):
            answers.throw(KeyboardInterrupt())  # type: ignore[attr-defined]
        assert len(list(judge.judge(questions(20)))) == 20


def slow_consumer(server: HostileServer, seconds: float) -> Iterator[str]:
    for _, verdict in judge_of(server, concurrency=4, timeout=0.5).judge(questions(6)):
        yield verdict.status
        assert verdict.details["seconds"] < 0.5
        time.sleep(seconds)


def test_time_that_the_caller_takes_is_no_calls_time() -> None:
    with serving(lambda request: chose("1", delay=0.05 * (request.number % 3))) as server:
        assert list(slow_consumer(server, 0.7)) == ["ok"] * 6
        assert len(server.requests) == 6  # none timed out while nobody looked


def test_it_works_where_a_thread_has_no_loop_and_beside_other_loops() -> None:
    found: list[int] = []

    def work() -> None:
        with serving(lambda _: chose("1")) as server:
            found.append(len(list(judge_of(server).judge(questions(3)))))

    async def others() -> None:
        await asyncio.gather(asyncio.to_thread(work), asyncio.to_thread(work))

    asyncio.run(others())
    work()
    assert found == [3, 3, 3]
