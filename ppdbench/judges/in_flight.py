"""Calls side by side in an event loop that this thread drives, their results taken one by one.

A place in flight becomes free when the next result is asked for, not when a call is answered: by
then the caller has saved the last one. So calls in flight and results not saved are never more than
are allowed, and a killed run asks no more than these again. Elsewhere: a call (`openai_calls`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence

from ppdbench.judges.openai_calls import Calls
from ppdbench.judges.verdicts import has_question, read_question
from ppdbench.protocols import Question, Verdict

SENT_AFTER = 8
"""Turns of the loop in which a new call has sent its request, where a connection is open."""

Asked = asyncio.Task[tuple[int, Verdict | None]]


def in_flight(calls: Calls, questions: Sequence[Question]) -> Iterator[tuple[int, Verdict]]:
    """Ask all questions, each decoded when its turn comes; yield verdicts as they come.

    Whatever stops the asking, the calls in flight are waited for and yielded first. Only an
    interrupt, or the caller's closing the generator, ends them.

    Raises:
        PpdbenchError: `calls.stop`.
    """
    stop: Exception | None = None
    asked = 0
    flying: set[Asked] = set()
    landed: deque[tuple[int, Verdict]] = deque()
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        try:
            runner.run(calls.open())
            while True:
                while (
                    stop is None and calls.stop is None and len(flying) + len(landed) < calls.room
                ):
                    try:
                        if not has_question(questions, asked):
                            break
                        question = read_question(questions, asked)
                    except Exception as error:  # raised when what is paid for is handed over
                        stop = error
                        break
                    if isinstance(question, Verdict):
                        landed.append((asked, question))
                    else:
                        flying.add(loop.create_task(_asked(calls, asked, question)))
                    asked += 1
                if landed:
                    runner.run(_send(calls))  # while the caller is at work, these are under way
                    left = loop.time()
                    yield landed.popleft()
                    calls.clock.was_away(loop.time() - left)
                    continue
                if not flying:
                    break
                done, flying = runner.run(_first(calls, flying))
                for task in done:
                    problem = task.exception()
                    if isinstance(problem, Exception):
                        stop = stop or problem
                        continue
                    place, verdict = task.result()
                    if verdict is not None:
                        landed.append((place, verdict))
        finally:
            runner.run(_end(calls, flying))
    problem = stop or calls.stop
    if problem is not None:
        raise problem


async def _asked(calls: Calls, place: int, question: Question) -> tuple[int, Verdict | None]:
    return place, await calls.ask(question, str(place))


async def _first(calls: Calls, flying: set[Asked]) -> tuple[set[Asked], set[Asked]]:
    calls.clock.put_off()
    return await asyncio.wait(flying, return_when=asyncio.FIRST_COMPLETED)


async def _send(calls: Calls) -> None:
    calls.clock.put_off()
    for _ in range(SENT_AFTER):
        await asyncio.sleep(0)


async def _end(calls: Calls, flying: set[Asked]) -> None:
    for task in flying:
        task.cancel()
    await asyncio.gather(*flying, return_exceptions=True)
    await calls.close()
