"""Questions asked several at once, or one by one; what fails alone costs no other its verdict.

Elsewhere: the judges; those of a server ask side by side (`in_flight`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ppdbench.errors import PpdbenchError
from ppdbench.judges.verdicts import failure, read_question
from ppdbench.protocols import Question, Verdict

BATCH_SIZE = 32
"""Questions asked at once, where they are short."""

Answer = Callable[[Sequence[Question]], list[Verdict]]
"""A verdict a question, in order; may raise."""


def in_batches(
    questions: Sequence[Question],
    answer: Answer,
    *,
    weigh: Callable[[Question], int] = lambda _: 1,
    most: int | None = None,
) -> Iterator[tuple[int, Verdict]]:
    """Each question's place and its verdict; in order, but those that cannot be read come early.

    Args:
        questions: read by index, a batch at a time.
        answer: asks a batch.
        weigh: what a question takes of the device, such as its tokens.
        most: the most that a batch takes, all of its questions as heavy as the heaviest, for they
            are padded; a question that is heavier is asked alone. None is no limit.

    Raises:
        PpdbenchError: something is missing, or the first question that is asked cannot be for
            another reason that has a fix, as a device with too little memory.
    """
    asker = _Asker(answer)
    batch: dict[int, Question] = {}
    heaviest = 0
    for index in range(len(questions)):
        question = read_question(questions, index)
        if isinstance(question, Verdict):
            yield index, question
            continue
        weight = weigh(question)
        heaviest = max(heaviest, weight)
        full = len(batch) == BATCH_SIZE
        if batch and (full or (most is not None and heaviest * (len(batch) + 1) > most)):
            yield from asker.ask(batch)
            batch, heaviest = {}, weight
        batch[index] = question
    yield from asker.ask(batch)


def one_by_one(
    questions: Sequence[Question], says: Callable[[Question], Verdict]
) -> Iterator[tuple[int, Verdict]]:
    """Each question's place and what is said of it, in order; a failure where it cannot be read."""
    for index in range(len(questions)):
        question = read_question(questions, index)
        yield index, says(question) if isinstance(question, Question) else question


class _Asker:
    """Asks batches, and where one fails its questions alone."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._works = False

    def ask(self, batch: dict[int, Question]) -> Iterator[tuple[int, Verdict]]:
        questions = list(batch.values())
        verdicts = self._verdicts(questions) if questions else []
        if verdicts is not None:
            yield from zip(batch, verdicts, strict=True)
            return
        for index, question in batch.items():
            for verdict in self._verdicts([question]) or []:
                yield index, verdict

    def _verdicts(self, questions: Sequence[Question]) -> list[Verdict] | None:
        """Verdicts of questions asked at once; None where several failed.

        The error of several is let go of here: what they held on the device hangs on it.
        """
        alone = len(questions) == 1
        try:
            found = self._answer(questions)
        except PpdbenchError as error:
            if type(error) is not PpdbenchError or (alone and not self._works):
                raise  # a judge that never answered cannot work at all
            return [failure(error)] if alone else None
        except Exception as error:  # what libraries raise for one question is no closed list
            return [failure(error)] if alone else None
        self._works = True
        return found
