"""A process that works for a command dies: the command ends by itself, with a line, and goes on.

Elsewhere: processes that share preparing (`test_trainers_prepare_processes`), a training
(`test_trainers_distributed`) or scoring (`test_cli_score`).
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from drive import PATIENCE, check_clean, ended, kill
from small import SCORE, the_error, undisturbed

READERS = replace(SCORE, arguments=(*SCORE.arguments, "--workers", "2"))


@pytest.fixture
def short() -> Iterator[Path]:
    """A temporary folder in which a socket's path has fewer than the 108 bytes that it may."""
    with tempfile.TemporaryDirectory(prefix="f-") as folder:
        yield Path(folder)


@pytest.mark.slow
def test_a_process_that_reads_images(tmp_path: Path, short: Path) -> None:
    whole = undisturbed(SCORE, tmp_path)
    place = tmp_path / "place"
    SCORE.prepare(place)
    env = {"TMPDIR": str(short)}
    process = READERS.start(place, env=env)
    try:
        os.kill(_reader(process), signal.SIGKILL)
        done = ended(place, process)
    finally:
        kill(process)
    assert done.code == 1, done.err
    cause, fix = the_error(done)
    assert "a process that reads images was killed" in cause and "--workers 0" in fix
    READERS.finish(place, env=env)
    assert SCORE.outcome(place) == whole
    check_clean(place)
    # Nobody but the killed one could take its socket away: it is multiprocessing's, not ours.
    assert [path.name for path in short.iterdir() if not path.name.startswith("pymp-")] == []


def _reader(process: subprocess.Popen[str]) -> int:
    """The second of its children that run what it runs, as soon as there is one."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    if not children.exists():
        pytest.skip("this system does not list the children of a process in /proc")
    until = time.monotonic() + PATIENCE
    while True:
        assert process.poll() is None, "it ended before it had readers"
        assert time.monotonic() < until
        found = [int(child) for child in children.read_text().split()]
        found = [child for child in found if _line(child) == _line(process.pid)]
        if len(found) > 1:
            return found[1]
        time.sleep(0.005)


def _line(process: int) -> bytes | None:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:  # it is gone
        return None
