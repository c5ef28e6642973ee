"""A killed judge, asked on by the same command: no reply is lost, none is paid for twice."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import judged_town
from judged_town import records_of
from toy_judges import COST
from toy_runs import figures, summary_of

CALLS = 5 * 2 * 4 * 2
SECONDS_A_CALL = 0.02
KILLS = 10


def start(folder: Path) -> subprocess.Popen[str]:
    """Begin to judge, with a cache of its own; returns once its imports are done."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, judged_town.__file__, str(folder), str(SECONDS_A_CALL)]
    found = os.pathsep.join(path or "." for path in sys.path)  # the child sees what this one sees
    process = subprocess.Popen(
        [*command, str(log_of(folder))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": found, "PPDBENCH_CACHE": str(folder / "cache")},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def finish(process: subprocess.Popen[str]) -> Path:
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return Path(output.strip())


def log_of(folder: Path) -> Path:
    return folder / "answered"


def answered(folder: Path) -> list[str]:
    """Digests of the questions that the judge answered, by the judge itself."""
    return log_of(folder).read_text().split() if log_of(folder).is_file() else []


def recorded(folder: Path) -> list[str]:
    return [
        record["question"] for path in folder.glob("runs/town/*") for record in records_of(path)
    ]


def test_killed_at_random_moments(tmp_path: Path) -> None:
    whole = finish(start(tmp_path / "whole"))
    killed = tmp_path / "killed"
    rng = random.Random(0)
    amid = 0
    for _ in range(KILLS):
        process = start(killed)
        time.sleep(rng.uniform(0.1, 0.5))  # ten of them: about as long as the work takes
        process.kill()
        process.communicate()
        said, kept = answered(killed), recorded(killed)
        assert len(kept) == len(set(kept))
        assert len(set(said) - set(kept)) <= 1  # the reply that was on its way
        amid += 0 < len(kept) < CALLS
    assert amid >= 3, "no kill fell into the judging"
    folder = finish(start(killed))
    assert figures(folder) == figures(whole)
    facts = summary_of(folder)["judge"]
    assert (facts["calls"], facts["asked"], facts["cost"]) == (CALLS, CALLS, CALLS * COST)
    times = Counter(answered(killed))
    assert len(times) == CALLS and times.total() <= CALLS + KILLS
    assert not list(folder.glob("**/*.part"))
