"""Judges that know nothing: what they say is known beforehand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from noise import questions, shots, swapped, verdicts
from scipy.stats import binomtest

from ppdbench.errors import UsageError
from ppdbench.judges.load import make_judge
from ppdbench.protocols import Judge, JudgeContext, Question


def placebo(name: str) -> Judge:
    nothing: Any = None
    return make_judge(name, JudgeContext(suite=nothing, device="cpu"))


def choices(judge: Judge, asked: list[Question]) -> list[str | None]:
    found = verdicts(judge, asked)
    assert {verdict.status for verdict in found} == {"ok"}
    return [verdict.choice for verdict in found]


def test_always_first_says_first_in_both_orders() -> None:
    judge = placebo("always-first")
    asked = questions(4, shots(2))
    assert choices(judge, [*asked, *swapped(asked)]) == ["first"] * 8
    assert not judge.info.personal


def test_random_is_a_fair_coin_in_each_order_alone() -> None:
    judge = placebo("random")
    asked = questions(400, shots(1))
    one, other = choices(judge, asked), choices(judge, swapped(asked))
    firsts = sum(choice == "first" for choice in one)
    consistent = sum(a != b for a, b in zip(one, other, strict=True))
    for heads in (firsts, consistent):
        assert binomtest(heads, 400).pvalue > 0.001
    assert not judge.info.personal


def test_random_answers_the_same_question_the_same_way() -> None:
    asked = questions(64, shots(1))
    again = [replace(each, first=each.first.copy()) for each in reversed(asked)]
    one = choices(placebo("random"), asked)
    assert choices(placebo("random"), again) == one[::-1]
    for other in (
        [replace(each, repeat=1) for each in asked],
        [replace(each, shots=shots(1, seed=7)) for each in asked],
        [replace(each, caption="another") for each in asked],
    ):
        assert choices(placebo("random"), other) != one


@pytest.mark.parametrize("name", ["always-first:x", "random:7"])
def test_they_take_no_argument(name: str) -> None:
    with pytest.raises(UsageError, match="nothing after a colon"):
        placebo(name)
