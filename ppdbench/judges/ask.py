"""Ask a judge what has no verdict yet: a record a call, each paid-for reply kept as it comes.

A call is done when its last record is "ok" and is about these very images and shots; what failed is
asked again by the next run. A verdict that any run has had is taken from the cache and costs
nothing. Under `accelerate launch` each process asks its share, and the first one writes the
records. Elsewhere: which calls (`benchmarks`), the judges, the cache (`store`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, SupportsIndex, overload

from ppdbench.errors import BudgetReached, PpdbenchError, one_line
from ppdbench.judges.begun import Begun, unaccounted
from ppdbench.judges.question import question_digest
from ppdbench.judges.store import VerdictStore, default_path, verdict_key
from ppdbench.judges.verdict_records import verdict_of, verdict_record
from ppdbench.protocols import Events, Judge, JudgeInfo, Question, Verdict
from ppdbench.rewards.sharding import Shards
from ppdbench.runs.fingerprint import fingerprint
from ppdbench.runs.records import RecordWriter, read_records

FILE = "judgments.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One question to a judge, lightly: nothing is decoded."""

    id: str
    """Unique in a run."""
    shots: tuple[str, ...]
    """Pair ids, in order."""
    images: tuple[str, str]
    """What is shown first and second: hashes of files, or places in pairs."""
    caption: str
    repeat: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)
    """JSON that its record says beside the verdict: whose it is, why it is asked."""

    @property
    def stamp(self) -> str:
        """Changes with what is shown."""
        return fingerprint(
            {"shots": self.shots, "images": self.images, "caption": self.caption, "n": self.repeat}
        )


MakeQuestion = Callable[[Call], Question]
"""Decodes what a call shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A call that has no verdict, and where its verdict is or will be kept."""

    call: Call
    question: str
    """Its digest."""
    key: bytes


def done(path: Path, calls: Sequence[Call]) -> dict[str, dict[str, Any]]:
    """Call id -> its last record, of the calls that need not be asked again."""
    return answered(read_records(path), calls)


def answered(records: Iterable[dict[str, Any]], calls: Sequence[Call]) -> dict[str, dict[str, Any]]:
    """The same, of records that were read already."""
    wanted = {call.id: call for call in calls}
    last = {record["call"]: record for record in records}
    return {
        call: record
        for call, record in last.items()
        if record["status"] == "ok" and call in wanted and wanted[call].stamp == record["stamp"]
    }


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
    records = read_records(path)
    known = answered(records, calls)
    lacking = [call.id for call in calls if call.id not in known]
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
    if process.first:
        _keep(store, known.values())
    planned = plan_calls(judge.info, mine, make, events)
    events.stage(f"judge: {judge.info.name}", len(calls) if process.first else len(mine))
    if process.first:
        events.advance(len(calls) - len(missing))
    if not missing:
        return 0
    answers = _answers(judge, planned, make, store, events, allowance, begun)
    if process.first:
        with RecordWriter(path) as writer:

            def write(answer: Answer) -> None:
                writer.write([_record(judge.info, answer)])
                tick()

            shares = process.gather(_take(answers, write))
            for share, _ in shares[1:]:
                for answer in share:
                    write(answer)
                events.advance(len(share))
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of one call."""

    planned: Planned
    verdict: Verdict
    cached: bool
    """Whether it was had before."""


def _keep(store: VerdictStore, records: Iterable[Mapping[str, Any]]) -> None:
    """Put into the cache what is on record alone, as after a kill."""
    by_key = {bytes.fromhex(record["key"]): record for record in records}
    there = store.known(by_key)
    store.keep({key: verdict_of(by_key[key]) for key in by_key.keys() - there.keys()})


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


def _answers(
    judge: Judge,
    planned: Sequence[Planned],
    make: MakeQuestion,
    store: VerdictStore,
    events: Events,
    allowance: float | None,
    begun: Begun | None,
) -> Generator[Answer]:
    """Answers from the cache, then the judge's; calls that are one question are asked once.

    An answer goes into the cache once it was taken: one that a kill left there alone, off the
    record, would be had for nothing by the next run of the same command, and not be paid for.
    """
    kept = store.known([each.key for each in planned])
    for each in planned:
        if each.key in kept:
            yield Answer(planned=each, verdict=kept[each.key], cached=True)
            events.advance(1)
    by_key: dict[bytes, list[Planned]] = {}
    for each in planned:
        if each.key not in kept:
            by_key.setdefault(each.key, []).append(each)
    rest = list(by_key.values())
    if not rest:
        return
    seen: set[int] = set()
    questions = Questions([same[0].call for same in rest], make, begun)
    for place, verdict in _asked(judge, questions, allowance):
        known = _is_place(place, len(rest))
        if not known or place in seen:
            raise PpdbenchError(
                f"judge {judge.info.name!r} answers question {place!r} of {len(rest)}"
                f"{' twice' if known else ''}",
                fix="let `judge` yield each question's place once",
            )
        seen.add(place)
        try:
            for number, each in enumerate(rest[place]):
                yield Answer(planned=each, verdict=verdict, cached=number > 0)
                events.advance(1)
        finally:  # whoever takes it may fail
            store.keep({rest[place][0].key: verdict})
    if len(seen) < len(rest):
        raise PpdbenchError(
            f"judge {judge.info.name!r} answered {len(seen)} of {len(rest)} questions",
            fix="let `judge` yield a verdict for each question, a failed one where it has none",
        )


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


def plan_calls(
    info: JudgeInfo, calls: Sequence[Call], make: MakeQuestion, events: Events
) -> list[Planned]:
    """What each call is known by; decodes all of them, one after the other."""
    if calls:
        events.stage("look up verdicts", len(calls))
    planned = []
    for call in calls:
        digest = question_digest(make(call))
        planned.append(Planned(call=call, question=digest, key=verdict_key(info, digest)))
        events.advance(1)
    return planned


class Questions(Sequence[Question]):
    """The questions of calls, each made when it is asked for."""

    def __init__(
        self, calls: Sequence[Call], make: MakeQuestion, begun: Begun | None = None
    ) -> None:
        """See what can be asked for.

        Args:
            calls: the calls.
            make: makes their questions.
            begun: is told of each one that is asked for alone, as judges do that pay.
        """
        self._calls = calls
        self._make = make
        self._begun = begun

    def __len__(self) -> int:
        return len(self._calls)

    @overload
    def __getitem__(self, index: int) -> Question: ...
    @overload
    def __getitem__(self, index: slice) -> list[Question]: ...
    def __getitem__(self, index: int | slice) -> Question | list[Question]:
        """One question, or those of a slice; raises as what makes them."""
        if isinstance(index, int):
            question = self._make(self._calls[index])
            if self._begun is not None:
                self._begun.note(self._calls[index].id, question)
            return question
        return [self._make(call) for call in self._calls[index]]


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
