"""A judge asked by a provider's batch files: the same calls, keys and figures as asked live."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fake_world
import pytest
import toy_judges
from judged_town import FEW, calibrated, files_of, judge, records_of, request, use_judges
from toy_batches import (
    PRICE,
    answer,
    answered,
    bodies,
    parts_of,
    requests_of,
    use_sender,
)
from toy_runs import figures, summary_of

from ppdbench.benchmarks.calibration.job import CalibrationRequest
from ppdbench.benchmarks.calibration.run import calibrate
from ppdbench.benchmarks.guard import TooManyFailures
from ppdbench.benchmarks.judge.job import JudgeChoice
from ppdbench.benchmarks.judge.run import run_judge
from ppdbench.errors import MissingPrerequisite, PpdbenchError, UsageError

CALLS = 5 * 2 * FEW * 2
CHOICES = 12 * 9
"""Held-out choices of the town's calibration users, ties left out."""
CALIBRATION_CALLS = 3 * 2 * CHOICES + 2 * 50 + 50
SCALARS = 2 * 2 * CHOICES
"""Calls to the town's two rewards: they are asked here, whoever the judge is."""


@pytest.fixture(autouse=True)
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use_judges(monkeypatch, tmp_path)
    use_sender(monkeypatch)


def write(tmp_path: Path, **options: Any) -> dict[str, dict[str, Any]]:
    """`judge --batch-out`; the requests in its files."""
    path = tmp_path / "out" / "calls.jsonl"
    options.setdefault("judge", "sender")
    events = options.pop("events", fake_world.Quiet())
    asked = request(**options)
    assert run_judge(asked, runs=tmp_path / "runs", batch_out=path, events=events) is None
    return requests_of(path)


def write_calibration(tmp_path: Path) -> dict[str, dict[str, Any]]:
    """`calibrate --batch-out`; the requests in its files."""
    path = tmp_path / "out" / "choices.jsonl"
    asked = CalibrationRequest(suite="town", device="cpu", judge=JudgeChoice(name="sender"))
    events = fake_world.Quiet()
    assert calibrate(asked, runs=tmp_path / "runs", batch_out=path, events=events) is None
    return requests_of(path)


def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Path:
    """The same run with live calls, and nothing beside it or in the cache."""
    with monkeypatch.context() as patch:
        patch.setenv("PPDBENCH_CACHE", str(tmp_path / "live" / "cache"))
        return judge(tmp_path / "live", judge="sender", **options)


def plain(folder: Path) -> Any:
    """All figures, and every record but how its call was sent."""
    records = {record["call"]: record for record in records_of(folder)}
    for record in records.values():
        for name in ("batch", "attempts"):
            record["details"].pop(name, None)
    return figures(folder), records


def test_each_missing_call_is_written_once_under_the_key_of_its_record(tmp_path: Path) -> None:
    events = fake_world.Quiet()
    found = write(tmp_path, events=events)
    assert toy_judges.answered == [] and len(found) == CALLS == len(bodies)
    assert events.stages["write batch"] == [CALLS, CALLS]
    (part,) = parts_of(tmp_path / "out" / "calls.jsonl")
    assert events.notes == [f"{part}: {CALLS} calls"]
    (folder,) = (tmp_path / "runs" / "town").iterdir()
    assert records_of(folder) == [] and not (folder / "summary.json").exists()
    assert json.loads((folder / "status.json").read_bytes())["state"] == "done"
    assert judge(tmp_path, judge="sender") == folder
    assert {record["key"] for record in records_of(folder)} == found.keys()


def test_one_question_of_two_calls_is_sent_once(tmp_path: Path) -> None:
    """Both orders of two equal pictures are one question; each call still has its record."""
    found = write(tmp_path, model="deaf")
    assert len(found) < CALLS
    path = answered(found, tmp_path / "answers.jsonl")
    records = records_of(judge(tmp_path, model="deaf", judge="sender", batch_in=(path,)))
    assert len(records) == CALLS and {record["key"] for record in records} == found.keys()
    assert all(record["status"] == "ok" for record in records)


@pytest.mark.parametrize("name", ["sender", "sender:digit"])
def test_answers_from_files_give_what_live_ones_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    found = write(tmp_path, judge=name)
    path = answered(found, tmp_path / "answers.jsonl")
    fake_world.calls.clear()
    folder = judge(tmp_path, judge=name, batch_in=(path,), price=PRICE)
    assert toy_judges.answered == []
    assert not any("draws" in call for call in fake_world.calls)  # drawn for the writing
    with monkeypatch.context() as patch:
        patch.setenv("PPDBENCH_CACHE", str(tmp_path / "live" / "cache"))
        alone = judge(tmp_path / "live", judge=name, price=PRICE)
    assert len(toy_judges.answered) == CALLS
    assert plain(folder) == plain(alone)
    told = summary_of(folder)
    assert told["complete"] is True and told["failures"] == []
    assert told["judge"]["asked"] == CALLS and told["judge"]["statuses"] == {"ok": CALLS}
    assert told["judge"]["cost"] == pytest.approx(CALLS * 0.02)
    assert told["judge"]["models"] == {"sender-1-of-may": CALLS}


