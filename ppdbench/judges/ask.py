"""Ask a judge what has no verdict yet: a record a call, each paid-for reply kept as it comes.

A call is done when its last record is "ok" and is about these very images and shots; what failed is
asked again by the next run. A verdict that any run has had is taken from the cache and costs
nothing. Under `accelerate launch` each process asks its share, and the first one writes the
records. Elsewhere: which calls (`benchmarks`), what of them is open (`open_questions`), the judges,
the cache (`store`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, SupportsIndex

from ppdbench.errors import BudgetReached, PpdbenchError, one_line
from ppdbench.judges.begun import Begun, unaccounted
from ppdbench.judges.call import Call, MakeQuestion
from ppdbench.judges.open_questions import Answer, Planned, Questions, plan_calls
from ppdbench.judges.store import VerdictStore, default_path
from ppdbench.judges.verdict_records import verdict_of, verdict_record
from ppdbench.protocols import Events, Judge, JudgeInfo, Verdict
from ppdbench.rewards.sharding import Shards
from ppdbench.runs.records import RecordWriter, each_record, read_records

FILE = "judgments.jsonl"
BRIEF = ("call", "status", "stamp", "cached", "cost")
"""Of a record, what tells whether its call is to be asked again and what it took."""
AT_ONCE = 1000
"""Verdicts that are looked for in the cache at once."""


def done(path: Path, calls: Sequence[Call]) -> dict[str, dict[str, Any]]:
    """Call id -> its last record, of the calls that need not be asked again."""
    return answered(read_records(path), calls)


def answered(records: Iterable[dict[str, Any]], calls: Sequence[Call]) -> dict[str, dict[str, Any]]:
    """The same, of records that were read already."""
    stamps = {call.id: call.stamp for call in calls}
    last = {record["call"]: record for record in records}
    return {call: record for call, record in last.items() if _holds(record, stamps)}


def _holds(record: Mapping[str, Any], stamps: Mapping[str, str]) -> bool:
    """Whether a record is a verdict on what its call shows now."""
    return bool(record["status"] == "ok" and stamps.get(record["call"]) == record["stamp"])


def spent(folder: Path) -> float:
    """US dollars that all calls of a run took, failed ones included, and those that were cut."""
    records = read_records(folder / FILE)
    return paid(records) + unaccounted(folder, records)


def paid(records: Iterable[Mapping[str, Any]]) -> float:
    """US dollars that calls on record took, failed ones included."""
    return sum(float(record["cost"]) for record in records if not record["cached"])


def ask(
    judge: Judge,
    calls: Sequence[Call],
    make: MakeQuestion,
    folder: Path,
    *,
    events: Events,
    process: Shards | None = None,
    max_cost: float | None = None,
    cache: Path | None = None,
    tick: Callable[[], None] = lambda: None,
) -> int:
    """Ask the calls of a run that have no verdict; returns how many were put to the judge.

    Args:
        judge: who is asked.
        calls: all calls of the run.
        make: makes a call's question when it is needed.
        folder: the run's, where the records are.
        events: is told of progress.
        process: this process among several.
        max_cost: US dollars that all of the run's calls may take, earlier ones included.
        cache: file of the verdicts that all runs share; None is the user's.
        tick: called now and then.

    Raises:
        BudgetReached: the next call could cost more than is left; what was paid for is on record.
        MissingPrerequisite: the judge cannot work.
        PpdbenchError: a record cannot be written, or an image is damaged.
    """
    process = process or Shards()
    path = folder / FILE
    store = VerdictStore(cache or default_path(), events.note)
    stamps = {call.id: call.stamp for call in calls}
    records = _look_up(path, stamps, store if process.first else None)
    holds = {record["call"]: _holds(record, stamps) for record in records}
    lacking = [call.id for call in calls if not holds.get(call.id)]
    lost = unaccounted(folder, records)
    # One process says what is missing and what was spent: it may write while the others read.
    lacking, before, lost = process.gather((lacking, paid(records) + lost, lost))[0]
    wanted = set(lacking)
    missing = [call for call in calls if call.id in wanted]
    mine = [missing[row] for row in process.own(len(missing))]
    begun, allowance = None, None
    if max_cost is not None:
        # One process asks alone: what others paid for would be on record at the end only.
        mine = missing if process.first else []
        begun, allowance = Begun(folder, judge, lost), max(0.0, max_cost - before)

    def announce(answered: int) -> None:
        events.stage(f"judge: {judge.info.name}", len(calls) if process.first else len(mine))
        events.advance(answered + (len(calls) - len(missing) if process.first else 0))

    announce(0)
    if not missing:
        return 0
    questions = Questions(
        judge.info, mine, make, store, begun=begun, events=events, announce=announce
    )
    answers = _answers(judge, questions, store, allowance)
    if process.first:
        with RecordWriter(path) as writer:

            def write(answer: Answer) -> None:
                writer.write([_record(judge.info, answer)])
                tick()

            shares = process.gather(_take(answers, write))
            _write_others(shares[1:], write, events)
        if begun is not None:
            begun.settle()
    else:
        shares = process.gather(_take(answers))
    if reached := next((stop for _, stop in shares if stop is not None), None):
        cause, fix = reached
        raise BudgetReached(cause, fix=fix)
    return sum(not answer.cached for share, _ in shares for answer in share)


def unanswered(
    info: JudgeInfo,
    calls: Sequence[Call],
    make: MakeQuestion,
    folder: Path,
    *,
    events: Events,
    cache: Path | None = None,
) -> list[Planned]:
    """The calls that have no verdict, neither on record nor in the cache; as for `ask`."""
    known = done(folder / FILE, calls)
    planned = plan_calls(info, [call for call in calls if call.id not in known], make, events)
    kept = VerdictStore(cache or default_path(), events.note).known([p.key for p in planned])
    return [each for each in planned if each.key not in kept]


def _look_up(
    path: Path, stamps: Mapping[str, str], store: VerdictStore | None
) -> list[dict[str, Any]]:
    """What became of every call on record, without what was said: there may be very many.

    Args:
        path: the records.
        stamps: call id -> what it shows now.
        store: is given the verdicts that are on record alone, as after a kill.
    """
    brief: list[dict[str, Any]] = []
    said: dict[bytes, dict[str, Any]] = {}
    for record in each_record(path):
        brief.append({name: record[name] for name in BRIEF})
        if store is not None and _holds(record, stamps):
            said[bytes.fromhex(record["key"])] = record
            if len(said) == AT_ONCE:
                _keep(store, said)
                said = {}
    if store is not None:
        _keep(store, said)
    return brief


def _keep(store: VerdictStore, said: Mapping[bytes, Mapping[str, Any]]) -> None:
    """Keep what is not there."""
    there = store.known(said)
    store.keep({key: verdict_of(said[key]) for key in said.keys() - there.keys()})


def _take(
    answers: Generator[Answer], write: Callable[[Answer], None] = lambda _: None
) -> tuple[list[Answer], tuple[str, str] | None]:
    """All answers up to the end or the budget's, each written as it comes; cause and fix of this.

    In words, because it goes to other processes, and an error does not come out as it went in.
    """
    taken: list[Answer] = []
    with closing(answers):
        try:
            for answer in answers:
                write(answer)
                taken.append(answer)
        except BudgetReached as reached:
            return taken, (reached.cause, reached.fix)
    return taken, None


def _write_others(
    shares: Sequence[tuple[list[Answer], Any]], write: Callable[[Answer], None], events: Events
) -> None:
    """Put the answers of other processes on record."""
    for share, _ in shares:
        for answer in share:
            write(answer)
        events.advance(len(share))


def _answers(
    judge: Judge,
    questions: Questions,
    store: VerdictStore,
    allowance: float | None,
) -> Generator[Answer]:
    """Answers from the cache and the judge's, as they come.

    An answer goes into the cache once it was taken: one that a kill left there alone, off the
    record, would be had for nothing by the next run of the same command, and not be paid for.
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


def _record(info: JudgeInfo, answer: Answer) -> dict[str, Any]:
    call = answer.planned.call
    return {
        "call": call.id,
        **call.facts,
        "repeat": call.repeat,
        "shots": list(call.shots),
        "images": list(call.images),
        "stamp": call.stamp,
        "question": answer.planned.question,
        "key": answer.planned.key.hex(),
        "judge": info.name,
        **verdict_record(answer.verdict),
        "cached": answer.cached,
    }
