"""A provider's batch in two steps: write the calls that have no verdict, later take the answers.

Keys are those of live calls, so both stand side by side and nothing is asked twice. Elsewhere: the
files (`batch_files`), live calls (`ask`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from ppdbench.errors import MissingPrerequisite, UsageError
from ppdbench.judges.ask import unanswered
from ppdbench.judges.batch_files import read_replies, write_requests
from ppdbench.judges.batches import one_by_one
from ppdbench.judges.call import Call, MakeQuestion
from ppdbench.judges.hidden_key import without_own_key
from ppdbench.judges.question import question_digest
from ppdbench.judges.store import verdict_key
from ppdbench.judges.verdicts import failure
from ppdbench.protocols import Events, Judge, JudgeInfo, Question, Verdict

FORMAT = "response_format"
"""The field of a request that asks for structured output."""
LONGEST = ("max_tokens", "max_completion_tokens")
"""The fields, either of them, that say how many tokens a reply may have."""


@runtime_checkable
class Batching(Protocol):
    """A judge whose calls a provider takes as a file."""

    info: JudgeInfo

    def body(self, question: Question) -> dict[str, Any]:
        """The request that asks a question, as JSON."""
        ...


class BatchAnswers:
    """Implements `protocols.Judge` by answers that came as files; asks nobody."""

    def __init__(
        self, judge: Judge, files: Sequence[Path], price: tuple[float, float] | None
    ) -> None:
        """See that the files are there; they are read at the first question.

        Args:
            judge: whose calls were sent.
            files: as the provider gave them back, of replies or of errors. What one of them lacks
                or says to have failed may be in another.
            price: US dollars a million tokens, read and written.

        Raises:
            UsageError: the judge's calls cannot be sent as a file.
            MissingPrerequisite: a file is not there.
        """
        asked = require_batching(judge)
        self.info = judge.info
        self._asked = asked
        self._files = files
        self._price = price
        self._answers: dict[bytes, Verdict] | None = None
        for path in files:
            if not path.is_file():
                raise MissingPrerequisite(
                    f"there are no answers at {path}",
                    fix="name the file that the provider gave back",
                )

    def judge(
        self,
        questions: Sequence[Question],
        *,
        allowance: float | None = None,  # noqa: ARG002 - all is paid for
    ) -> Iterator[tuple[int, Verdict]]:
        """Each question's place and what the files say of it, in order.

        Raises:
            PpdbenchError: a file cannot be read, or is damaged.
        """
        return one_by_one(questions, self._said)

    def _said(self, question: Question) -> Verdict:
        key = verdict_key(self.info, question_digest(question))
        return self._read(question).get(key) or failure("no answer in the batch files")

    def _read(self, question: Question) -> Mapping[bytes, Verdict]:
        """The answers; one question tells in which form all were asked."""
        if self._answers is None:
            body = self._asked.body(question)
            found: dict[bytes, Verdict] = {}
            for path in self._files:
                answers = read_replies(
                    path,
                    model=body["model"],
                    format_asked=FORMAT in body,
                    first_token=1 in (body.get(name) for name in LONGEST),
                    price=self._price,
                    hide=without_own_key,
                )
                for key, verdict in answers.items():
                    if key not in found or found[key].status != "ok":
                        found[key] = verdict
            self._answers = found
        return self._answers


def write_batch(
    judge: Judge,
    calls: Sequence[Call],
    make: MakeQuestion,
    folder: Path,
    path: Path,
    *,
    events: Events,
) -> list[tuple[Path, int]]:
    """Write the calls without a verdict as batch files; the files, and how many calls each has.

    Args:
        judge: who is to be asked.
        calls: all calls of the run.
        make: makes a call's question.
        folder: the run's, where verdicts are on record.
        path: gives the files their names.
        events: is told of progress, and of each file.

    Raises:
        UsageError: the judge's calls cannot be sent as a file.
        PpdbenchError: a file cannot be written.
    """
    asked = require_batching(judge)
    missing = unanswered(judge.info, calls, make, folder, events=events)
    events.stage("write batch", len(missing))

    def requests() -> Iterator[tuple[bytes, Mapping[str, Any]]]:
        for each in missing:
            yield each.key, asked.body(make(each.call))
            events.advance(1)

    parts = write_requests(path, requests())
    for part, count in parts:
        events.note(f"{part}: {count} calls")
    if not parts:
        events.note("every call has a verdict: nothing to send")
    return parts


def require_batching(judge: Judge) -> Batching:
    """The judge, as one whose calls a provider takes as a file.

    Raises:
        UsageError: it is none, or is the answers of one.
    """
    if isinstance(judge, BatchAnswers):
        raise UsageError(
            "answers are taken and calls written by one command",
            fix="give --batch-in first, then --batch-out: it writes what has no verdict yet",
        )
    if not isinstance(judge, Batching):
        raise UsageError(
            f"the judge {judge.info.name} is asked here, not by batch files",
            fix="leave out --batch-out and --batch-in, or use --judge openai:MODEL",
        )
    return judge
