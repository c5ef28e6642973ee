"""Curves on record: from one run's folder into another run's figures, and a killed run goes on."""

from __future__ import annotations

import json
import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fake_world
import pytest
from test_benchmarks_kill import figures, finish
from test_benchmarks_kill import start as begin
from toy_runs import run as run_toy
from toy_runs import summary_of, use_toy_world
from typer.testing import CliRunner

from ppdbench.benchmarks.tradeoff.plan import DIVERGENCE_SAMPLES, SAMPLES
from ppdbench.benchmarks.tradeoff.record import record_curves
from ppdbench.cli import app
from ppdbench.errors import PpdbenchError, UsageError
from ppdbench.runs.records import read_records


@pytest.fixture(autouse=True)
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    use_toy_world(monkeypatch, tmp_path)
    monkeypatch.setattr(fake_world, "embeds", True)
    yield


def run(tmp_path: Path, *models: str, **options: Any) -> Path:
    return run_toy(tmp_path, *models, benchmarks=("tradeoff",), **options)


def tradeoff_of(folder: Path) -> Any:
    return summary_of(folder)["benchmarks"]["tradeoff"]


def test_recorded_checkpoints_stand_beside_drawn_ones(tmp_path: Path) -> None:
    drawn = run(tmp_path, "at:10", "at:20", "diverging", "at:20/1", "at:10/1")
    out = tmp_path / "leaderboards" / "toy"
    file, names = record_curves(drawn, out)
    assert names == ["at-10", "at-20", "diverging", "at-20-seed-1", "at-10-seed-1"]
    assert file == out / "tradeoff.jsonl"
    found = tradeoff_of(run(tmp_path / "later", "at:15"))
    before = {(p["row"], p["user"]): p for p in tradeoff_of(drawn)["points"]}
    recorded = [p for p in found["points"] if p["source"] == "recorded"]
    assert [p["row"] for p in found["points"][:3]] == ["plain", "at-15", "at-15"]
    assert len(recorded) == 10
    for point in recorded:
        fresh = before[point["row"], point["user"]]
        for key in (
            "divergence",
            "divergence_ci_low",
            "diversity",
            "diversity_difference",
            "by_step",
        ):
            assert point[key] == pytest.approx(fresh[key], rel=1e-4, abs=1e-8)
        for reward, cell in point["rewards"].items():
            assert cell == pytest.approx(fresh["rewards"][reward], rel=1e-4)
        same = ("curve", "method", "labels", "beta", "step", "steps", "seed", "n_samples")
        assert {key: point[key] for key in same} == {key: fresh[key] for key in same}
    assert found["curves"]["push, beta 2"]["steps"] == [10, 15, 20, 30]
    (entry,) = found["matched"]["divergence"]["green"]
    assert [other["between"] for other in entry["others"]] == [["at-10-seed-1", "at-20-seed-1"]]


def test_what_is_drawn_takes_the_place_of_what_is_recorded(tmp_path: Path) -> None:
    """By its weights, whatever its name; and by its place in its training."""
    drawn = run(tmp_path, "diverging", "at:10")
    record_curves(drawn, tmp_path / "leaderboards" / "toy")
    again = tradeoff_of(run(tmp_path / "again", "diverging"))
    assert [(p["row"], p["source"]) for p in again["points"][1:]] == [
        ("diverging", "fresh"),
        ("diverging", "fresh"),
        ("at-10", "recorded"),
        ("at-10", "recorded"),
    ]
    other = tradeoff_of(run(tmp_path / "other", "at:10"))
    assert {p["row"] for p in other["points"] if p["source"] == "recorded"} == {"diverging"}


def test_other_curves_on_record_are_another_summary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run(tmp_path, "at:15")
    assert len(tradeoff_of(folder)["points"]) == 3
    record_curves(run(tmp_path / "other", "at:20"), tmp_path / "leaderboards" / "toy")
    run(tmp_path, "at:15")
    assert len(tradeoff_of(folder)["points"]) == 5
    monkeypatch.setattr(fake_world.ToySuite, "digest", "e" * 64)
    events = fake_world.Quiet()
    folder = run(tmp_path, "at:15", events=events)
    assert len(tradeoff_of(folder)["points"]) == 3
    assert events.notes == [
        "the curves on record are left out: they were measured on another version of the suite"
    ]


def test_only_whole_runs_of_the_benchmark_are_recorded(tmp_path: Path) -> None:
    folder = run(tmp_path, "at:15")
    with pytest.raises(UsageError, match="at-51"):
        record_curves(folder, tmp_path, ["at-51"])
    with pytest.raises(UsageError, match="plain"):
        record_curves(folder, tmp_path, ["plain"])  # the baseline is in every run
    with pytest.raises(PpdbenchError, match="does not hold benchmark tradeoff"):
        record_curves(run(tmp_path, "at:15", limit=3), tmp_path)
    with pytest.raises(PpdbenchError, match="does not hold benchmark tradeoff"):
        record_curves(run_toy(tmp_path, "tuned"), tmp_path)
    assert not (tmp_path / "tradeoff.jsonl").exists()


def test_the_command_says_what_it_recorded(tmp_path: Path) -> None:
    folder, out = run(tmp_path, "at:15", "tuned"), tmp_path / "rows"
    line = ["leaderboard", "curves", str(folder), "--out", str(out), "--model", "tuned", "--json"]
    done = CliRunner().invoke(app, line)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == {"recorded": ["tuned"], "file": str(out / "tradeoff.jsonl")}
    header = json.loads((out / "tradeoff.jsonl").read_text().splitlines()[0])
    assert header["rows"]["tuned"]["reason"] == "tuned does not tell its divergence"
    assert header["rows"]["tuned"]["checkpoint"] is None
    nowhere = CliRunner().invoke(app, ["leaderboard", "curves", str(out), "--out", str(out)])
    assert nowhere.exit_code == 2


# --- a killed run ---------------------------------------------------------------------------------


def start(runs: Path) -> subprocess.Popen[str]:
    return begin(runs, "diverging", "tradeoff", seconds=0.005)


def test_killed_at_random_moments(tmp_path: Path) -> None:
    whole = finish(start(tmp_path / "whole"))
    rng = random.Random(0)
    stages = set()
    for _ in range(10):
        process = start(tmp_path / "killed")
        time.sleep(rng.uniform(0, 0.8))
        process.kill()
        process.communicate()
        for path in (tmp_path / "killed").glob("toy/*/status.json"):
            stages.add(json.loads(path.read_bytes())["stage"])
    assert stages & {"generate", "measure", "divergence", "diversity"}, "no kill fell into the work"
    folder = finish(start(tmp_path / "killed"))
    assert figures(folder) == figures(whole)
    measured = [r["item"] for r in read_records(folder / "divergence.jsonl")]
    users = len(fake_world.CHANNELS)
    assert len(measured) == len(set(measured)) == 12 * users * DIVERGENCE_SAMPLES
    spread = [
        (r["generator"], r["user"], r["caption_id"])
        for r in read_records(folder / "diversity.jsonl")
    ]
    assert len(spread) == len(set(spread)) == 12 * (users + 1)
    drawn = [r["item"] for r in read_records(folder / "generations.jsonl")]
    assert len(drawn) == len(set(drawn)) == 12 * (users + 1) * SAMPLES
