"""Waits between attempts: as the server asks, else doubling, told apart by question only."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from ppdbench.judges.retry import LONGEST_WAIT, TRIES, Pace, retry_after, wait, worth_another

NOW = datetime(2026, 11, 22, 10, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after": "3600"}, LONGEST_WAIT),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "Sun, 22 Nov 2026 10:00:07 GMT"}, 7.0),
        ({"retry-after": "Sun, 22 Nov 2026 09:00:00 GMT"}, 0.0),
        ({"retry-after": "Sun, 22 Nov 2099 09:00:00 GMT"}, LONGEST_WAIT),
        # The server's clock is an hour behind ours, and so is what it asks for.
        (
            {
                "retry-after": "Sun, 22 Nov 2026 09:00:05 GMT",
                "date": "Sun, 22 Nov 2026 09:00:00 GMT",
            },
            5.0,
        ),
        ({"retry-after": "Sun, 99 Nov 2026 09:00:00 GMT"}, None),
    ],
)
def test_retry_after_is_read_in_all_its_forms(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert retry_after(headers, NOW) == seconds


def test_waits_double_and_are_the_same_for_the_same_question() -> None:
    waits = [[wait(n, str(seed), None) for n in range(1, 12)] for seed in range(50)]
    assert waits[7] == [wait(n, "7", None) for n in range(1, 12)]
    assert len({row[0] for row in waits}) == 50  # not all at the same moment
    for row in waits:
        for n, seconds in enumerate(row):
            longest = min(LONGEST_WAIT, 0.5 * 2**n)
            assert longest / 2 <= seconds <= longest


def test_what_the_server_asks_for_is_never_undercut() -> None:
    found = [wait(1, str(seed), 2.0) for seed in range(50)]
    assert min(found) >= 2.0 and max(found) <= 2.2 and len(set(found)) == 50
    assert wait(4, "a", 0.0) == 0.0


def test_only_what_may_change_is_tried_again() -> None:
    assert TRIES == 5
    again = {status for status in range(100, 600) if worth_another(status)}
    assert again == {408, 409, 429, *range(500, 600)}


IN_A_ROW = 4
"""Refusals without an answer in between that are too many, and each further one."""


def test_refusals_for_the_rate_let_fewer_run_and_answers_more() -> None:
    async def tell() -> list[int]:
        pace = Pace(16)
        told = [pace.allowed]
        for _ in range(IN_A_ROW - 1):
            pace.too_many(0.0)
        told.append(pace.allowed)
        for _ in range(6):
            pace.too_many(0.0)
            await asyncio.sleep(0.001)
            told.append(pace.allowed)
        for _ in range(200):
            pace.answered()
        return [*told, pace.allowed]

    assert asyncio.run(tell()) == [16, 16, 8, 4, 2, 1, 1, 1, 16]


@pytest.mark.parametrize(("answers", "slowed"), [(99, False), (24, False), (4, True), (1, True)])
def test_a_refusal_now_and_then_holds_nobody_else_back(answers: int, slowed: bool) -> None:
    async def tell() -> tuple[int, float]:
        """The fewest that were let run, and how long one more waits after the last refusal."""
        pace, loop = Pace(32), asyncio.get_running_loop()
        fewest, waited = pace.allowed, 0.0
        for _ in range(10):
            pace.too_many(0.3)
            fewest = min(fewest, pace.allowed)
            begin = loop.time()
            async with pace.turn():
                waited = max(waited, loop.time() - begin)
            if fewest < 32:
                break
            for _ in range(answers):
                pace.answered()
        return fewest, waited

    fewest, waited = asyncio.run(tell())
    assert (fewest < 32, waited >= 0.25) == (slowed, slowed)


def test_refusals_of_one_moment_halve_once_and_hold_everyone_back() -> None:
    async def tell() -> tuple[int, float]:
        pace, loop = Pace(16), asyncio.get_running_loop()
        for _ in range(10):
            pace.too_many(0.05)
        begin = loop.time()
        async with pace.turn():
            return pace.allowed, loop.time() - begin

    allowed, waited = asyncio.run(tell())
    assert allowed == 8 and waited >= 0.045


def test_no_more_run_at_once_than_are_allowed() -> None:
    async def tell() -> int:
        pace, running, most = Pace(3), 0, 0

        async def one(number: int) -> None:
            nonlocal running, most
            async with pace.turn():
                running += 1
                most = max(most, running)
                await asyncio.sleep(0.001)
                running -= 1
                if number % 5 == 0:
                    raise ValueError

        await asyncio.gather(*(one(n) for n in range(40)), return_exceptions=True)
        return most

    assert asyncio.run(tell()) == 3
