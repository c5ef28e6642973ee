"""Claims on shards: one process has one, nobody waits unasked, and the dead hold nothing."""

from __future__ import annotations

import errno
import fcntl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from trainers.encoded.claims import claims, takes

HOLD = """
import sys
from pathlib import Path
from trainers.encoded.claims import claims
with claims(Path(sys.argv[1])) as held:
    assert held.take(3, wait=False)
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has shard 3."""
    words = [sys.executable, "-c", HOLD, str(tmp_path / "lock")]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_what_another_has_is_free_when_it_dies(
    tmp_path: Path, other: subprocess.Popen[str]
) -> None:
    with claims(tmp_path / "lock") as held:
        assert not held.take(3, wait=False) and 3 not in held
        assert held.take(2, wait=False) and 2 in held
        other.kill()
        assert held.take(3, wait=True) and 3 in held


def test_a_shard_is_looked_for_again_once_it_is_claimed(tmp_path: Path) -> None:
    """Between the look and the claim another process may have made it."""
    looks: list[int] = []

    def is_made(number: int) -> bool:
        looks.append(number)
        return len(looks) == 2

    with claims(tmp_path / "folder" / "lock") as held:
        wanted = takes(held, is_made, lambda _number: True, wait=False)
        assert not wanted(5) and looks == [5, 5] and 5 not in held
        assert wanted(6) and 6 in held
        held.leave(6)
        assert 6 not in held
        assert not takes(held, is_made, lambda number: number != 6, wait=False)(6)


def test_without_locks_everybody_has_every_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lockf(*_: int) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(fcntl, "lockf", lockf)
    with claims(tmp_path / "lock") as held:
        assert held.take(1, wait=False) and held.take(2, wait=True)
        held.leave(1)
        assert 1 not in held and 2 in held