def test_the_same_answers_again_change_nothing(tmp_path: Path) -> None:
    path = answered(write(tmp_path), tmp_path / "answers.jsonl")
    folder = judge(tmp_path, judge="sender", batch_in=(path,))
    before = files_of(folder)
    path.write_text("no longer needed, and not read")
    assert judge(tmp_path, judge="sender", batch_in=(path,)) == folder
    assert files_of(folder) == before
    assert write(tmp_path) == {} and parts_of(tmp_path / "out" / "calls.jsonl") == []
    # Live, nothing is left to ask: a verdict is a verdict.
    assert judge(tmp_path, judge="sender") == folder and toy_judges.answered == []


def test_calls_that_are_answered_are_not_written(tmp_path: Path) -> None:
    judge(tmp_path, judge="sender", limit=2)
    asked = {record["key"] for run in (tmp_path / "runs" / "town").iterdir() for record in
             records_of(run)}  # fmt: skip
    found = write(tmp_path)
    assert asked and not asked & found.keys()
    path = answered(found, tmp_path / "answers.jsonl")
    records = records_of(judge(tmp_path, judge="sender", batch_in=(path,)))
    assert {record["key"] for record in records if not record["cached"]} == found.keys()
    assert {record["key"] for record in records if record["cached"]} <= asked


def test_missing_answers_are_failures_and_are_all_that_is_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = write(tmp_path)
    lost = sorted(found)[::20]
    path = answered(found, tmp_path / "answers.jsonl", but=lost)
    with pytest.raises(TooManyFailures) as caught:
        judge(tmp_path, judge="sender", batch_in=(path,))
    folder = caught.value.run
    told = summary_of(folder)
    failed = {record["call"] for record in records_of(folder) if record["key"] in lost}
    assert {failure["item"] for failure in told["failures"]} == failed
    assert len(failed) == len(lost) == 5
    assert {failure["error"] for failure in told["failures"]} == {
        "api_error: no answer in the batch files"
    }
    assert told["withheld"] is not None and told["benchmarks"]["judge"]["all"]["win_rate"] is None
    assert told["judge"]["statuses"] == {"ok": CALLS - 5, "api_error": 5}
    assert all(r["choice"] is None for r in records_of(folder) if r["key"] in lost)
    assert toy_judges.answered == []
    again = write(tmp_path)
    assert again == {key: found[key] for key in lost}
    rest = answered(again, tmp_path / "rest.jsonl")
    assert judge(tmp_path, judge="sender", batch_in=(rest,)) == folder
    alone = live(tmp_path, monkeypatch)
    ours, theirs = figures(folder), figures(alone)
    for each in (ours, theirs):  # what was not answered stays on the bill
        for name in ("asked", "statuses", "models"):
            each["judge"].pop(name)
    assert ours == theirs


