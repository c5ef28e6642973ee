"""The questions that have no verdict yet, found and made when they are asked for.

A call is looked up by what it shows, so its pictures have to be decoded: that is done for a few
calls at a time, while others are under way and before their pictures are put away again. A judge
that wants to know how many questions there are has all of them looked up first. Elsewhere: who asks
(`ask`), the cache (`store`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import overload

from ppdbench.judges.begun import Begun
from ppdbench.judges.call import Call, MakeQuestion
from ppdbench.judges.question import question_digest
from ppdbench.judges.store import VerdictStore, verdict_key
from ppdbench.protocols import Events, JudgeInfo, Question, Verdict

AHEAD = 8
"""Calls that are looked up at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A call that has no verdict, and where its verdict is or will be kept."""

    call: Call
    question: str
    """Its digest."""
    key: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of one call."""

    planned: Planned
    verdict: Verdict
    cached: bool
    """Whether it was had before."""


def plan_call(info: JudgeInfo, call: Call, make: MakeQuestion) -> Planned:
    """What a call is known by; decodes what it shows."""
    digest = question_digest(make(call))
    return Planned(call=call, question=digest, key=verdict_key(info, digest))


def plan_calls(
    info: JudgeInfo, calls: Sequence[Call], make: MakeQuestion, events: Events
) -> list[Planned]:
    """What each call is known by; decodes all of them, one after the other."""
    if calls:
        events.stage("look up verdicts", len(calls))
    planned = []
    for call in calls:
        planned.append(plan_call(info, call, make))
        events.advance(1)
    return planned


class Questions(Sequence[Question]):
    """The questions of calls, each once, without those whose verdict is in the cache."""

    def __init__(
        self,
        info: JudgeInfo,
        calls: Sequence[Call],
        make: MakeQuestion,
        store: VerdictStore,
        *,
        begun: Begun | None = None,
        events: Events,
        announce: Callable[[int], None] = lambda _: None,
    ) -> None:
        """See what can be asked for; nothing is looked up.

        Args:
            info: the judge.
            calls: those without a verdict on record.
            make: makes their questions.
            store: the verdicts that were had before.
            begun: is told of each one that is asked for alone, as judges do that pay.
            events: is told of the looking up, where all of it comes first.
            announce: is told when asking begins after that, and how many calls have an answer.
        """
        self.had: deque[Answer] = deque()
        """Answers to calls that need not be asked, until somebody takes them."""
        self._info, self._calls, self._make, self._store = info, calls, make, store
        self._begun, self._events, self._announce = begun, events, announce
        self._looked_up = self._taken = 0
        self._same: list[list[Planned]] = []
        """By place: the calls that are this question."""
        self._place: dict[bytes, int] = {}
        self._said: dict[int, Verdict] = {}

    @property
    def known(self) -> int:
        """Questions that were found so far."""
        return len(self._same)

    def look_up(self) -> bool:
        """Look up a few more calls; False where there are none.

        Raises:
            PpdbenchError: an image is damaged.
        """
        some = self._calls[self._looked_up : self._looked_up + AHEAD]
        planned = [plan_call(self._info, call, self._make) for call in some]
        kept = self._store.known([each.key for each in planned])
        self._looked_up += len(some)
        for each in planned:
            place = self._place.get(each.key)
            if place is None and each.key not in kept:
                self._place[each.key] = len(self._same)
                self._same.append([each])
            elif place is not None and place not in self._said:
                self._same[place].append(each)
            else:
                verdict = kept[each.key] if place is None else self._said[place]
                self.had.append(Answer(planned=each, verdict=verdict, cached=True))
        return bool(some)

    def reaches(self, place: int) -> bool:
        """Whether there is a question at that place; looks up no more than it takes to know.

        Raises:
            PpdbenchError: an image is damaged.
        """
        while place >= len(self._same) and self.look_up():
            pass
        return place < len(self._same)

    def taken(self) -> None:
        """An answer is on record."""
        self._taken += 1
        self._events.advance(1)

    def answer(self, place: int, verdict: Verdict) -> tuple[bytes, list[Answer]]:
        """The key of a question, and the answers to all calls that are it; the first one paid."""
        self._said[place] = verdict
        same = self._same[place]
        return same[0].key, [
            Answer(planned=each, verdict=verdict, cached=number > 0)
            for number, each in enumerate(same)
        ]

    def __len__(self) -> int:
        """How many there are; looks up all that is left, which takes a while, and says so."""
        left = len(self._calls) - self._looked_up
        if left:
            self._events.stage("look up verdicts", left)
            while self._looked_up < len(self._calls):
                before = self._looked_up
                self.look_up()
                self._events.advance(self._looked_up - before)
            self._announce(self._taken)
        return len(self._same)

    @overload
    def __getitem__(self, index: int) -> Question: ...
    @overload
    def __getitem__(self, index: slice) -> list[Question]: ...
    def __getitem__(self, index: int | slice) -> Question | list[Question]:
        """One question, or those of a slice; raises as what makes them."""
        if isinstance(index, slice):
            return [self._make(self._same[place][0].call) for place in range(len(self))[index]]
        place = index if index >= 0 else len(self) + index
        if place < 0 or not self.reaches(place):
            raise IndexError(index)
        call = self._same[place][0].call
        question = self._make(call)
        if self._begun is not None:
            self._begun.note(call.id, question)
        return question
