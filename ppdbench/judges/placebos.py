"""Judges that know nothing, whose figures are known before they are asked.

`always-first` sees position only: coverage 0, a win rate of exactly one half, all of a first-pick
bias. `random` sees nothing: half of its pairs consistent, and an interval that covers one half.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence

from ppdbench.judges.argument import no_argument
from ppdbench.judges.batches import one_by_one
from ppdbench.judges.question import question_digest
from ppdbench.judges.verdicts import Free
from ppdbench.protocols import Judge, JudgeContext, JudgeInfo, Question, Verdict

VERSION = "1"


class Placebo(Free):
    """Implements `protocols.Judge` by a function of the question."""

    def __init__(self, name: str, says: Callable[[Question], Verdict]) -> None:
        revision = hashlib.sha256(f"{name} {VERSION}".encode()).hexdigest()
        self.info = JudgeInfo(name=name, revision=revision, personal=False)
        self._says = says

    def judge(
        self,
        questions: Sequence[Question],
        *,
        allowance: float | None = None,  # noqa: ARG002 - it costs nothing
    ) -> Iterator[tuple[int, Verdict]]:
        """Each question's place and its verdict, in order."""
        return one_by_one(questions, self._says)


def always_first(context: JudgeContext) -> Judge:
    """Entry point `ppdbench.judges: always-first`: the first image, whatever is shown.

    Raises:
        UsageError: something stands after its name.
    """
    no_argument("always-first", context)
    return Placebo("always-first", lambda _: Verdict(status="ok", choice="first"))


def random(context: JudgeContext) -> Judge:
    """Entry point `ppdbench.judges: random`: a fair coin, thrown by the question's content.

    The same question has the same answer wherever it comes from; with the images swapped, or asked
    once more, it is another question.

    Raises:
        UsageError: something stands after its name.
    """
    no_argument("random", context)
    return Placebo("random", _coin)


def _coin(question: Question) -> Verdict:
    heads = int(question_digest(question), 16) % 2 == 0
    return Verdict(status="ok", choice="first" if heads else "second")
