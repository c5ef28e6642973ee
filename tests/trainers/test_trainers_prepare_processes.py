"""`ppdbench data prepare` killed, run twice at once and launched: each shard is made once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from tiny_prepare import SHARD_PAIRS, write_source

from ppdbench.data.selection import read_selection

HERE = Path(__file__).parent
SCRIPT = HERE / "tiny_prepare.py"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    write_source(tmp_path / "p.parquet")
    return tmp_path


def start(
    place: Path, base: Path, what: str, number: int, out: str = "out", *, launch: int = 1
) -> subprocess.Popen[str]:
    """A process, or `launch` of them, that prepares into `out`."""
    launcher = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes",
                str(launch), "--main_process_port", "0"]  # fmt: skip
    words = [sys.executable, *(launcher if launch > 1 else []), str(SCRIPT), what, str(number),
             "p.parquet", "--out", out, "--base", str(base), "--users", "onehot", "--device", "cpu",
             "--json"]  # fmt: skip
    known = {name: value for name, value in os.environ.items() if not name.startswith("PPDBENCH")}
    env = {**known, "PPDBENCH_CACHE": str(place / "cache"), "PYTHONPATH": str(HERE)}
    return subprocess.Popen(
        words, cwd=place, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def done(process: subprocess.Popen[str], code: int = 0) -> str:
    out, said = process.communicate(timeout=300)
    assert process.returncode == code, said
    return out


def made(place: Path) -> Counter[str]:
    """First pairs of the shards of images that were made, by any process."""
    logs = place.glob("made-*")
    return Counter(line for log in logs for line in log.read_text().split())


def content(place: Path, out: str) -> dict[str, bytes]:
    """Every tensor's file of what was prepared."""
    files = (place / out).rglob("*.safetensors")
    return {file.relative_to(place / out).as_posix(): file.read_bytes() for file in files}


def all_shards(place: Path, out: str = "out") -> int:
    counts = [len(read_selection(file)) for file in (place / out).glob("*.rows.parquet")]
    return sum(-(-count // SHARD_PAIRS) for count in counts)


@pytest.mark.slow
def test_a_killed_process_goes_on_at_its_next_shard(place: Path, tiny_base_folder: Path) -> None:
    done(start(place, tiny_base_folder, "kill", 4), -signal.SIGKILL)
    before = {file: file.stat().st_mtime_ns for file in (place / "out").rglob("images-*")}
    assert len(before) == len(made(place)) == 3
    assert not (place / "out" / "prepared.json").exists()
    told = json.loads(done(start(place, tiny_base_folder, "go", 0)))
    assert told["complete"]
    assert {file: file.stat().st_mtime_ns for file in before} == before
    assert set(made(place).values()) == {1} and len(made(place)) == all_shards(place)
    done(start(place, tiny_base_folder, "go", 0, "whole"))
    assert content(place, "out") == content(place, "whole")


@pytest.mark.slow
def test_two_processes_at_once_make_each_shard_once(place: Path, tiny_base_folder: Path) -> None:
    """They meet with a shard in hand; nobody told either of the other."""
    both = [start(place, tiny_base_folder, "meet", 1) for _ in range(2)]
    assert all(json.loads(done(each))["complete"] for each in both)
    assert len(list(place.glob("made-*"))) == 2  # each made some
    assert set(made(place).values()) == {1} and len(made(place)) == all_shards(place)


@pytest.mark.slow
def test_a_process_that_dies_leaves_its_shard_to_the_other(
    place: Path, tiny_base_folder: Path
) -> None:
    first = start(place, tiny_base_folder, "die-together", 1)
    second = start(place, tiny_base_folder, "meet", 1)
    done(first, -signal.SIGKILL)
    assert json.loads(done(second))["complete"]
    assert len(made(place)) == all_shards(place)


@pytest.mark.slow
def test_launched_processes_share_the_work(place: Path, tiny_base_folder: Path) -> None:
    told = json.loads(done(start(place, tiny_base_folder, "go", 0, launch=2)))
    assert told["complete"]
    logs = [log.read_text().split() for log in place.glob("made-*")]
    assert len(logs) == 2 and abs(len(logs[0]) - len(logs[1])) <= 1
    assert set(made(place).values()) == {1} and len(made(place)) == all_shards(place)
    assert told["splits"]["train"]["users"]["onehot"]["embeddings"] == 22
    done(start(place, tiny_base_folder, "go", 0, "alone"))
    assert content(place, "out") == content(place, "alone")
