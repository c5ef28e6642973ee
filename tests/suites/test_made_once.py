"""Files of the cache: made by one process, again after a kill, and never half."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from ppdbench.errors import PpdbenchError
from ppdbench.suites import made_once as module
from ppdbench.suites.made_once import made_once

SLOW = """
import sys, time
from pathlib import Path
from ppdbench.suites.made_once import made_once

path, log = Path(sys.argv[1]), Path(sys.argv[2])

def make():
    with log.open("a") as file:
        file.write("made\\n")
    (path.parent / f".{path.name}.1.tmp").write_text("half")
    time.sleep(float(sys.argv[3]))
    (path.parent / f".{path.name}.1.tmp").replace(path)

made_once(path, make, tmp=f".{path.name}.*.tmp")
"""


def start(path: Path, log: Path, seconds: float) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", SLOW, path, log, str(seconds)])


def wait_for(path: Path) -> None:
    for _ in range(600):
        if path.exists():
            return
        time.sleep(0.05)
    raise AssertionError(f"{path} never came")


def test_of_two_processes_one_makes_it_and_the_other_waits(tmp_path: Path) -> None:
    path, log = tmp_path / "new" / "file", tmp_path / "log"
    both = [start(path, log, 1.0) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    assert log.read_text() == "made\n" and path.read_text() == "half"


def test_after_a_kill_it_is_made_again_and_the_rest_of_the_first_is_gone(tmp_path: Path) -> None:
    path, log = tmp_path / "file", tmp_path / "log"
    killed = start(path, log, 60.0)
    wait_for(tmp_path / ".file.1.tmp")
    killed.kill()
    killed.wait(60)
    assert not path.exists()

    def make() -> None:
        assert not [*tmp_path.glob("*.tmp")]
        path.write_text("whole")

    assert made_once(path, make, tmp=".file.*.tmp") == path
    assert path.read_text() == "whole"


def test_what_is_there_is_not_made_again_and_needs_no_lock(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    assert made_once(tmp_path / "file", lambda: 1 / 0).read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_without_locks_nothing_of_others_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_locked", lambda _: False)
    others = tmp_path / ".file.77.tmp"
    others.write_text("under way")
    made_once(tmp_path / "file", lambda: (tmp_path / "file").write_text("x"), tmp=".file.*.tmp")
    assert others.exists()


def test_a_folder_that_cannot_be_made_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(PpdbenchError, match="file/in/the/way"):
        made_once(tmp_path / "file" / "in" / "the" / "way", lambda: None)
