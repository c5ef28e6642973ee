"""What is open is found while others are asked: no more is looked up than it takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from test_judges_ask import YES, Heard, Scripted, calls, make

from ppdbench.errors import BudgetReached, PpdbenchError
from ppdbench.judges.ask import ask
from ppdbench.judges.call import Call, MakeQuestion
from ppdbench.judges.on_record import FILE, done
from ppdbench.judges.open_questions import AHEAD, Questions
from ppdbench.judges.store import VerdictStore
from ppdbench.judges.verdicts import has_question
from ppdbench.protocols import JudgeInfo, Question, Verdict
from ppdbench.runs.records import read_records

INFO = JudgeInfo(name="scripted", revision="1", personal=True)
MANY = 3 * AHEAD


class OneByOne(Scripted):
    """Asks for the next question without asking how many there are, as judges of servers do."""

    def judge(
        self, questions: Sequence[Question], *, allowance: float | None = None
    ) -> Iterator[tuple[int, Verdict]]:
        place = 0
        while has_question(questions, place):
            if allowance is not None and place >= allowance:
                raise BudgetReached("no money is left", fix="raise --max-cost")
            self.asked.append(questions[place].caption)
            yield place, self.says(questions[place])
            place += 1


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "run"
    path.mkdir()
    return path


def counting(made: list[str]) -> MakeQuestion:
    """Makes questions, and keeps of which calls."""

    def count(call: Call) -> Question:
        made.append(call.caption)
        return make(call)

    return count


def asked(judge: Scripted, some: Sequence[Call], folder: Path, events: Heard | None = None) -> int:
    cache = folder.parent / "verdicts.sqlite"
    return ask(judge, some, make, folder, events=events or Heard(), cache=cache)


def test_few_are_looked_up_before_the_first_is_asked(tmp_path: Path) -> None:
    made: list[str] = []
    store = VerdictStore(tmp_path / "verdicts.sqlite")
    questions = Questions(INFO, calls(MANY), counting(made), store, events=Heard())
    assert made == [] and questions.known == 0
    assert questions.reaches(0) and len(made) == AHEAD
    assert questions[2].caption == "caption 2" and len(made) == AHEAD + 1
    assert [question.caption for question in questions] == [f"caption {n}" for n in range(MANY)]
    assert len(questions) == MANY and not questions.reaches(MANY)
    assert questions[-1].caption == f"caption {MANY - 1}"
    assert [each.caption for each in questions[1:3]] == ["caption 1", "caption 2"]
    with pytest.raises(IndexError):
        questions[MANY]
    with pytest.raises(IndexError):
        questions[-MANY - 1]


def test_a_judge_that_wants_to_know_how_many_has_all_looked_up_first(folder: Path) -> None:
    events = Heard()
    assert asked(Scripted(), calls(MANY), folder, events) == MANY
    assert events.stages == [
        ["judge: scripted", MANY, 0],
        ["look up verdicts", MANY - AHEAD, MANY - AHEAD],
        ["judge: scripted", MANY, MANY],
    ]
    events = Heard()
    assert asked(OneByOne(revision="2"), calls(MANY), folder, events) == 0  # all on record
    events = Heard()
    assert asked(OneByOne(revision="2"), calls(MANY), folder.parent / "other", events) == MANY
    assert events.stages == [["judge: scripted", MANY, MANY]]


@pytest.mark.parametrize("judge", [Scripted, OneByOne])
def test_what_was_had_is_found_among_the_rest(judge: type[Scripted], folder: Path) -> None:
    some = calls(MANY)
    asked(judge(), some[1::3], folder.parent / "before")
    now = judge()
    assert asked(now, some, folder) == len(now.asked) == MANY - len(some[1::3])
    assert now.asked == [call.caption for n, call in enumerate(some) if n % 3 != 1]
    records = {record["call"]: record for record in read_records(folder / FILE)}
    assert [records[call.id]["cached"] for call in some] == [n % 3 == 1 for n in range(MANY)]


@pytest.mark.parametrize("judge", [Scripted, OneByOne])
def test_calls_that_are_one_question_are_asked_once_however_far_apart(
    judge: type[Scripted], folder: Path
) -> None:
    twice = [*calls(MANY), *(replace(call, id=f"{call.id} again") for call in calls(MANY))]
    now = judge()
    assert asked(now, twice, folder) == len(now.asked) == MANY
    records = read_records(folder / FILE)
    assert len(records) == 2 * MANY == len(done(folder / FILE, twice))
    assert sum(record["cached"] for record in records) == MANY


def test_at_the_budgets_end_what_costs_nothing_is_taken_all_the_same(folder: Path) -> None:
    some = calls(MANY)
    asked(OneByOne(), some[-AHEAD:], folder.parent / "before")
    cache = folder.parent / "verdicts.sqlite"
    with pytest.raises(BudgetReached):
        ask(OneByOne(), some, make, folder, events=Heard(), cache=cache, max_cost=2.0)
    assert len(done(folder / FILE, some)) == 2 + AHEAD


def test_a_damaged_image_further_on_stops_it_with_what_was_said_on_record(folder: Path) -> None:
    def broken(call: Call) -> Question:
        if call.caption == f"caption {AHEAD + 1}":
            raise PpdbenchError("an image is damaged", fix="mend it")
        return make(call)

    cache = folder.parent / "verdicts.sqlite"
    judge = OneByOne(lambda _: YES)
    with pytest.raises(PpdbenchError, match="an image is damaged"):
        ask(judge, calls(MANY), broken, folder, events=Heard(), cache=cache)
    assert len(judge.asked) == len(done(folder / FILE, calls(MANY))) == AHEAD
