"""Batches: who is asked with whom, and what a failure costs the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import overload

import pytest
from noise import pictures, questions

from ppdbench.errors import MissingPrerequisite, PpdbenchError
from ppdbench.judges.batches import BATCH_SIZE, in_batches
from ppdbench.judges.by_content import ByContent
from ppdbench.judges.verdicts import chosen, failure
from ppdbench.protocols import Question, Verdict

ASKED = [replace(questions(1, ())[0], caption=str(number)) for number in range(70)]


class Asked:
    """Answers with log-odds by the caption's number; keeps what was asked at once."""

    def __init__(self, fail: Callable[[list[int]], Exception | None] = lambda _: None) -> None:
        self.batches: list[list[int]] = []
        self._fail = fail

    def __call__(self, asked: Sequence[Question]) -> list[Verdict]:
        self.batches.append([int(question.caption) for question in asked])
        if error := self._fail(self.batches[-1]):
            raise error
        return [chosen(1.0 + number) for number in self.batches[-1]]


class Broken(Sequence[Question]):
    """Questions of which one cannot be read."""

    def __init__(self, at: int, error: Exception) -> None:
        self._at, self._error = at, error

    def __len__(self) -> int:
        return len(ASKED)

    @overload
    def __getitem__(self, index: int) -> Question: ...
    @overload
    def __getitem__(self, index: slice) -> list[Question]: ...
    def __getitem__(self, index: int | slice) -> Question | list[Question]:
        if index == self._at:
            raise self._error
        return ASKED[index]


def statuses(found: list[tuple[int, Verdict]]) -> dict[int, str]:
    assert sorted(index for index, _ in found) == list(range(len(found)))
    assert all(v.log_odds == 1.0 + index for index, v in found if v.status == "ok")
    return {index: verdict.status for index, verdict in found if verdict.status != "ok"}


def test_all_are_asked_once_in_full_batches() -> None:
    answer = Asked()
    found = list(in_batches(ASKED, answer))
    assert [index for index, _ in found] == list(range(70))
    assert statuses(found) == {}
    assert [len(batch) for batch in answer.batches] == [BATCH_SIZE, BATCH_SIZE, 70 - 2 * BATCH_SIZE]
    assert list(in_batches([], answer)) == []
    assert len(answer.batches) == 3


def test_a_padded_batch_is_never_heavier_than_allowed() -> None:
    weights = [3, 3, 3, 9, 1, 1, 50, 1, *[2] * 62]
    answer = Asked()
    found = list(
        in_batches(ASKED, answer, weigh=lambda question: weights[int(question.caption)], most=20)
    )
    assert statuses(found) == {}
    for batch in answer.batches:
        assert batch == [6] or len(batch) * max(weights[at] for at in batch) <= 20
    assert answer.batches[:4] == [[0, 1, 2], [3, 4], [5], [6]]
    assert max(map(len, answer.batches)) == 10


def test_who_fails_fails_alone() -> None:
    def fail(batch: list[int]) -> Exception | None:
        return ValueError("a prompt is\ntoo long") if 40 in batch else None

    answer = Asked(fail)
    found = list(in_batches(ASKED, answer))
    assert statuses(found) == {40: "api_error"}
    assert dict(found)[40] == Verdict(status="api_error", error="ValueError: a prompt is too long")
    assert len(answer.batches) == 3 + BATCH_SIZE


def test_a_question_that_cannot_be_read_fails_alone() -> None:
    for error in (PpdbenchError("image 0 cannot be decoded", fix="mend"), OSError("gone")):
        answer = Asked()
        found = list(in_batches(Broken(5, error), answer))
        assert statuses(found) == {5: "api_error"}
        assert ("decoded" if isinstance(error, PpdbenchError) else "gone") in str(dict(found)[5])
    with pytest.raises(MissingPrerequisite):
        list(in_batches(Broken(5, MissingPrerequisite("no pair", fix="get it")), Asked()))


def test_little_memory_for_several_is_enough_for_one() -> None:
    def fail(batch: list[int]) -> Exception | None:
        return PpdbenchError("no memory", fix="more") if len(batch) > 1 else None

    answer = Asked(fail)
    assert statuses(list(in_batches(ASKED, answer))) == {}
    assert len(answer.batches) == 3 + 70


def test_a_judge_that_never_answers_stops_and_one_that_did_goes_on() -> None:
    error = PpdbenchError("no memory for one", fix="more")
    answer = Asked(lambda _: error)
    with pytest.raises(PpdbenchError, match="no memory for one"):
        list(in_batches(ASKED, answer))
    assert len(answer.batches) == 2  # all of the first batch, then one

    def later(batch: list[int]) -> Exception | None:
        return error if 33 in batch else None

    assert statuses(list(in_batches(ASKED, Asked(later)))) == {33: "api_error"}

    def missing(batch: list[int]) -> Exception | None:
        return MissingPrerequisite("no weights", fix="get them") if 33 in batch else None

    with pytest.raises(MissingPrerequisite):
        list(in_batches(ASKED, Asked(missing)))


def test_log_odds_are_a_choice_and_what_is_no_number_fails() -> None:
    assert chosen(0.5) == Verdict(status="ok", choice="first", log_odds=0.5)
    assert chosen(-1e-300).choice == "second"
    assert chosen(0.0).choice == chosen(-0.0).choice == "abstain"
    for odd in (float("nan"), float("inf")):
        assert chosen(odd).status == "api_error"
        assert chosen(odd).choice is None
    assert failure("two\n lines").error == "two lines"


def test_what_is_known_by_content_is_computed_once() -> None:
    calls: list[list[str]] = []

    def compute(images: Sequence[object], captions: Sequence[str]) -> list[object]:
        calls.append(list(captions))
        return [object() for _ in images]

    one, two, three = pictures(3)
    kept = ByContent(compute, room=2)
    a, b, again = kept.of([one, two, one.copy()], ["a", "a", "a"])
    assert a is again
    assert a is not b
    assert kept.of([one, two, one], ["a", "a", "b"])[:2] == [a, b]  # more than there is room for
    assert calls == [["a", "a"], ["b"]]
    assert kept.of([one], ["b"])
    assert kept.of([three])
    assert calls[2:] == [[""]]
    kept.of([one], ["a"])  # the one that was not asked for in the longest time was forgotten
    assert calls[3:] == [["a"]]
    with pytest.raises(ValueError, match="shorter"):
        kept.of([one, two], ["a"])
