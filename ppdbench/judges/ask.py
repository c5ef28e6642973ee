"""Ask a judge what has no verdict yet: a record a call, each paid-for reply kept as it comes.

A call is done when its last record is "ok" and is about these very images and shots; what failed is
asked again by the next run. A verdict that any run has had is taken from the cache and costs
nothing. Under `accelerate launch` each process asks its share, and the first one writes the
records. Elsewhere: which calls (`benchmarks`), what of them is open (`open_questions`) and what on
record (`on_record`), the judge's answers (`answers`), the cache (`store`).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from ppdbench.errors import BudgetReached
from ppdbench.judges.answers import each_answer
from ppdbench.judges.begun import Begun, unaccounted
from ppdbench.judges.call import Call, MakeQuestion
from ppdbench.judges.on_record import FILE, done, look_up, paid, still_holds
from ppdbench.judges.open_questions import Answer, Planned, Questions, plan_calls
from ppdbench.judges.store import VerdictStore, default_path
from ppdbench.judges.verdict_records import verdict_record
from ppdbench.protocols import Events, Judge, JudgeInfo
from ppdbench.rewards.sharding import Shards
from ppdbench.runs.records import RecordWriter


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
    records = look_up(path, stamps, store if process.first else None)
    held = {record["call"]: still_holds(record, stamps) for record in records}
    lacking = [call.id for call in calls if not held.get(call.id)]
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
    answers = each_answer(judge, questions, store, allowance)
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
