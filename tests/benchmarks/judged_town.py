"""Judged runs and calibrations over the toy world with people; for the tests of `benchmarks/`.

As a script it judges that world, slowly enough to be killed:
`python judged_town.py FOLDER SECONDS_A_CALL LOG`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import fake_world
import people_world
import pytest
import toy_judges
from town_runs import use_town
from toy_runs import summary_of

from ppdbench import plugins
from ppdbench.benchmarks.calibration.job import CalibrationRequest
from ppdbench.benchmarks.calibration.run import calibrate
from ppdbench.benchmarks.judge import summary  # noqa: F401 - at once, not while somebody waits
from ppdbench.benchmarks.judge.job import JudgeChoice, JudgeRequest
from ppdbench.benchmarks.judge.run import run_judge
from ppdbench.judges.on_record import FILE
from ppdbench.runs.records import read_records

FEW = 5
"""Users a split."""
CHOICE = frozenset(JudgeChoice.__dataclass_fields__) - {"name"}


def use_judges(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The town, and nothing that was asked before; a fixture where a test module says so."""
    use_town(monkeypatch, tmp_path)
    toy_judges.clear()


def request(**options: Any) -> JudgeRequest:
    """A request by the names of its fields and of its judge's; `judge` is a name."""
    of_judge = {name: options.pop(name) for name in CHOICE & options.keys()}
    options.setdefault("model", "oracle")
    options.setdefault("baseline", None)
    options.setdefault("limit", FEW)
    choice = JudgeChoice(name=options.pop("judge", "taste"), **of_judge)
    return JudgeRequest(suite="town", device="cpu", judge=choice, **options)


def judge(tmp_path: Path, **options: Any) -> Path:
    """A judged run; returns its folder."""
    own = {
        name: options.pop(name)
        for name in ("events", "fail_on_error", "batch_size")
        if name in options
    }
    own.setdefault("events", fake_world.Quiet())
    folder = run_judge(request(**options), runs=tmp_path / "runs", **own)
    assert folder is not None
    return folder


def judged(tmp_path: Path, **options: Any) -> Any:
    """The figures of a judged run, by split."""
    return summary_of(judge(tmp_path, **options))["benchmarks"]["judge"]


def calibrated(tmp_path: Path, **options: Any) -> Path:
    """A calibration; returns its folder."""
    own = {name: options.pop(name) for name in ("events", "fail_on_error") if name in options}
    own.setdefault("events", fake_world.Quiet())
    of_judge = {name: options.pop(name) for name in CHOICE & options.keys()}
    choice = JudgeChoice(name=options.pop("judge", "taste"), **of_judge)
    asked = CalibrationRequest(suite="town", device="cpu", judge=choice, **options)
    folder = calibrate(asked, runs=tmp_path / "runs", **own)
    assert folder is not None
    return folder


def records_of(folder: Path) -> list[dict[str, Any]]:
    """One a call."""
    return read_records(folder / FILE)


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file of a run but status.json, by its place."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "status.json"
    }


if __name__ == "__main__":
    plugins.entry_points = people_world.entry_points
    toy_judges.sleep, toy_judges.log = float(sys.argv[2]), Path(sys.argv[3])
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdout.write(f"{judge(Path(sys.argv[1]), judge='paid', limit=4)}\n")
