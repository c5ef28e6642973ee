"""Asking: each question once, failures again, what is no verdict never, nothing paid twice."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ppdbench.data.images import pixel_sha256
from ppdbench.errors import BudgetReached, MissingPrerequisite, PpdbenchError
from ppdbench.judges import question as question_module
from ppdbench.judges.ask import ask
from ppdbench.judges.call import Call
from ppdbench.judges.on_record import FILE, done, spent
from ppdbench.judges.question import question_digest
from ppdbench.judges.store import VerdictStore, verdict_key
from ppdbench.protocols import Estimate, JudgeInfo, Question, Shot, Verdict
from ppdbench.rewards.sharding import Shards
from ppdbench.runs.records import RecordWriter, read_records

YES = Verdict(status="ok", choice="first")
REFUSED = Verdict(status="refusal", error="not this one")


class Heard:
    """Events that are kept."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.stages: list[list[Any]] = []

    def stage(self, name: str, total: int) -> None:
        self.stages.append([name, total, 0])

    def advance(self, n: int) -> None:
        self.stages[-1][2] += n

    def note(self, text: str) -> None:
        self.notes.append(text)


class Scripted:
    """Says of each question what the test wants; keeps what it was asked."""

    def __init__(
        self,
        says: Callable[[Question], Any] = lambda _: YES,
        *,
        revision: str = "1",
        places: Callable[[int], Iterable[Any]] = range,
    ) -> None:
        self.info = JudgeInfo(name="scripted", revision=revision, personal=True)
        self.says = says
        self.places = places
        self.asked: list[str] = []

    def judge(
        self, questions: Sequence[Question], *, allowance: float | None = None
    ) -> Iterator[tuple[int, Verdict]]:
        left = float("inf") if allowance is None else allowance
        for place in self.places(len(questions)):
            if left <= 0:
                raise BudgetReached("no money is left", fix="raise --max-cost")
            known = isinstance(place, int) and place in range(len(questions))
            question = questions[place if known else 0]
            self.asked.append(question.caption)
            verdict = self.says(question)
            left -= getattr(verdict, "cost", 0.0)
            yield place, verdict


def make(call: Call) -> Question:
    """Shots, candidates and caption, all from the call; each image of its own colour."""
    return Question(
        caption=call.caption,
        shots=tuple(
            Shot(caption=f"shot {name}", preferred=drawn(name), dispreferred=drawn(f"not {name}"))
            for name in call.shots
        ),
        first=drawn(call.images[0]),
        second=drawn(call.images[1]),
        repeat=call.repeat,
    )


