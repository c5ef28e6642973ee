"""A killed evaluation, taken up by the same command, ends where an undisturbed one ends."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import fake_world
import pytest

from ppdbench.runs.records import read_records

ITEMS = fake_world.CAPTIONS * (len(fake_world.CHANNELS) + 1)
SECONDS_AN_IMAGE = 0.04


def start(runs: Path, *what: str, seconds: float = SECONDS_AN_IMAGE) -> subprocess.Popen[str]:
    """Begin an evaluation; returns once its imports are done. `what`: as the script takes it."""
    command = [sys.executable, fake_world.__file__, str(runs), str(seconds), *what]
    found = os.pathsep.join(path or "." for path in sys.path)  # the child sees what this one sees
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": found},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def finish(process: subprocess.Popen[str]) -> Path:
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return Path(output.strip())


def figures(folder: Path) -> Any:
    found = json.loads((folder / "summary.json").read_bytes())
    return {k: v for k, v in found.items() if k not in ("created", "seconds", "inputs")}


def check_no_item_twice(folder: Path) -> None:
    items = [record["item"] for record in read_records(folder / "generations.jsonl")]
    assert len(items) == len(set(items)) == ITEMS
    scored = [(r["item"], r["scorer"]) for r in read_records(folder / "scores.jsonl")]
    assert len(scored) == len(set(scored))
    assert len(scored) == 5 * ITEMS  # four rewards and the classifier


def test_killed_at_random_moments(tmp_path: Path) -> None:
    whole = finish(start(tmp_path / "whole"))
    rng = random.Random(0)
    stages = set()
    for _ in range(10):
        process = start(tmp_path / "killed")
        time.sleep(rng.uniform(0, 0.4))  # ten of them: about as long as the work takes
        process.kill()
        process.communicate()
        for path in (tmp_path / "killed").glob("toy/*/status.json"):
            stages.add(json.loads(path.read_bytes())["stage"])
    assert stages & {"generate", "measure"}, "no kill fell into the work"
    folder = finish(start(tmp_path / "killed"))
    assert figures(folder) == figures(whole)
    check_no_item_twice(folder)
    assert not list(folder.glob("**/*.part"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_stop(tmp_path: Path, number: signal.Signals) -> None:
    process = start(tmp_path)
    time.sleep(0.4)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "run the same command again" in errors
    assert "Traceback" not in errors
    (status,) = tmp_path.glob("toy/*/status.json")
    assert json.loads(status.read_bytes())["state"] == "interrupted"
    check_no_item_twice(finish(start(tmp_path)))


def test_two_at_once_on_one_run(tmp_path: Path) -> None:
    processes = [start(tmp_path), start(tmp_path)]
    outcomes = sorted(
        (process.returncode, errors)
        for process in processes
        for _, errors in [process.communicate(timeout=120)]
    )
    assert [code for code, _ in outcomes] == [0, 1]
    assert "another process works on this run" in outcomes[1][1]
    check_no_item_twice(finish(start(tmp_path)))
