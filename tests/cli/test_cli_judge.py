"""`judge` and `calibrate` pass on what was typed, and end with the exit code of what happened."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ppdbench.benchmarks.calibration.job import CalibrationRequest
from ppdbench.benchmarks.calibration.run import NotPersonalised
from ppdbench.benchmarks.guard import TooManyFailures
from ppdbench.benchmarks.judge.job import JudgeChoice, JudgeRequest
from ppdbench.cli import app
from ppdbench.errors import BudgetReached, Interrupted, PpdbenchError, UsageError

COST = {
    "folder": "somewhere",
    "judge": "openai:m",
    "calls": 4690,
    "calls_left": 1000,
    "images_to_draw": 3,
    "images_shown": 46900,
    "tokens_in": 1234567,
    "tokens_out": 5000,
    "cost": 12.345,
    "arms": ["shared"],
}

SUMMARY = {
    "schema_version": 1,
    "suite": "town",
    "suite_version": "1",
    "model": "a",
    "generators": {},
    "benchmarks": {},
}


@pytest.fixture
def rooms(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """What is behind the commands, replaced by what notes its call and raises what a test wants."""
    found: dict[str, Any] = {"pages": [], "raise": None, "cost": COST}
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "summary.json").write_text(json.dumps(SUMMARY))

    def note(name: str) -> Any:
        def work(request: Any, **told: Any) -> Path:
            told.pop("events")
            found[name] = (request, told)
            if found["raise"] is not None:
                raise found["raise"](folder)
            return folder

        return work

    def cost(request: Any, **told: Any) -> Any:
        found["asked what it costs"] = (request, told.pop("runs"))
        return found["cost"]

    def write_report(run: Path) -> Path:
        found["pages"].append(run)
        return run / "report.html"

    monkeypatch.setattr("ppdbench.benchmarks.judge.run.run_judge", note("judge"))
    monkeypatch.setattr("ppdbench.benchmarks.judge.cost.judge_cost", cost)
    monkeypatch.setattr("ppdbench.benchmarks.calibration.run.calibrate", note("calibrate"))
    monkeypatch.setattr("ppdbench.reports.html.write_report", write_report)
    monkeypatch.setattr("ppdbench.reports.tables.eval_table", lambda _: "the table")
    found["folder"] = folder
    return found


def test_judge_passes_on_what_was_typed(rooms: dict[str, Any], tmp_path: Path) -> None:
    line = (
        "judge --model a --baseline b --judge openai:m --shots 2 --split seen --judge-shots shared "
        "--no-controls --suite town --pairs p.parquet --vlm v --base-url http://localhost:1/v1 "
        "--concurrency 3 --timeout 7.5 --price 2.50,10 --max-cost 3 --full --limit 5 --samples 2 "
        f"--device cpu --batch-size 9 --fail-on-error 0.25 --runs {tmp_path}"
    )
    done = CliRunner().invoke(app, line.split())
    assert done.exit_code == 0, done.output
    request, told = rooms["judge"]
    assert request == JudgeRequest(
        model="a",
        baseline="b",
        suite="town",
        pairs=Path("p.parquet"),
        vlm="v",
        judge=JudgeChoice(
            name="openai:m",
            base_url="http://localhost:1/v1",
            concurrency=3,
            timeout=7.5,
            price=(2.5, 10.0),
            max_cost=3.0,
        ),
        shots=2,
        judge_shots="shared",
        controls=False,
        split="seen",
        full=True,
        limit=5,
        samples=2,
        device="cpu",
    )
    assert told.pop("runs") == tmp_path
    assert (told["batch_size"], told["fail_on_error"]) == (9, 0.25)
    assert rooms["pages"] == [rooms["folder"]]
    assert "the table" in done.stdout


def test_judge_needs_no_key_no_network_and_no_flag(rooms: dict[str, Any]) -> None:
    """The defaults are the issue's: ppd against the suite's baseline, by the local model."""
    assert CliRunner().invoke(app, ["judge"]).exit_code == 0
    request, _ = rooms["judge"]
    assert request == JudgeRequest(
        model="ppd", baseline=None, suite="shapes", judge=JudgeChoice(name="vlm")
    )
    assert (request.shots, request.judge_shots, request.split) == (4, "both", "all")
    assert request.controls is True and request.judge.max_cost is None


def test_calibrate_passes_on_what_was_typed(rooms: dict[str, Any], tmp_path: Path) -> None:
    line = (
        "calibrate --judge few-shot --shots 8 --suite town --limit 7 --choices 3 --device cpu "
        f"--price 1,2 --max-cost 0 --fail-on-error 0.5 --runs {tmp_path}"
    )
    done = CliRunner().invoke(app, line.split())
    assert done.exit_code == 0, done.output
    request, told = rooms["calibrate"]
    assert request == CalibrationRequest(
        suite="town",
        judge=JudgeChoice(name="few-shot", price=(1.0, 2.0), max_cost=0.0),
        shots=8,
        limit=7,
        choices=3,
        device="cpu",
    )
    assert (told["runs"], told["fail_on_error"]) == (tmp_path, 0.5)


@pytest.mark.parametrize(
    ("command", "error", "code"),
    [
        ("judge", BudgetReached, 5),
        ("judge", TooManyFailures, 1),
        ("calibrate", BudgetReached, 5),
        ("calibrate", TooManyFailures, 1),
        ("calibrate", NotPersonalised, 1),
    ],
)
def test_what_is_written_is_shown_before_the_error(
    rooms: dict[str, Any], command: str, error: Any, code: int
) -> None:
    rooms["raise"] = lambda run: error("judge x is not personalised", fix="take another", run=run)
    done = CliRunner().invoke(app, [command, "--json"])
    assert done.exit_code == code
    assert json.loads(done.stdout) == SUMMARY
    assert rooms["pages"] == [rooms["folder"]] and "the table" in done.stderr
    assert done.stderr.endswith("error: judge x is not personalised\n  fix: take another\n")


@pytest.mark.parametrize("command", ["judge", "calibrate"])
@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PpdbenchError("no", fix="mend"), 1),
        (UsageError("no", fix="mend"), 2),
        (BudgetReached("no", fix="mend"), 5),
        (Interrupted("no", fix="mend"), 130),
    ],
)
def test_what_ends_before_a_run_shows_none(
    rooms: dict[str, Any], command: str, error: Any, code: int
) -> None:
    rooms["raise"] = lambda _: error
    done = CliRunner().invoke(app, [command])
    assert done.exit_code == code and done.stdout == ""
    assert done.stderr.endswith("error: no\n  fix: mend\n") and rooms["pages"] == []


def test_a_price_that_makes_no_sense_reaches_nobody(rooms: dict[str, Any]) -> None:
    done = CliRunner().invoke(app, ["judge", "--price", "free"])
    assert done.exit_code == 2
    assert done.stderr.splitlines()[0] == "error: --price 'free' is no pair of prices"
    assert "judge" not in rooms


def test_a_dry_run_says_what_it_would_take_and_runs_nothing(
    rooms: dict[str, Any], tmp_path: Path
) -> None:
    line = ["judge", "--dry-run", "--shots", "3", "--runs", str(tmp_path)]
    done = CliRunner().invoke(app, line)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == [
        "judge: openai:m",
        "calls: 4,690, of which 1,000 have no verdict yet",
        "images: 3 to draw, 46,900 to show",
        "tokens: 1,234,567 read and 5,000 written at most, if no call is tried again",
        "cost: $12.35 for so many",
    ]
    request, runs = rooms["asked what it costs"]
    assert (request.shots, runs) == (3, tmp_path)
    assert "judge" not in rooms and rooms["pages"] == []
    done = CliRunner().invoke(app, [*line, "--json"])
    assert json.loads(done.stdout) == COST and "calls: 4,690" in done.stderr


def test_a_dry_run_says_what_is_not_known(rooms: dict[str, Any]) -> None:
    rooms["cost"] = COST | {"tokens_in": None, "cost": None}
    done = CliRunner().invoke(app, ["judge", "--dry-run"])
    assert done.stdout.splitlines()[-2:] == [
        "tokens: not known",
        "cost: not known: --price IN,OUT",
    ]
    rooms["cost"] = COST | {"cost": 0.0}
    done = CliRunner().invoke(app, ["judge", "--dry-run"])
    assert done.stdout.splitlines()[-1] == "cost: $0.00 for so many"
