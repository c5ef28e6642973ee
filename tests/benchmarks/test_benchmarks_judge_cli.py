"""The commands over the toy world: exit codes, the page, the words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import toy_judges
from judged_town import use_judges
from typer.testing import CliRunner, Result

from ppdbench.cli import app

world = pytest.fixture(autouse=True)(use_judges)


def invoke(tmp_path: Path, line: str) -> Result:
    runs = str(tmp_path / "runs")
    words = [*line.split(), "--suite", "town", "--device", "cpu", "--runs", runs]
    return CliRunner().invoke(app, words)


def test_a_judged_run_ends_with_its_page_and_again_changes_nothing(tmp_path: Path) -> None:
    line = "judge --model oracle --judge taste --limit 5 --json"
    done = invoke(tmp_path, line)
    assert done.exit_code == 0, done.output
    summary = json.loads(done.stdout)
    assert summary["benchmarks"]["judge"]["all"]["win_rate"] is not None
    (page,) = tmp_path.glob("runs/town/oracle-judge-*/report.html")
    text = page.read_text(encoding="utf-8")
    assert "taste" in text and "first_pick" not in text
    before = page.stat().st_mtime_ns
    toy_judges.clear()
    assert invoke(tmp_path, line).exit_code == 0
    assert toy_judges.answered == [] and page.stat().st_mtime_ns == before


def test_a_calibration_ends_with_its_page(tmp_path: Path) -> None:
    done = invoke(tmp_path, "calibrate --judge taste")
    assert done.exit_code == 0, done.output
    (page,) = tmp_path.glob("runs/town/calibrate-taste-*/report.html")
    assert "taste" in page.read_text(encoding="utf-8")


def test_a_judge_that_ignores_shots_exits_1_with_the_words(tmp_path: Path) -> None:
    done = invoke(tmp_path, "calibrate --judge blind")
    assert done.exit_code == 1
    assert "error: blind is not personalised: " in done.stderr
    (page,) = tmp_path.glob("runs/town/calibrate-blind-*/report.html")
    assert "not personalised" in page.read_text(encoding="utf-8")


def test_the_budgets_end_exits_5_and_a_higher_one_goes_on(tmp_path: Path) -> None:
    line = "judge --model oracle --judge paid --limit 3 --no-controls"
    done = invoke(tmp_path, f"{line} --max-cost 2.1")
    assert done.exit_code == 5
    assert done.stderr.endswith("error: a call costs $0.25\n  fix: raise --max-cost\n")
    assert len(toy_judges.answered) == 8
    assert list(tmp_path.glob("runs/town/oracle-judge-*/report.html"))
    assert invoke(tmp_path, f"{line} --max-cost 100").exit_code == 0
    assert len(toy_judges.answered) == len(set(toy_judges.answered)) == 24


def test_refusals_exit_1_and_are_allowed_by_a_share(tmp_path: Path) -> None:
    line = "judge --model oracle --judge refuser --limit 5"
    done = invoke(tmp_path, line)
    assert done.exit_code == 1 and "images and calls failed" in done.stderr
    assert invoke(tmp_path, f"{line} --fail-on-error 1").exit_code == 0


def test_a_dry_run_over_the_town(tmp_path: Path) -> None:
    done = invoke(tmp_path, "judge --model oracle --judge paid --limit 5 --dry-run")
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[:2] == [
        "judge: paid",
        "calls: 100, of which 100 have no verdict yet",
    ]
    assert done.stdout.splitlines()[-1] == "cost: $25.00 for so many"
    assert not (tmp_path / "runs").exists()
