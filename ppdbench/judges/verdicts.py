"""From what a judge has, log-odds or a failure, to its verdict; and what asking a free one takes.

A question that fails alone has a verdict that says why, never a choice. Elsewhere: verdicts as JSON
(`verdict_records`), the judges.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from ppdbench.errors import PpdbenchError, one_line
from ppdbench.judges.open_questions import Questions
from ppdbench.protocols import Estimate, Question, Verdict


class Free:
    """Implements `protocols.Estimating` for a judge that reads no tokens and is paid by nobody."""

    def estimate(self, question: Question) -> Estimate:  # noqa: ARG002 - all are alike
        """What asking takes: nothing that is counted."""
        return Estimate(tokens_in=0, tokens_out=0, cost=0.0)


def chosen(log_odds: float, details: Mapping[str, Any] | None = None) -> Verdict:
    """The likelier image by log-odds of the first over the second; at exactly 0 neither."""
    if not math.isfinite(log_odds):
        return failure(f"the judge's log-odds are {log_odds}")
    choice: Literal["first", "second", "abstain"] = "abstain"
    if log_odds != 0:
        choice = "first" if log_odds > 0 else "second"
    return Verdict(status="ok", choice=choice, log_odds=float(log_odds), details=details or {})


def failure(error: BaseException | str) -> Verdict:
    """The verdict of a question that failed, the cause on one line."""
    if isinstance(error, PpdbenchError):
        return failure(error.cause)
    if isinstance(error, BaseException):
        return failure(f"{type(error).__name__}: {one_line(error)}")
    return Verdict(status="api_error", error=" ".join(error.split()))


def has_question(questions: Sequence[Question], index: int) -> bool:
    """Whether there is a question at that place, from 0, found out with no more work than it takes.

    Raises:
        PpdbenchError: an image is damaged, where that takes looking at it.
    """
    if isinstance(questions, Questions):
        return questions.reaches(index)
    return index < len(questions)


def read_question(questions: Sequence[Question], index: int) -> Question | Verdict:
    """A question, or the failure where it cannot be read, as with a broken image.

    Raises:
        PpdbenchError: of a kind that stops all others too: a missing prerequisite, Ctrl-C.
    """
    try:
        return questions[index]
    except PpdbenchError as error:
        if type(error) is not PpdbenchError:
            raise
        return failure(error)
    except Exception as error:  # what decoders raise on damaged bytes is no closed list
        return failure(error)