def test_several_files_of_answers_are_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the provider could not answer at first is in the file of errors, then in another."""
    found = write(tmp_path)
    late = sorted(found)[:7]
    first = answered(found, tmp_path / "first.jsonl", but=late)
    errors = tmp_path / "errors.jsonl"
    errors.write_text("".join(answer(key, found[key], 503) for key in late))
    second = answered({key: found[key] for key in late}, tmp_path / "second.jsonl")
    with pytest.raises(TooManyFailures, match="HTTP 503: the server is full"):
        judge(tmp_path / "a", judge="sender", batch_in=(first, errors))
    assert write(tmp_path / "a").keys() == set(late)
    alone = live(tmp_path, monkeypatch)
    for place, files in enumerate([(first, errors, second), (second, errors, first)]):
        monkeypatch.setenv("PPDBENCH_CACHE", str(tmp_path / f"cache {place}"))
        folder = judge(tmp_path / str(place), judge="sender", batch_in=files)
        assert plain(folder) == plain(alone)


def test_a_torn_last_line_costs_its_call_alone(tmp_path: Path) -> None:
    found = write(tmp_path)
    path = answered(found, tmp_path / "answers.jsonl")
    path.write_bytes(path.read_bytes()[:-30])
    folder = judge(tmp_path, judge="sender", batch_in=(path,), fail_on_error=0.5)
    assert [record["key"] for record in records_of(folder) if record["status"] != "ok"] == [
        max(found)
    ]
    assert summary_of(folder)["n_ok"] == summary_of(folder)["n_expected"] - 1
    assert write(tmp_path).keys() == {max(found)}


def test_a_damaged_file_ends_the_run_and_costs_no_verdict(tmp_path: Path) -> None:
    found = write(tmp_path)
    path = answered(found, tmp_path / "answers.jsonl")
    whole = path.read_text()
    path.write_text(whole.replace("custom_id", "custom id", 3))
    with pytest.raises(PpdbenchError, match=r"answers.jsonl, line 1, is no reply of a batch"):
        judge(tmp_path, judge="sender", batch_in=(path,))
    assert write(tmp_path) == found
    path.write_text(whole)
    assert summary_of(judge(tmp_path, judge="sender", batch_in=(path,)))["complete"] is True


def test_answers_to_another_judge_are_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = write(tmp_path)
    path = answered(found, tmp_path / "answers.jsonl")
    monkeypatch.setattr(toy_judges, "revision", "2")
    folder = judge(tmp_path, judge="sender", batch_in=(path,), fail_on_error=1.0)
    told = summary_of(folder)
    assert told["judge"]["statuses"] == {"api_error": CALLS} and told["judge"]["revision"] == "2"
    assert told["benchmarks"]["judge"]["all"]["win_rate"] is None
    other = write(tmp_path)
    assert len(other) == CALLS and not other.keys() & found.keys()


def test_a_file_that_is_not_there_is_said_before_anything_is_drawn(tmp_path: Path) -> None:
    with pytest.raises(MissingPrerequisite, match="there are no answers at"):
        judge(tmp_path, judge="sender", batch_in=(tmp_path / "answers.jsonl",))
    assert not (tmp_path / "runs").exists() and fake_world.calls == []


@pytest.mark.parametrize("name", ["taste", "always-first", "scalar:red"])
def test_a_judge_that_is_asked_here_has_no_batches(tmp_path: Path, name: str) -> None:
    files = (Path(__file__),)
    message = f"the judge {name} is asked here, not by batch files"
    with pytest.raises(UsageError, match=message):
        write(tmp_path, judge=name)
    with pytest.raises(UsageError, match=message):
        judge(tmp_path, judge=name, batch_in=files)
    with pytest.raises(UsageError, match=message):
        calibrated(tmp_path, judge=name, batch_in=files)
    asked = CalibrationRequest(suite="town", device="cpu", judge=JudgeChoice(name=name))
    with pytest.raises(UsageError, match=message):
        calibrate(asked, runs=tmp_path / "runs", batch_out=files[0], events=fake_world.Quiet())
    assert not (tmp_path / "runs").exists() and not (tmp_path / "out").exists()
    assert not any("draws" in call for call in fake_world.calls)


def test_answers_are_taken_before_the_rest_is_written(tmp_path: Path) -> None:
    path = answered(write(tmp_path), tmp_path / "answers.jsonl")
    with pytest.raises(UsageError, match="answers are taken and calls written by one command"):
        write(tmp_path / "both", batch_in=(path,))
    assert not (tmp_path / "both").exists()


def test_a_calibration_by_files_is_the_live_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = write_calibration(tmp_path)
    assert len(found) == CALIBRATION_CALLS and toy_judges.answered == []
    lost = sorted(found)[::100]
    path = answered(found, tmp_path / "answers.jsonl", but=lost)
    with pytest.raises(TooManyFailures, match=f"{len(lost)} of") as caught:
        calibrated(tmp_path, judge="sender", batch_in=(path,))
    folder = caught.value.run
    told = summary_of(folder)
    assert told["benchmarks"]["calibration"]["own"]["all_call"] is None
    assert len(told["failures"]) == len(lost)
    assert told["n_expected"] == CALIBRATION_CALLS + SCALARS == told["n_ok"] + len(lost)
    again = write_calibration(tmp_path)
    assert again == {key: found[key] for key in lost}
    rest = answered(again, tmp_path / "rest.jsonl")
    assert calibrated(tmp_path, judge="sender", batch_in=(rest,)) == folder
    assert toy_judges.answered == []
    monkeypatch.setenv("PPDBENCH_CACHE", str(tmp_path / "live" / "cache"))
    alone = calibrated(tmp_path / "live", judge="sender")
    ours, theirs = summary_of(folder)["benchmarks"], summary_of(alone)["benchmarks"]
    assert ours == theirs and ours["calibration"]["personalised"] is True
    by_key = {record["key"]: record["choice"] for record in records_of(alone)}
    assert all(
        by_key[record["key"]] == record["choice"]
        for record in records_of(folder)
        if record["status"] == "ok"
    )
