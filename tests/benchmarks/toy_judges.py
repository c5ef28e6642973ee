"""Judges of the toy world: one that reads shots, and ones that cannot, refuse, charge or are slow.

All note what they answered, by the question's digest; tests look there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from ppdbench.errors import BudgetReached
from ppdbench.judges.question import question_digest
from ppdbench.protocols import Estimate, JudgeContext, JudgeInfo, Question, Verdict

COST = 0.25
"""US dollars a call of judge `paid`."""

answered: list[str] = []
"""Digests of the questions that a verdict was given to."""
heard: list[Question] = []
"""The questions themselves."""
revision = "1"
noise = 8.0
"""How far a judge errs, in brightness; by the question, so both orders err apart."""
willing = False
"""Whether `refuser` answers what it refused before."""
sleep = 0.0
log: Path | None = None
"""Where each answer leaves a line, for a judge that is killed."""


def before(_: Question) -> None:
    """Called with each question before it is answered; tests let it raise."""


def clear() -> None:
    """Forget what was asked."""
    answered.clear()
    heard.clear()


class Toy:
    """Asks a function of the question and its digest, one question after the other."""

    price = 0.0

    def __init__(
        self, name: str, says: Callable[[Question, str], Verdict], *, personal: bool = True
    ) -> None:
        self.info = JudgeInfo(
            name=name, revision=revision, personal=personal, settings={"noise": noise}
        )
        self._says = says

    def judge(
        self, questions: Sequence[Question], *, allowance: float | None = None
    ) -> Iterator[tuple[int, Verdict]]:
        left = allowance
        for place in range(len(questions)):
            question = questions[place]
            if left is not None and left < self.price:
                raise BudgetReached(f"a call costs ${self.price}", fix="raise --max-cost")
            left = None if left is None else left - self.price
            before(question)
            digest = question_digest(question)
            time.sleep(sleep)
            answered.append(digest)
            heard.append(question)
            if log is not None:
                with log.open("a") as file:
                    file.write(f"{digest}\n")
            yield place, self._says(question, digest)


class Paid(Toy):
    """Charges for each call, and knows it before."""

    price = COST

    def estimate(self, question: Question) -> Estimate:
        images = 2 * len(question.shots) + 2
        return Estimate(tokens_in=10 * images, tokens_out=1, cost=COST)


def mean(image: Image) -> NDArray[np.float64]:
    return np.asarray(np.asarray(image, float).mean(axis=(0, 1)))


def direction(question: Question) -> NDArray[np.float64]:
    """Where the shots point, (3,); brightness, where there are none."""
    if not question.shots:
        return np.full(3, 3**-0.5)
    found = sum(mean(shot.preferred) - mean(shot.dispreferred) for shot in question.shots)
    return np.asarray(found / np.linalg.norm(found))


def by_taste(question: Question, digest: str, *, cost: float = 0.0) -> Verdict:
    """The image farther along what the shots show."""
    return _towards(direction(question), question, digest, cost)


def by_brightness(question: Question, digest: str) -> Verdict:
    """The brighter image, whatever the shots show."""
    return _towards(np.full(3, 3**-0.5), question, digest, 0.0)


def _towards(where: NDArray[np.float64], question: Question, digest: str, cost: float) -> Verdict:
    luck = np.random.default_rng(int(digest[:16], 16)).normal(0, noise)
    odds = float((mean(question.first) - mean(question.second)) @ where + luck)
    return Verdict(
        status="ok",
        choice="abstain" if odds == 0 else "first" if odds > 0 else "second",
        log_odds=odds,
        reason=f"{len(question.shots)} shots",
        cost=cost,
        details={"model": "toy-1", "tokens_in": 10, "tokens_out": 1, "seconds": 0.5},
    )


def refused(digest: str) -> bool:
    """A fifth of all questions."""
    return int(digest, 16) % 5 == 0


def _or_refuse(question: Question, digest: str) -> Verdict:
    if refused(digest) and not willing:
        return Verdict(status="refusal", raw="I'd rather not: 1", error="refused")
    return by_taste(question, digest)


def taste(_: JudgeContext) -> Toy:
    return Toy("taste", by_taste)


def blind(_: JudgeContext) -> Toy:
    return Toy("blind", by_brightness, personal=False)


def refuser(_: JudgeContext) -> Toy:
    return Toy("refuser", _or_refuse)


def paid(_: JudgeContext) -> Paid:
    return Paid("paid", lambda question, digest: by_taste(question, digest, cost=COST))
