"""Judged by several processes: each call asked by one of them, figures as alone; two runs, refused.

Processes under a launcher share one run; commands that were started twice do not.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections import Counter
from pathlib import Path

import pytest
import toy_judges
from judged_town import FEW, calibrated, judge, records_of, use_judges
from town_command import LAUNCH, answered, codes, start
from toy_batches import requests_of
from toy_runs import figures, summary_of

from ppdbench.judges.on_record import FILE
from ppdbench.judges.store import default_path
from ppdbench.runs.records import read_records

SPACE = 300
"""Seconds that two processes may take to start, work and end."""
CALLS = 5 * 2 * FEW * 2


@pytest.fixture(autouse=True)
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The cache in the folder is that of this process and of those that it starts."""
    use_judges(monkeypatch, tmp_path)


def together(folder: Path, line: str) -> tuple[int, str, str]:
    """Run a command by two processes; the launcher's exit code, and what they printed."""
    process = start(folder, f"{line} --suite town --device cpu".split(), launch=LAUNCH)
    out, err = process.communicate(timeout=SPACE)
    return process.returncode, out, err


def judged_together(folder: Path, line: str) -> tuple[int, str, str]:
    return together(folder, f"judge --baseline plain --limit {FEW} {line}")


def of(folder: Path, kind: str) -> Path:
    (found,) = (folder / "town").glob(f"*{kind}*")
    return found


def fresh_cache(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """Nothing that was asked or embedded before is known."""
    monkeypatch.setenv("PPDBENCH_CACHE", str(path))
    toy_judges.clear()


def check_shared(folder: Path, run: Path) -> None:
    """One record a call; each question answered by one process, and both worked."""
    records = read_records(run / FILE)
    assert len(records) == len({record["call"] for record in records})
    shares = answered(folder)
    assert len(shares) == 2 and all(shares)
    assert Counter(record["question"] for record in records if not record["cached"]) == Counter(
        digest for share in shares for digest in share
    )


@pytest.mark.slow
def test_two_processes_judge_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model's users are embedded by both, too, and only the first one draws and prints."""
    folder = tmp_path / "two"
    code, out, err = judged_together(folder, "--model embedder --judge taste --json")
    assert code == 0, err
    assert codes(folder) == [0, 0]
    run = of(folder, "judge")
    assert json.loads(out) == summary_of(run)
    check_shared(folder, run)
    fresh_cache(monkeypatch, tmp_path / "cache of one")
    alone = judge(tmp_path / "one", model="embedder")
    assert figures(run) == figures(alone)
    assert {r["call"]: r["choice"] for r in records_of(run)} == {
        r["call"]: r["choice"] for r in records_of(alone)
    }


@pytest.mark.slow
def test_two_processes_agree_on_what_is_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one takes pictures over while the other looks: both must embed the same users."""
    folder = tmp_path / "two"
    beside = judge(tmp_path, model="embedder", limit=2)
    folder.joinpath("town").mkdir(parents=True)
    shutil.move(beside, folder / "town" / beside.name)
    fresh_cache(monkeypatch, tmp_path / "cache of two")
    code, _, err = judged_together(folder, "--model embedder --judge blind")
    assert code == 0, err
    (run,) = {path.parent for path in (folder / "town").glob(f"*/{FILE}")} - {
        folder / "town" / beside.name
    }
    check_shared(folder, run)
    fresh_cache(monkeypatch, tmp_path / "cache of one")
    assert figures(run) == figures(judge(tmp_path / "one", model="embedder", judge="blind"))
    # Now all of it is beside: nothing is embedded, by either.
    code, _, err = judged_together(folder, "--model embedder --judge taste --no-controls")
    assert code == 0, err


@pytest.mark.slow
def test_two_processes_calibrate_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "two"
    code, _, err = together(folder, "calibrate --judge taste")
    assert code == 0, err
    run = of(folder, "calibrate")
    records = read_records(run / FILE)
    assert len(records) == len({record["call"] for record in records})
    own = [r["question"] for r in records if r["judge"] == "taste" and not r["cached"]]
    assert Counter(own) == Counter(digest for share in answered(folder) for digest in share)
    fresh_cache(monkeypatch, tmp_path / "cache of one")
    assert figures(run) == figures(calibrated(tmp_path / "one"))


@pytest.mark.slow
def test_under_a_budget_the_first_process_asks_alone(tmp_path: Path) -> None:
    """The cache has the answers to every second call; the others are to be paid for."""
    alone = judge(tmp_path / "one", judge="paid")
    unknown = [bytes.fromhex(r["key"]) for r in records_of(alone) if r["order"] == 1]
    with sqlite3.connect(default_path()) as connection:
        connection.executemany("DELETE FROM kept WHERE key = ?", [(key,) for key in unknown])
    toy_judges.clear()
    folder = tmp_path / "two"
    line = "--model oracle --judge paid --max-cost"
    code, _, err = judged_together(folder, f"{line} 2.5")  # ten calls
    assert code != 0
    assert codes(folder) == [5, 0], err  # the other waits for nothing and has nothing to say
    assert err.count("error: a call costs $0.25") == 1
    run = of(folder, "judge")
    records = read_records(run / FILE)
    assert [r["cached"] for r in records] == [True] * (CALLS // 2) + [False] * 10
    told = summary_of(run)
    assert told["withheld"].startswith(f"{CALLS // 2 + 10} of {CALLS} calls have a verdict")
    assert told["judge"]["cost"] == 2.5
    code, _, err = judged_together(folder, f"{line} 100")
    assert code == 0, err
    assert codes(folder) == [0, 0]
    assert [len(share) for share in answered(folder)] in ([CALLS // 2], [CALLS // 2, 0])
    assert len(unknown) == CALLS // 2
    assert summary_of(run)["benchmarks"] == summary_of(alone)["benchmarks"]
    assert summary_of(run)["judge"]["cost"] == 12.5


@pytest.mark.slow
@pytest.mark.parametrize("line", ["judge --model embedder --baseline plain --limit 3", "calibrate"])
def test_one_process_writes_a_batch_and_the_other_ends(tmp_path: Path, line: str) -> None:
    folder, path = tmp_path / "two", tmp_path / "calls.jsonl"
    code, out, err = together(folder, f"{line} --judge sender --batch-out {path}")
    assert code == 0, err
    assert codes(folder) == [0, 0] and out == ""
    (run,) = (folder / "town").iterdir()
    assert not (run / "summary.json").exists() and read_records(run / FILE) == []
    assert len(requests_of(path)) == (60 if line.startswith("judge") else 798)


@pytest.mark.slow
def test_a_command_started_twice_works_on_a_run_once(tmp_path: Path) -> None:
    line = f"judge --suite town --device cpu --model oracle --baseline plain --limit {FEW}"
    both = [
        start(tmp_path / "runs", [*line.split(), "--judge", "taste"], seconds=0.03)
        for _ in range(2)
    ]
    said = [(*process.communicate(timeout=SPACE), process.returncode) for process in both]
    said.sort(key=lambda each: each[-1])
    assert [code for *_, code in said] == [0, 1]
    assert "another process works on this run" in said[1][1] and said[1][0] == ""
    records = records_of(of(tmp_path / "runs", "judge"))
    assert len(records) == len({record["call"] for record in records}) == CALLS
    (once,) = answered(tmp_path / "runs")
    assert len(once) == len(set(once)) == CALLS
