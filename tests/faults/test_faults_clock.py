"""The wall clock jumps by hours and days: nothing hangs, nothing counts by it, no figure moves."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from drive import Command, check_clean, run_folder
from small import EVAL, TRAIN, undisturbed

from ppdbench.benchmarks.summary_file import write_if_changed
from ppdbench.cli import results
from ppdbench.cli.console import Console
from ppdbench.rewards.file_hash import LARGE, file_sha256
from ppdbench.runs.directory import RunDirectory

FAULTED = str(Path(__file__).with_name("faulted.py"))
DAY = 86400.0


@pytest.mark.slow
@pytest.mark.parametrize("command", [EVAL, TRAIN], ids=["eval", "train-reference"])
def test_a_clock_that_jumps_all_the_time(command: Command, tmp_path: Path) -> None:
    whole = undisturbed(command, tmp_path)
    place = tmp_path / "place"
    command.prepare(place)
    jumping = replace(command, launcher=("-P", FAULTED, "jumping-clock"))
    done = jumping.finish(place)
    assert command.outcome(place) == whole
    check_clean(place)
    assert " -" not in done.err and "(-" not in done.err  # no progress of negative seconds
    for path in place.rglob("status.json"):
        seconds = json.loads(path.read_bytes())["seconds"]
        assert seconds and all(0 <= spent < 3600 for spent in seconds.values())
        said = datetime.fromisoformat(json.loads(path.read_bytes())["updated"]).timestamp()
        assert abs(said - time.time()) > 3600  # else no clock has jumped
    if command is EVAL:
        # Of what it left half is of the future now, half of the past: done is done all the same.
        page = run_folder(place) / "report.html"
        before = page.read_bytes(), (run_folder(place) / "summary.json").read_bytes()
        for number, path in enumerate(sorted(run_folder(place).iterdir())):
            at = time.time() + (-9 if number % 2 else 9) * DAY
            os.utime(path, (at, at))
        command.finish(place)
        assert (page.read_bytes(), (run_folder(place) / "summary.json").read_bytes()) == before


def test_the_page_of_an_older_summary_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made before the clock was set back, the page is younger than the summary that comes next."""
    shown: list[Any] = []

    def write_page(folder: Path) -> None:
        shown.append(json.loads((folder / "summary.json").read_bytes())["figure"])
        (folder / "report.html").write_text("page")

    monkeypatch.setattr(results, "write_page", write_page)

    def summarise(figure: int) -> Mapping[str, Any]:
        with RunDirectory.at(tmp_path / "run", {"model": "m"}) as run, Console(quiet=True) as told:
            return write_if_changed(run, {"of": figure}, lambda: {"figure": figure}, told)

    with Console(quiet=True) as told:
        summarise(1)
        results.write_report_if_older(tmp_path / "run", told)
        later = time.time() + 9 * DAY
        os.utime(tmp_path / "run" / "report.html", (later, later))
        summarise(1)  # nothing has changed: the page stays
        results.write_report_if_older(tmp_path / "run", told)
        assert shown == [1]
        summarise(2)
        results.write_report_if_older(tmp_path / "run", told)
    assert shown == [1, 2]


@pytest.mark.parametrize("hours", [-1000, -1, 1, 1000])
def test_hashes_are_remembered_by_no_clock(
    hours: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large file that is written to again is hashed again, whatever the clock says then."""
    monkeypatch.setenv("PPDBENCH_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(LARGE)
    settled = time.time() - 3 * DAY
    os.utime(path, (settled, settled))
    real = time.time
    first = file_sha256(path)
    monkeypatch.setattr(time, "time", lambda: real() + hours * 3600)
    assert file_sha256(path) == first
    with path.open("r+b") as file:
        file.write(b"x")
    os.utime(path, (settled, settled))  # as a copy that keeps times leaves it
    assert file_sha256(path) != first
