"""How a judged run goes on: again, after a stop, at the budget's end, with pictures lost."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fake_world
import people_world
import pytest
import toy_judges
from judged_town import FEW, calibrated, files_of, judge, records_of, use_judges
from toy_runs import figures, summary_of

from ppdbench.benchmarks.calibration.run import NotPersonalised
from ppdbench.benchmarks.judge.run import TooManyFailures
from ppdbench.errors import BudgetReached, FingerprintMismatch, Interrupted, PpdbenchError
from ppdbench.judges.on_record import FILE
from ppdbench.protocols import GenerationRequest, Question
from ppdbench.runs.records import read_records

world = pytest.fixture(autouse=True)(use_judges)
CALLS = 5 * 2 * FEW * 2


def clear() -> None:
    fake_world.calls.clear()
    toy_judges.clear()


def test_a_finished_run_again_does_nothing(tmp_path: Path) -> None:
    folder = judge(tmp_path)
    before = files_of(folder)
    assert {"summary.json", "captions.json", "env.json", "spec.json", FILE} <= set(before)
    clear()
    assert judge(tmp_path) == folder
    assert fake_world.calls == toy_judges.answered == []
    assert files_of(folder) == before
    assert json.loads((folder / "status.json").read_bytes())["state"] == "done"


def test_a_run_that_was_stopped_ends_where_an_undisturbed_one_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = judge(tmp_path / "whole")
    monkeypatch.setenv("PPDBENCH_CACHE", str(tmp_path / "other cache"))
    clear()
    for stop in (1, 7, CALLS // 2):
        asked: list[Question] = []

        def interrupt(question: Question, stop: int = stop, asked: Any = asked) -> None:
            asked.append(question)
            if len(asked) == stop:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch, pytest.raises(Interrupted):
            patch.setattr(toy_judges, "before", interrupt)
            judge(tmp_path / "stopped")
    (status,) = (tmp_path / "stopped").glob("runs/town/*/status.json")
    assert json.loads(status.read_bytes())["state"] == "interrupted"
    folder = judge(tmp_path / "stopped")
    assert figures(folder) == figures(whole)
    assert len(toy_judges.answered) == len(set(toy_judges.answered)) == CALLS
    assert len(records_of(folder)) == CALLS


def test_stops_while_drawing_and_judging_change_no_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = judge(tmp_path / "whole", batch_size=3)
    monkeypatch.setenv("PPDBENCH_CACHE", str(tmp_path / "other cache"))
    seen: list[int] = []

    def interrupt(_: Sequence[GenerationRequest]) -> None:
        seen.append(1)
        if len(seen) == 4:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(fake_world, "generate_error", interrupt)
        judge(tmp_path / "stopped", batch_size=3)
    assert figures(judge(tmp_path / "stopped", batch_size=5)) == figures(whole)


def test_the_budgets_end_is_told_and_a_higher_one_goes_on(tmp_path: Path) -> None:
    def run(max_cost: float | None) -> Path:
        return judge(tmp_path, judge="paid", max_cost=max_cost)

    with pytest.raises(BudgetReached) as caught:
        run(10.1)
    folder = caught.value.run
    assert folder is not None and caught.value.exit_code == 5
    assert caught.value.fix == "raise --max-cost"
    assert len(toy_judges.answered) == 40  # 10.1 dollars at a quarter each
    found = summary_of(folder)
    assert found["complete"] is False
    assert found["withheld"] == f"40 of {CALLS} calls have a verdict: a call costs $0.25"
    assert found["benchmarks"]["judge"]["all"]["win_rate"] is None
    assert found["judge"]["cost"] == 10.0
    assert len(found["failures"]) == CALLS - 40
    assert found["failures"][0]["error"] == "not asked"

    before = toy_judges.answered.copy()
    with pytest.raises(BudgetReached):
        run(10.1)
    assert toy_judges.answered == before  # what was spent counts
    with pytest.raises(BudgetReached):
        run(20.0)
    assert len(toy_judges.answered) == 80
    assert run(None) == folder
    assert len(toy_judges.answered) == len(set(toy_judges.answered)) == CALLS
    found = summary_of(folder)
    assert found["complete"] is True and found["withheld"] is None
    assert found["judge"]["cost"] == 25.0 and found["judge"]["asked"] == CALLS
    assert found["benchmarks"]["judge"]["all"]["win_rate"] is not None


def test_a_budget_is_no_part_of_what_a_run_is(tmp_path: Path) -> None:
    folder = judge(tmp_path, judge="paid", max_cost=30.0)
    assert judge(tmp_path, judge="paid") == folder
    assert judge(tmp_path, judge="paid", concurrency=2, timeout=1.0, price=(1.0, 2.0)) == folder


def test_what_another_run_asked_is_not_asked_again(tmp_path: Path) -> None:
    judge(tmp_path, judge="paid", judge_shots="shared", controls=False)
    toy_judges.clear()
    folder = judge(tmp_path, judge="paid", controls=False)
    facts = summary_of(folder)["judge"]
    assert len(toy_judges.answered) == facts["asked"] == 2 * FEW * 2
    assert facts["calls"] == 2 * facts["asked"] and facts["cost"] == facts["asked"] * 0.25
    assert facts["tokens_in"] == 10 * facts["asked"]
    assert facts["statuses"] == {"ok": facts["calls"]}
    cached = [record["cached"] for record in records_of(folder)]
    assert cached.count(True) == cached.count(False) == facts["asked"]


def test_an_image_that_was_lost_is_drawn_again_and_judged_once(tmp_path: Path) -> None:
    folder = judge(tmp_path)
    before = figures(folder)
    image = records_of(folder)[0]["images"][0]
    (folder / "images" / f"{image}.png").unlink()
    clear()
    judge(tmp_path)
    assert [call for call in fake_world.calls if "draws" in call] == ["oracle draws 1"]
    assert toy_judges.answered == []  # it is the same picture
    assert figures(folder) == before


def test_another_picture_is_judged_anew(tmp_path: Path) -> None:
    """A verdict belongs to what was shown, not to a place in the run."""
    folder = judge(tmp_path)
    records = read_records(folder / "generations.jsonl")
    one, other = [r for r in records if r["generator"] == "oracle" and r["arm"] == "own"][:2]
    swapped = {**one, "image": other["image"]}
    with (folder / "generations.jsonl").open("a") as file:
        file.write(json.dumps(swapped) + "\n")
    toy_judges.clear()
    judge(tmp_path)
    # Both orders of the four arms that show this user's own picture.
    assert len(toy_judges.answered) == 8
    last = {record["call"]: record for record in records_of(folder)}
    asked = [record for record in last.values() if other["image"] in record["images"]]
    assert {record["user"] for record in asked} == {one["user"], other["user"]}


def test_a_picture_that_cannot_be_drawn_is_counted_and_never_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(requests: Sequence[GenerationRequest]) -> None:
        if any(r.id == "oracle/user:1000/seen-1000-0/0" for r in requests):
            raise RuntimeError("out of paint")

    with monkeypatch.context() as patch:
        patch.setattr(fake_world, "generate_error", failing)
        with pytest.raises(TooManyFailures) as caught:
            judge(tmp_path)
        assert "out of paint" in caught.value.cause
        folder = judge(tmp_path, fail_on_error=0.5)
        assert folder == caught.value.run
    found = summary_of(folder)
    assert found["n_expected"] == 3 * 2 * FEW + CALLS
    assert found["n_expected"] - found["n_ok"] == 1 + 4 * 2  # four arms show it, in two orders
    (failure,) = found["failures"]
    assert failure["item"] == "oracle/user:1000/seen-1000-0/0"
    cell = found["benchmarks"]["judge"]["seen"]["disjoint"]
    assert (cell["n"], cell["n_failed"], cell["n_expected"]) == (FEW - 1, 1, FEW)
    funnel = found["benchmarks"]["judge_funnel"]
    assert (funnel["comparisons"], funnel["drawn"], funnel["judged"]) == (10, 9, 9)
    assert funnel["excluded"] == {"an image could not be drawn": 1}
    clear()
    judge(tmp_path)
    assert len(toy_judges.answered) == 8
    assert summary_of(folder)["complete"] is True


def test_a_judge_that_fails_keeps_what_it_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Question) -> None:
        if len(toy_judges.answered) == 11:
            raise RuntimeError("no memory")

    with monkeypatch.context() as patch:
        patch.setattr(toy_judges, "before", fail)
        with pytest.raises(PpdbenchError, match="judge 'taste' failed: RuntimeError: no memory"):
            judge(tmp_path)
    judge(tmp_path)
    assert len(toy_judges.answered) == len(set(toy_judges.answered)) == CALLS


def test_another_judge_or_revision_has_a_run_of_its_own_and_draws_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = judge(tmp_path)
    clear()
    assert judge(tmp_path, judge="blind") != folder
    with monkeypatch.context() as patch:
        patch.setattr(toy_judges, "revision", "2")
        assert judge(tmp_path) != folder
    assert len(toy_judges.answered) == 2 * CALLS
    assert not any("draws" in call for call in fake_world.calls)
    spec = json.loads((folder / "spec.json").read_bytes())
    assert spec["judge"] == {"name": "taste", "revision": "1"}
    spec["judge"]["revision"] = "0"
    (folder / "spec.json").write_text(json.dumps(spec))
    with pytest.raises(FingerprintMismatch, match=r"judge\.revision"):
        judge(tmp_path)


def test_other_pictures_are_drawn_for_other_users_or_by_another_generator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge(tmp_path)
    clear()
    monkeypatch.setattr(fake_world, "revision", "2")
    judge(tmp_path)
    assert sum("draws" in call for call in fake_world.calls) > 0
    clear()
    monkeypatch.setattr(people_world, "rename", lambda user: f"1{user}")
    judge(tmp_path)
    assert sum("draws" in call for call in fake_world.calls) > 0


def test_what_was_said_can_be_replayed(tmp_path: Path) -> None:
    folder = judge(tmp_path, judge="paid")
    clear()
    again = judge(tmp_path, judge=f"replay:{folder}")
    assert again != folder and toy_judges.answered == []
    assert summary_of(again)["judge"]["cost"] == 0.0
    assert summary_of(again)["judge"]["asked"] == CALLS
    for key in ("judge", "judge_funnel", "judge_shown"):
        assert summary_of(again)["benchmarks"][key] == summary_of(folder)["benchmarks"][key]


def test_a_run_shows_the_calibration_that_it_rests_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = judge(tmp_path)

    def found() -> Any:
        assert judge(tmp_path) == folder
        return summary_of(folder)["benchmarks"]["judge_calibration"]

    none = {"reason": "no calibration of this judge by as many shots was found beside the run"}
    assert found() == none
    calibrated(tmp_path, shots=2)
    with monkeypatch.context() as patch:
        patch.setattr(toy_judges, "revision", "2")
        calibrated(tmp_path)
    calibrated(tmp_path, judge="paid")
    assert found() == none
    first = calibrated(tmp_path, choices=8)
    assert found()["folder"] == first.name
    summary = summary_of(first) | {"created": "2001-01-01T00:00:00+00:00"}
    (first / "summary.json").write_text(json.dumps(summary))
    second = calibrated(tmp_path)
    newest = found()
    assert newest.pop("folder") == second.name != first.name
    assert newest == summary_of(second)["benchmarks"]["calibration"]
    assert newest["personalised"] is True


def test_a_judge_that_failed_its_calibration_is_shown_with_it(tmp_path: Path) -> None:
    with pytest.raises(NotPersonalised):
        calibrated(tmp_path, judge="blind")
    found = summary_of(judge(tmp_path, judge="blind"))["benchmarks"]["judge_calibration"]
    assert found["personalised"] is False and found["judge"] == "blind"


def test_a_damaged_calibration_is_as_none(tmp_path: Path) -> None:
    folder = judge(tmp_path)
    path = calibrated(tmp_path) / "summary.json"
    whole = json.loads(path.read_bytes())
    for damage in ("{", "[]", "{}", json.dumps(whole | {"withheld": "too many failed"})):
        path.write_text(damage)
        judge(tmp_path)
        assert "reason" in summary_of(folder)["benchmarks"]["judge_calibration"]


def test_a_torn_record_costs_that_record_alone(tmp_path: Path) -> None:
    folder = judge(tmp_path)
    before = figures(folder)
    path = folder / FILE
    path.write_bytes(path.read_bytes()[:-40])
    clear()
    judge(tmp_path)
    assert toy_judges.answered == []
    after = figures(folder)
    assert after["benchmarks"] == before["benchmarks"]
