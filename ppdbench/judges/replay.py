"""The judge `replay:FILE`: what was said in an earlier run, said again for nothing.

FILE is a run's judgments.jsonl, or the run's folder. A verdict belongs to a question by its
content; a question that is not there, or failed there, fails here. Elsewhere: who wrote the records
(`ask`), verdicts as JSON (`verdict_records`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ppdbench.errors import MissingPrerequisite
from ppdbench.judges.argument import one_argument
from ppdbench.judges.batches import one_by_one
from ppdbench.judges.on_record import FILE
from ppdbench.judges.question import question_digest
from ppdbench.judges.verdict_records import verdict_of
from ppdbench.judges.verdicts import Free, failure
from ppdbench.protocols import Judge, JudgeContext, JudgeInfo, Question, Verdict
from ppdbench.rewards.file_hash import file_sha256
from ppdbench.runs.records import read_records

NAME = "replay"


class ReplayJudge(Free):
    """Implements `protocols.Judge`.

    Whether the judge of the records looked at shots is not in them; it is taken to have done so.
    """

    def __init__(self, path: Path) -> None:
        """Read the records.

        Raises:
            MissingPrerequisite: there is no such file.
            PpdbenchError: it cannot be read, or is damaged.
        """
        if not path.is_file():
            raise MissingPrerequisite(
                f"there are no verdicts at {path}",
                fix=f"name the {FILE} of a run of `ppdbench judge`, or the run's folder",
            )
        self._name = path.name
        records = [
            record
            for record in read_records(path, checked=False)
            # A calibration also holds what rewards said to the questions without shots.
            if isinstance(record.get("question"), str) and not _of_control(record)
        ]
        self._records: dict[str, Mapping[str, Any]] = {}
        for record in records:  # what failed once may have been asked again
            if record.get("status") == "ok" or record["question"] not in self._records:
                self._records[record["question"]] = record
        self.info = JudgeInfo(
            name=NAME,
            revision=file_sha256(path),
            personal=True,
            settings={
                "file": self._name,
                "verdicts": len(self._records),
                "judges": sorted({str(record.get("judge")) for record in records}),
            },
        )

    def judge(
        self,
        questions: Sequence[Question],
        *,
        allowance: float | None = None,  # noqa: ARG002 - it costs nothing
    ) -> Iterator[tuple[int, Verdict]]:
        """Each question's place and its verdict, in order, at no cost."""
        return one_by_one(questions, self._said)

    def _said(self, question: Question) -> Verdict:
        record = self._records.get(question_digest(question))
        if record is None:
            return failure(f"the question is not in {self._name}")
        try:
            verdict = verdict_of(record)
        except ValueError as error:
            return failure(f"{self._name}: {error}")
        if verdict.status != "ok":
            return failure(f"in {self._name} it failed: {verdict.error or verdict.status}")
        return replace(verdict, cost=0.0)


def _of_control(record: Mapping[str, Any]) -> bool:
    """Whether a calibration asked another judge than its own: the arm has that one's name."""
    return "arm" in record and record["arm"] == record.get("judge")


def judge(context: JudgeContext) -> Judge:
    """Entry point `ppdbench.judges: replay`; the file's path follows a colon.

    Raises:
        UsageError: no file is named.
        MissingPrerequisite: it is not there.
        PpdbenchError: it cannot be read, or is damaged.
    """
    path = Path(one_argument(NAME, "file", context)).expanduser()
    return ReplayJudge(path / FILE if path.is_dir() else path)