def drawn(name: str) -> Image.Image:
    colour = sum(ord(letter) * 31**place for place, letter in enumerate(name))
    return Image.new("RGB", (2, 2), (colour % 256, colour // 256 % 256, colour // 65536 % 256))


def calls(count: int) -> list[Call]:
    return [
        Call(
            id=f"pair {number}",
            shots=("a", "b"),
            images=(f"x{number}", f"y{number}"),
            caption=f"caption {number}",
            facts={"arm": "shared", "user": "user:7"},
        )
        for number in range(count)
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "run"
    path.mkdir()
    return path


def put(judge: Scripted, some: Sequence[Call], folder: Path, **options: Any) -> int:
    options.setdefault("events", Heard())
    options.setdefault("cache", folder.parent / "verdicts.sqlite")
    return ask(judge, some, make, folder, **options)


def test_each_call_is_asked_once_and_recorded_with_what_it_was(folder: Path) -> None:
    judge = Scripted(
        lambda _: Verdict(
            status="ok",
            choice="second",
            log_odds=-1.5,
            confidence=0.75,
            reason="brighter",
            raw="2",
            cost=0.5,
            details={"model": "m", "tokens_in": 7},
        )
    )
    events = Heard()
    assert put(judge, calls(5), folder, events=events) == 5
    assert judge.asked == [f"caption {number}" for number in range(5)]
    assert events.stages == [["judge: scripted", 5, 5]]
    records = read_records(folder / FILE)
    call = calls(5)[3]
    question = question_digest(make(call))
    assert records[3] == {
        "schema_version": 1,
        "call": "pair 3",
        "arm": "shared",
        "user": "user:7",
        "repeat": 0,
        "shots": ["a", "b"],
        "images": ["x3", "y3"],
        "stamp": call.stamp,
        "question": question,
        "key": verdict_key(judge.info, question).hex(),
        "judge": "scripted",
        "status": "ok",
        "choice": "second",
        "log_odds": -1.5,
        "confidence": 0.75,
        "reason": "brighter",
        "raw": "2",
        "error": None,
        "cost": 0.5,
        "details": {"model": "m", "tokens_in": 7},
        "cached": False,
    }
    assert spent(folder) == 2.5


def test_the_same_again_asks_nothing_and_writes_nothing(folder: Path) -> None:
    put(Scripted(), calls(4), folder)
    before = (folder / FILE).read_bytes()
    again, events = Scripted(), Heard()
    assert put(again, calls(4), folder, events=events) == 0
    assert again.asked == []
    assert events.stages == [["judge: scripted", 4, 4]]
    assert (folder / FILE).read_bytes() == before
    assert put(again, calls(6), folder) == 2
    assert again.asked == ["caption 4", "caption 5"]


def test_one_question_of_several_calls_is_asked_once(folder: Path) -> None:
    """Both pictures of a pair may be the same one: both orders are then one question."""
    alike = [replace(call, images=("same", "same"), caption="one") for call in calls(3)]
    judge = Scripted(lambda _: replace(YES, cost=1.0))
    assert put(judge, [*alike, *calls(5)[3:]], folder) == 3
    assert judge.asked == ["one", "caption 3", "caption 4"]
    found = done(folder / FILE, alike)
    assert len(found) == 3 and {record["choice"] for record in found.values()} == {"first"}
    assert spent(folder) == 3.0
    failing = Scripted(lambda _: REFUSED, revision="2")
    put(failing, alike, folder.parent / "other")
    assert failing.asked == ["one"]
    records = read_records(folder.parent / "other" / FILE)
    assert [record["status"] for record in records] == ["refusal"] * 3


def test_failures_are_asked_again_by_the_next_run_and_are_not_in_the_cache(folder: Path) -> None:
    statuses: Any = iter(["refusal", "parse_error", "api_error"])

    def say(question: Question) -> Verdict:
        if question.caption in ("caption 0", "caption 1", "caption 2"):
            return Verdict(status=next(statuses), error="no", cost=0.25)
        return YES

    put(Scripted(say), calls(5), folder)
    assert set(done(folder / FILE, calls(5))) == {"pair 3", "pair 4"}
    kept = VerdictStore(folder.parent / "verdicts.sqlite").get(
        "verdict", [bytes.fromhex(record["key"]) for record in read_records(folder / FILE)]
    )
    assert len(kept) == 2
    again = Scripted()
    assert put(again, calls(5), folder) == 3
    assert again.asked == ["caption 0", "caption 1", "caption 2"]
    assert len(done(folder / FILE, calls(5))) == 5
    assert spent(folder) == 0.75  # failures were paid for


def test_what_another_run_asked_costs_nothing(folder: Path) -> None:
    paid = replace(YES, cost=2.0, log_odds=0.25, details={"tokens_in": 9})
    put(Scripted(lambda _: paid), calls(3), folder)
    other = folder.parent / "other"
    judge = Scripted(lambda _: replace(YES, choice="second", cost=8.0))
    assert put(judge, calls(4), other, max_cost=8.0) == 1
    assert judge.asked == ["caption 3"]
    records = read_records(other / FILE)
    assert [record["cached"] for record in records] == [True] * 3 + [False]
    assert [record["choice"] for record in records] == ["first"] * 3 + ["second"]
    assert records[0]["log_odds"] == 0.25 and records[0]["cost"] == 2.0
    assert spent(other) == 8.0


def test_everything_that_can_change_an_answer_changes_the_key() -> None:
    info = JudgeInfo(name="scripted", revision="1", personal=True)
    shot, other = make(calls(1)[0]).shots
    base = make(calls(1)[0])
    questions = {
        "as it is": base,
        "caption": replace(base, caption="caption 0 "),
        "first image": replace(base, first=drawn("z")),
        "second image": replace(base, second=drawn("z")),
        "order of images": replace(base, first=base.second, second=base.first),
        "repeat": replace(base, repeat=1),
        "no shots": replace(base, shots=()),
        "fewer shots": replace(base, shots=(shot,)),
        "order of shots": replace(base, shots=(other, shot)),
        "a shot's caption": replace(base, shots=(replace(shot, caption="another"), other)),
        "a shot's choice": replace(
            base,
            shots=(
                replace(shot, preferred=shot.dispreferred, dispreferred=shot.preferred),
                other,
            ),
        ),
        "a shot's image": replace(base, shots=(replace(shot, dispreferred=drawn("z")), other)),
        "the size of an image": replace(base, first=base.first.resize((4, 1))),
    }
    keys = {name: verdict_key(info, question_digest(q)) for name, q in questions.items()}
    for judge in (replace(info, revision="2"), replace(info, name="another")):
        keys[str(judge)] = verdict_key(judge, question_digest(base))
    assert len(set(keys.values())) == len(keys)


def test_what_a_question_is_not_about_changes_no_key(folder: Path) -> None:
    """Another run, user, arm or name of a pair; the mode of an image, who the judge says it is."""
    judge = Scripted()
    put(judge, calls(2), folder)
    told = [replace(call, id=f"other {call.id}", facts={"user": "user:8"}) for call in calls(2)]
    judge.info = replace(judge.info, personal=False, settings={"note": "new"})
    assert put(judge, told, folder.parent / "other") == 0
    question = make(calls(1)[0])
    with_alpha = replace(question, first=question.first.convert("RGBA"))
    assert question_digest(with_alpha) == question_digest(question)


def test_shots_that_are_asked_about_stay_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[int] = []

    def count(image: Image.Image) -> str:
        hashed.append(1)
        return pixel_sha256(image)

    monkeypatch.setattr(question_module, "pixel_sha256", count)
    monkeypatch.setattr(question_module, "AT_HAND", 2)
    often = make(calls(1)[0])
    digest = question_digest(often)
    for call in calls(5):
        question_digest(make(call))  # shots of their own, each time
        hashed.clear()
        assert question_digest(often) == digest
        assert len(hashed) == 2  # the candidates


def test_another_revision_is_asked_anew(folder: Path) -> None:
    put(Scripted(), calls(2), folder)
    assert put(Scripted(revision="2"), calls(2), folder.parent / "other") == 2


@pytest.mark.parametrize(
    "change",
    [{"images": ("redrawn", "y1")}, {"shots": ("b", "a")}, {"caption": "mended"}],
    ids=lambda change: next(iter(change)),
)
def test_a_verdict_about_something_else_is_asked_again(folder: Path, change: Any) -> None:
    put(Scripted(), calls(3), folder)
    some = calls(3)
    some[1] = replace(some[1], **change)
    assert set(done(folder / FILE, some)) == {"pair 0", "pair 2"}
    judge = Scripted(lambda _: replace(YES, choice="second"))
    assert put(judge, some, folder) == 1
    assert done(folder / FILE, some)["pair 1"]["choice"] == "second"


MALFORMED = {
    "no verdict": None,
    "a word": "first",
    "a choice that is none": Verdict(status="ok", choice="maybe"),  # type: ignore[arg-type]
    "ok without a choice": Verdict(status="ok"),
    "a refusal with a choice": Verdict(status="refusal", choice="first"),
    "another status": Verdict(status="fine", choice="first"),  # type: ignore[arg-type]
    "odds that are no number": replace(YES, log_odds=float("nan")),
    "infinite cost": replace(YES, cost=float("inf")),
    "details that are no JSON": replace(YES, details={"when": object()}),
    "a reason that is no text": replace(YES, reason=["red"]),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("verdict", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_verdict_is_a_failure_and_never_a_choice(folder: Path, verdict: Any) -> None:
    judge = Scripted(lambda question: verdict if question.caption == "caption 1" else YES)
    put(judge, calls(3), folder)
    record = read_records(folder / FILE)[1]
    assert (record["status"], record["choice"]) == ("api_error", None)
    assert record["error"].startswith("no verdict: ")
    assert set(done(folder / FILE, calls(3))) == {"pair 0", "pair 2"}
    again = Scripted()
    put(again, calls(3), folder)
    assert again.asked == ["caption 1"]


def test_what_a_malformed_verdict_cost_is_not_forgotten(folder: Path) -> None:
    broken: Any = Verdict(status="ok", choice="maybe", cost=0.5)  # type: ignore[arg-type]
    put(Scripted(lambda _: broken), calls(2), folder)
    assert spent(folder) == 1.0


def test_a_judge_that_raises_is_named_and_what_it_said_is_kept(folder: Path) -> None:
    def say(question: Question) -> Verdict:
        if question.caption == "caption 2":
            raise RuntimeError("out of\nluck")
        return YES

    with pytest.raises(PpdbenchError) as caught:
        put(Scripted(say), calls(4), folder)
    assert caught.value.cause == "judge 'scripted' failed: RuntimeError: out of luck"
    assert len(done(folder / FILE, calls(4))) == 2
    again = Scripted()
    assert put(again, calls(4), folder) == 2
    assert again.asked == ["caption 2", "caption 3"]


def test_an_error_of_ours_from_a_judge_keeps_its_kind(folder: Path) -> None:
    def say(_: Question) -> Verdict:
        raise MissingPrerequisite("no key", fix="set one")

    with pytest.raises(MissingPrerequisite, match="no key"):
        put(Scripted(say), calls(1), folder)


@pytest.mark.parametrize(
    ("places", "kept", "says"),
    [
        ((0, 1, 0), 2, "answers question 0 of 3 twice"),
        ((0, 3), 1, "answers question 3 of 3"),
        ((-1,), 0, "answers question -1 of 3"),
        (("0",), 0, "answers question '0' of 3"),
        ((1.0,), 0, "answers question 1.0 of 3"),
        (([0],), 0, "answers question [0] of 3"),
        ((np.int64(2), 2), 1, "answers question 2 of 3 twice"),
        ((2, 0), 2, "answered 2 of 3 questions"),
        ((), 0, "answered 0 of 3 questions"),
    ],
)
def test_a_judge_that_miscounts_is_named(folder: Path, places: Any, kept: int, says: str) -> None:
    with pytest.raises(PpdbenchError) as caught:
        put(Scripted(places=lambda _: places), calls(3), folder)
    assert caught.value.cause == f"judge 'scripted' {says}"
    assert len(done(folder / FILE, calls(3))) == kept


def test_verdicts_in_any_order_belong_to_their_questions(folder: Path) -> None:
    judge = Scripted(
        lambda question: replace(YES, reason=question.caption),
        places=lambda count: reversed(range(count)),
    )
    put(judge, calls(4), folder)
    assert {record["call"]: record["reason"] for record in read_records(folder / FILE)} == {
        f"pair {number}": f"caption {number}" for number in range(4)
    }


def test_at_the_budgets_end_all_that_was_paid_for_is_kept(folder: Path) -> None:
    def say(_: Question) -> Verdict:
        return replace(YES, cost=1.0)

    judge = Scripted(say)
    with pytest.raises(BudgetReached, match="no money is left"):
        put(judge, calls(6), folder, max_cost=2.5)
    assert len(done(folder / FILE, calls(6))) == len(judge.asked) == 3
    again = Scripted(say)
    with pytest.raises(BudgetReached):
        put(again, calls(6), folder, max_cost=2.5)
    assert again.asked == []  # earlier calls count
    put(again, calls(6), folder, max_cost=6.0)
    assert sorted(judge.asked + again.asked) == [f"caption {number}" for number in range(6)]
    assert spent(folder) == 6.0


def test_a_budget_of_nothing_still_takes_what_is_known(folder: Path) -> None:
    put(Scripted(lambda _: replace(YES, cost=1.0)), calls(2), folder)
    other = folder.parent / "other"
    with pytest.raises(BudgetReached):
        put(Scripted(), calls(3), other, max_cost=0.0)
    assert len(done(other / FILE, calls(3))) == 2


def test_a_stop_after_a_reply_loses_neither_verdict_nor_bill(folder: Path) -> None:
    def stop() -> None:
        if len(read_records(folder / FILE)) == 2:
            raise KeyboardInterrupt

    judge = Scripted(lambda _: replace(YES, cost=1.0))
    with pytest.raises(KeyboardInterrupt):
        put(judge, calls(3), folder, tick=stop)
    put(judge, calls(3), folder)
    assert judge.asked == ["caption 0", "caption 1", "caption 2"]
    assert [record["cached"] for record in read_records(folder / FILE)] == [False] * 3
    assert spent(folder) == 3.0
    assert put(judge, calls(3), folder.parent / "other") == 0


def test_a_reply_is_on_record_before_it_is_in_the_cache(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in between, it would be taken for another run's, and its cost forgotten."""
    keep = VerdictStore.keep
    on_record: list[int] = []

    def watch(self: VerdictStore, verdicts: Mapping[bytes, Verdict]) -> None:
        on_record.extend(len(read_records(folder / FILE)) for _ in verdicts)
        keep(self, verdicts)

    monkeypatch.setattr(VerdictStore, "keep", watch)
    put(Scripted(), calls(3), folder)
    assert on_record == [1, 2, 3]


def test_a_reply_that_cannot_be_recorded_is_kept_all_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise MissingPrerequisite("no space left", fix="free some")

    judge = Scripted()
    with monkeypatch.context() as patch, pytest.raises(MissingPrerequisite):
        patch.setattr(RecordWriter, "write", full)
        put(judge, calls(2), folder)
    put(judge, calls(2), folder)
    assert judge.asked == ["caption 0", "caption 1"]


@pytest.mark.parametrize("at_once", [1000, 3, 2])
def test_a_verdict_on_record_is_in_the_cache_after_a_stop(
    folder: Path, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was written first when a run was killed, both sides have it in the end."""
    monkeypatch.setattr("ppdbench.judges.on_record.AT_ONCE", at_once)
    put(Scripted(), calls(3), folder)
    (folder.parent / "verdicts.sqlite").unlink()
    for left in folder.parent.glob("verdicts.sqlite-*"):
        left.unlink()
    put(Scripted(), calls(4), folder)
    judge = Scripted()
    assert put(judge, calls(4), folder.parent / "other") == 0


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b'{"status": "ok", "choice": "third"}',
        b'{"status": "refusal"}',
        b"\xff\xfe",
    ],
)
def test_a_damaged_value_in_the_cache_is_asked_anew_and_mended(folder: Path, value: bytes) -> None:
    judge = Scripted()
    key = verdict_key(judge.info, question_digest(make(calls(1)[0])))
    store = VerdictStore(folder.parent / "verdicts.sqlite")
    store.put("verdict", {key: value})
    assert put(judge, calls(1), folder) == 1
    assert VerdictStore(store.path).known([key]) == {key: YES}


def test_a_useless_cache_is_said_once_and_costs_nothing(folder: Path) -> None:
    cache = folder.parent / "verdicts.sqlite"
    cache.write_bytes(b"no database at all, but long enough to be one" * 30)
    events = Heard()
    assert put(Scripted(), calls(3), folder, events=events) == 3
    (note,) = events.notes
    assert note.startswith(f"the verdict cache {cache} is not used")
    assert put(Scripted(), calls(3), folder) == 0


@pytest.mark.parametrize("tail", [b'{"schema_ver', b"\0\0\0\0\n", b'"half"\n'])
def test_a_torn_last_line_costs_that_record_alone(folder: Path, tail: bytes) -> None:
    put(Scripted(), calls(3), folder)
    path = folder / FILE
    whole = path.read_bytes()
    last = whole.rstrip(b"\n").rindex(b"\n") + 1
    path.write_bytes(whole[:last] + tail)
    judge = Scripted()
    assert put(judge, calls(3), folder) == 0  # the verdict itself is in the cache
    assert len(done(path, calls(3))) == len(read_records(path)) == 3
    path.write_bytes(whole[:last] + tail)
    other = folder.parent / "other.sqlite"
    assert put(judge, calls(3), folder, cache=other) == 1
    assert judge.asked == ["caption 2"]


def test_damage_further_up_is_never_skipped(folder: Path) -> None:
    put(Scripted(), calls(3), folder)
    first, *rest = (folder / FILE).read_bytes().split(b"\n")
    (folder / FILE).write_bytes(b"\n".join([first[:20], *rest]))
    with pytest.raises(PpdbenchError, match="line 1, is not a record"):
        put(Scripted(), calls(3), folder)


def test_ticks_come_with_the_records(folder: Path) -> None:
    seen: list[int] = []
    put(Scripted(), calls(4), folder, tick=lambda: seen.append(len(read_records(folder / FILE))))
    assert seen == [1, 2, 3, 4]


def test_under_a_budget_the_first_process_asks_alone(folder: Path) -> None:
    class Second(Shards):
        def gather(self, share: Any) -> list[Any]:
            return [share, share]

    said = Scripted(lambda _: replace(YES, cost=1.0))
    assert put(said, calls(4), folder, process=Second(rank=1, count=2), max_cost=9.0) == 0
    assert said.asked == []


class Paid(Scripted):
    """Tells what a call may cost, begins all calls at once, and may be stopped after one answer."""

    stops = False

    def estimate(self, _: Question) -> Estimate:
        return Estimate(tokens_in=1, tokens_out=1, cost=2.0)

    def judge(
        self, questions: Sequence[Question], *, allowance: float | None = None
    ) -> Iterator[tuple[int, Verdict]]:
        begun = [questions[place] for place in range(len(questions))]
        for place, verdict in super().judge(begun, allowance=allowance):
            yield place, verdict
            if self.stops:
                raise KeyboardInterrupt


def test_calls_that_were_cut_count_at_their_bound(folder: Path) -> None:
    judge = Paid(lambda _: replace(YES, cost=1.0))
    judge.stops = True
    with pytest.raises(KeyboardInterrupt):
        put(judge, calls(3), folder, max_cost=100.0)
    assert spent(folder) == 1.0 + 2 * 2.0
    judge.stops = False
    assert put(judge, calls(3), folder, max_cost=100.0) == 2
    assert spent(folder) == 3.0 + 2 * 2.0  # what was cut is not forgotten
    assert put(judge, calls(5), folder, max_cost=100.0) == 2
    assert spent(folder) == 5.0 + 2 * 2.0


def test_a_run_that_ends_owes_nothing(folder: Path) -> None:
    judge = Paid(lambda _: replace(YES, cost=1.0))
    assert put(judge, calls(3), folder, max_cost=100.0) == 3
    assert spent(folder) == 3.0


def test_two_processes_on_one_cache(tmp_path: Path) -> None:
    """Each has its own records, both the same verdicts; no one is stopped by the other."""
    code = (
        "import sys; from pathlib import Path; import test_judges_ask as t\n"
        "heard = t.Heard()\n"
        "says = lambda q: t.replace(t.YES, log_odds=float(q.caption.split()[1]))\n"
        "t.put(t.Scripted(says), t.calls(120), Path(sys.argv[1]), events=heard)\n"
        "sys.exit('; '.join(heard.notes) or None)\n"
    )
    both = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / name)],
            env={"PYTHONPATH": ":".join([str(Path(__file__).parent), *sys.path])},
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in ("one", "two")
    ]
    outcomes = [(process.communicate()[1], process.returncode) for process in both]
    assert outcomes == [("", 0)] * 2
    found = [
        {call: record["log_odds"] for call, record in done(tmp_path / name / FILE, some).items()}
        for name in ("one", "two")
        for some in [calls(120)]
    ]
    assert found[0] == found[1] == {f"pair {number}": float(number) for number in range(120)}
    assert put(Scripted(), calls(120), tmp_path / "three") == 0


def test_records_are_json_lines_that_anybody_can_read(folder: Path) -> None:
    put(Scripted(lambda _: replace(YES, reason="é\u2028\n\0")), calls(2), folder)
    lines = (folder / FILE).read_text(encoding="utf-8").split("\n")
    assert [json.loads(line)["reason"] for line in lines if line] == ["é\u2028\n\0"] * 2
