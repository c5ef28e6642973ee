"""A judge's answers as they come, beside those that were had before; each told once.

Elsewhere: which questions are open (`open_questions`), who writes the answers down (`ask`).
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from typing import SupportsIndex

from ppdbench.errors import BudgetReached, PpdbenchError, one_line
from ppdbench.judges.open_questions import Answer, Questions
from ppdbench.judges.store import VerdictStore
from ppdbench.judges.verdict_records import verdict_record
from ppdbench.protocols import Judge, Verdict


def each_answer(
    judge: Judge,
    questions: Questions,
    store: VerdictStore,
    allowance: float | None,
) -> Generator[Answer]:
    """Answers from the cache and the judge's, as they come.

    An answer goes into the cache once it was taken: one that a kill left there alone, off the
    record, would be had for nothing by the next run of the same command, and not be paid for.

    Args:
        judge: who is asked.
        questions: what is open.
        store: the cache, which is given each answer.
        allowance: US dollars that may be spent; None sets no limit.

    Raises:
        BudgetReached: the next call could cost more than is left; what the cache has came before.
        PpdbenchError: the judge failed, or answers what was not asked, twice, or too little.
    """
    seen: set[int] = set()
    try:
        while not questions.known and questions.look_up():
            yield from _had(questions)
        for place, verdict in _asked(judge, questions, allowance) if questions.known else ():
            yield from _had(questions)
            known = _is_place(place, questions.known)
            if not known or place in seen:
                raise PpdbenchError(
                    f"judge {judge.info.name!r} answers question {place!r} of {len(questions)}"
                    f"{' twice' if known else ''}",
                    fix="let `judge` yield each question's place once",
                )
            seen.add(place)
            key, answers = questions.answer(place, verdict)
            try:
                for answer in answers:
                    yield answer
                    questions.taken()
            finally:  # whoever takes it may fail
                store.keep({key: verdict})
    except BudgetReached:
        yield from _rest(questions)  # what was had before costs nothing
        raise
    yield from _rest(questions)
    if len(seen) < len(questions):
        raise PpdbenchError(
            f"judge {judge.info.name!r} answered {len(seen)} of {len(questions)} questions",
            fix="let `judge` yield a verdict for each question, a failed one where it has none",
        )


def _had(questions: Questions) -> Iterator[Answer]:
    """What was looked up and found since the last time."""
    while questions.had:
        yield questions.had.popleft()
        questions.taken()


def _rest(questions: Questions) -> Iterator[Answer]:
    """What is found among the calls that nobody looked up."""
    yield from _had(questions)
    while questions.look_up():
        yield from _had(questions)


def _asked(
    judge: Judge, questions: Questions, allowance: float | None
) -> Iterator[tuple[int, Verdict]]:
    """What the judge says; a verdict that is none says nothing.

    Raises:
        PpdbenchError: what the judge raised, whatever it was, with its name.
    """
    try:
        for place, verdict in judge.judge(questions, allowance=allowance):
            try:
                verdict_record(verdict)
            except (ValueError, AttributeError) as error:
                said = f"no verdict: {one_line(error)}"
                verdict = Verdict(status="api_error", error=said, cost=_cost(verdict))
            yield place, verdict
    except PpdbenchError:
        raise
    except Exception as error:  # a stranger's code may raise anything; it is named as its own
        raise PpdbenchError(
            f"judge {judge.info.name!r} failed: {type(error).__name__}: {one_line(error)}",
            fix="let it give a failed verdict where it cannot judge; --debug shows the traceback",
        ) from error


def _is_place(place: object, count: int) -> bool:
    """Whether what a judge calls a question's place is one."""
    return isinstance(place, SupportsIndex) and 0 <= place.__index__() < count


def _cost(verdict: object) -> float:
    """What was paid for something that is no verdict, as far as it says so."""
    cost = getattr(verdict, "cost", None)
    known = isinstance(cost, int | float) and math.isfinite(cost) and cost > 0
    return float(cost) if known and cost is not None else 0.0
