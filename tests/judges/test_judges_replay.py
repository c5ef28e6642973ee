"""An earlier run's verdicts, said again."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from noise import questions, shots, swapped, verdicts

from ppdbench.errors import MissingPrerequisite, PpdbenchError, UsageError
from ppdbench.judges.load import make_judge
from ppdbench.judges.question import question_digest
from ppdbench.judges.verdict_records import verdict_record
from ppdbench.protocols import Judge, JudgeContext, Question, Verdict
from ppdbench.runs.records import RecordWriter

ASKED = questions(4, shots(2))
SAID = (
    Verdict(status="ok", choice="second", log_odds=-1.5, reason="why", cost=0.25, raw="2"),
    Verdict(status="refusal", error="I would rather not", cost=0.125),
    Verdict(status="ok", choice="abstain", details={"model": "m"}),
)


def replay(path: Path | str) -> Judge:
    nothing: Any = None
    return make_judge(f"replay:{path}", JudgeContext(suite=nothing, device="cpu"))


def write(path: Path, said: Sequence[tuple[Question, Verdict]]) -> Path:
    with RecordWriter(path) as writer:
        writer.write(
            {
                "call": str(number),
                "question": question_digest(asked),
                "judge": "openai:m",
                **verdict_record(verdict),
            }
            for number, (asked, verdict) in enumerate(said)
        )
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "judgments.jsonl", list(zip(ASKED, SAID, strict=False)))


def test_it_says_what_was_said_and_costs_nothing(file: Path) -> None:
    judge = replay(file)
    found = verdicts(judge, ASKED)
    assert found[0] == replace(SAID[0], cost=0.0)
    assert found[2] == SAID[2]
    for failed, why in ((found[1], "it failed: I would rather not"), (found[3], "not in judgm")):
        assert failed.status == "api_error"
        assert failed.choice is None
        assert why in (failed.error or "")
        assert failed.cost == 0.0
    assert judge.info.settings["judges"] == ["openai:m"]
    assert judge.info.personal


def test_swapped_images_and_another_asking_are_other_questions(file: Path) -> None:
    others = [*swapped(ASKED), *(replace(each, repeat=1) for each in ASKED)]
    assert {verdict.status for verdict in verdicts(replay(file), others)} == {"api_error"}
    copies = [replace(ASKED[0], first=ASKED[0].first.copy())]  # known by content
    assert verdicts(replay(file), copies)[0].choice == "second"


def test_a_later_success_stands_and_a_later_failure_does_not(tmp_path: Path) -> None:
    path = write(
        tmp_path / "j.jsonl",
        [(ASKED[0], SAID[1]), (ASKED[0], SAID[0]), (ASKED[0], SAID[1])],
    )
    assert verdicts(replay(path), ASKED[:1])[0].choice == "second"


def test_what_a_calibrations_controls_said_is_not_the_judges(tmp_path: Path) -> None:
    """Rewards are asked the very questions that the judge is asked without shots."""
    bare = questions(2, ())
    with RecordWriter(tmp_path / "judgments.jsonl") as writer:
        for judge, arm, asked in (
            ("scalar:clip", "scalar:clip", bare),
            ("openai:m", "zero_shots", bare[:1]),
            ("scalar:hps", "scalar:hps", bare),
        ):
            said = SAID[0] if arm == "zero_shots" else Verdict(status="ok", choice="first")
            writer.write(
                {
                    "call": f"{arm}/{number}",
                    "arm": arm,
                    "question": question_digest(each),
                    "judge": judge,
                    **verdict_record(said),
                }
                for number, each in enumerate(asked)
            )
    found = verdicts(replay(tmp_path), bare)
    assert [verdict.choice for verdict in found] == ["second", None]
    assert replay(tmp_path).info.settings["judges"] == ["openai:m"]


def test_a_folder_is_its_file_and_the_revision_the_files_hash(file: Path) -> None:
    assert replay(file.parent).info == replay(file).info
    assert replay(file).info.revision == hashlib.sha256(file.read_bytes()).hexdigest()
    before = replay(file).info.revision
    write(file, [(ASKED[3], SAID[0])])
    assert replay(file).info.revision != before


def test_a_record_that_holds_no_verdict_fails_alone(file: Path) -> None:
    with RecordWriter(file) as writer:
        writer.write([{"question": question_digest(ASKED[3]), "status": "ok", "choice": "left"}])
    found = verdicts(replay(file), ASKED)
    assert (found[0].choice, found[3].status) == ("second", "api_error")


def test_what_cannot_be_read_is_refused(file: Path) -> None:
    with pytest.raises(MissingPrerequisite, match="no verdicts at"):
        replay(file.parent / "nowhere.jsonl")
    with pytest.raises(MissingPrerequisite, match="no verdicts at"):
        replay("bad\nname")
    with pytest.raises(UsageError, match="needs a file"):
        replay("")
    file.write_text("not JSON\n" + file.read_text())
    with pytest.raises(PpdbenchError, match="is not a record"):
        replay(file)
