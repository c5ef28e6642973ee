"""What a side is asked and how it answers: pictures in, one line of jsonl a picture out.

Every side is a script of its own process, because no two of them share an environment, a model or
memory. It is given a variant of its recipe and appends `{"file_name", "score"}` or
`{"file_name", "error"}` to the file that it is given, so a killed run goes on where it stopped.
Elsewhere: who starts sides and names those files (`run`).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pictures import Picture, read_pictures


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A picture's score, or why there is none; exactly one of the two."""

    score: float | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """One variant of one side over some pictures."""

    work: Path
    variant: str
    out: Path
    pictures: tuple[Picture, ...]

    def pending(self) -> list[Picture]:
        """Pictures that have no line yet."""
        done = read_answers(self.out)
        return [picture for picture in self.pictures if picture.file_name not in done]

    def path(self, picture: Picture) -> str:
        """Where a picture lies."""
        return str(self.work / "pictures" / picture.file_name)

    def answer(self, picture: Picture, score: float) -> None:
        """Write a score."""
        self._append({"file_name": picture.file_name, "score": float(score)})

    def fail(self, picture: Picture, error: Exception | str) -> None:
        """Write why there is no score."""
        text = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
        self._append({"file_name": picture.file_name, "error": " ".join(text.split())[:200]})

    def _append(self, record: dict[str, object]) -> None:
        with self.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        found = record.get("error") or f"{record['score']:.6f}"
        print(f"  {self.variant} {record['file_name']}: {found}", file=sys.stderr, flush=True)


def parse_job() -> Job:
    """The job on this process's command line; see `arguments_of`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--variant", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("names", nargs="*", help="pictures; all where none is given")
    given = parser.parse_args()
    pictures = read_pictures(given.work / "pictures")
    wanted = set(given.names) or {picture.file_name for picture in pictures}
    chosen = tuple(picture for picture in pictures if picture.file_name in wanted)
    return Job(given.work, given.variant, given.out, chosen)


def arguments_of(job: Job) -> Sequence[str | Path]:
    """The command line that `parse_job` reads."""
    names = [picture.file_name for picture in job.pictures]
    return ["--work", job.work, "--variant", job.variant, "--out", job.out, *names]


def read_answers(file: Path) -> dict[str, Answer]:
    """Answers by file name; a torn last line is dropped from the file, so the next can follow."""
    if not file.is_file():
        return {}
    text = file.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        file.write_text(whole, encoding="utf-8")
    records = [json.loads(line) for line in whole.splitlines()]
    return {record.pop("file_name"): Answer(**record) for record in records}
