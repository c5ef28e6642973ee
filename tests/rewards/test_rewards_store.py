"""The cache's file: shared by processes, never wrong, never in the way."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ppdbench.data.source import read_sha256
from ppdbench.rewards import file_hash
from ppdbench.rewards.file_hash import file_sha256
from ppdbench.rewards.store import Store, key_of


def test_what_is_put_is_got_by_kind_and_key(tmp_path: Path) -> None:
    store = Store(tmp_path / "deep" / "store.sqlite")
    keys = [key_of("a", str(n)) for n in range(1300)]  # more than one query takes
    store.put("score", {key: str(n).encode() for n, key in enumerate(keys)})
    store.put("score", {keys[0]: b"another"})  # an entry is never changed
    again = Store(store.path)
    assert again.get("score", [*keys, key_of("b")]) == {
        k: str(n).encode() for n, k in enumerate(keys)
    }
    assert again.get("image", keys) == {}
    assert again.get("score", []) == {}


def test_parts_of_a_key_do_not_run_together() -> None:
    assert len({key_of("ab", "c"), key_of("a", "bc"), key_of("abc"), key_of("abc", "")}) == 4
    assert key_of("\udcff") != key_of("?")  # a caption that is no text is a key all the same


WRITER = """
import sys
from pathlib import Path
from ppdbench.rewards.store import Store, key_of
store = Store(Path(sys.argv[1]), warn=lambda text: sys.exit(text))
for n in range(150):
    store.put("score", {key_of(sys.argv[2], str(n)): b"x" * 100, key_of("both", str(n)): b"same"})
    store.get("score", [key_of("both", str(n))])
"""


def test_two_processes_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    both = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), name]) for name in ("one", "two")
    ]
    assert [process.wait() for process in both] == [0, 0]
    store = Store(path)
    for name, value in (("one", b"x" * 100), ("two", b"x" * 100), ("both", b"same")):
        keys = [key_of(name, str(n)) for n in range(150)]
        assert store.get("score", keys) == dict.fromkeys(keys, value)


def test_a_connection_does_not_cross_a_fork_or_a_pickle(tmp_path: Path) -> None:
    said: list[str] = []
    store = Store(tmp_path / "store.sqlite", said.append)
    store.put("score", {b"k": b"parent"})
    child = os.fork()
    if child == 0:
        store.put("score", {b"c": b"child"})
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    copy = pickle.loads(pickle.dumps(store))  # noqa: S301 - our own bytes
    assert copy.get("score", [b"k", b"c"]) == {b"k": b"parent", b"c": b"child"}
    assert store.get("score", [b"c"]) == {b"c": b"child"}
    assert said == []


@pytest.mark.parametrize("damage", [b"no database at all, but long enough to be one" * 30, None])
def test_a_useless_file_is_said_once_and_costs_nothing(
    damage: bytes | None, tmp_path: Path
) -> None:
    path = tmp_path / "store.sqlite"
    if damage is None:
        path.mkdir()  # cannot be opened
    else:
        path.write_bytes(damage)
    said: list[str] = []
    store = Store(path, said.append)
    store.put("score", {b"k": b"v"})
    assert store.get("score", [b"k"]) == {}
    assert len(said) == 1
    assert str(path) in said[0]


def test_a_cut_off_file_is_not_read_as_another_value(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    keys = [key_of(str(n)) for n in range(400)]
    store = Store(path)
    store.put("score", {key: key * 4 for key in keys})
    store._connect().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store._connection.close()  # type: ignore[union-attr]
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    said: list[str] = []
    found = Store(path, said.append).get("score", keys)
    assert all(value == key * 4 for key, value in found.items())
    assert said or found == {}


def test_a_full_disk_costs_the_cache_only(tmp_path: Path) -> None:
    said: list[str] = []
    store = Store(tmp_path / "store.sqlite", said.append)
    store.put("score", {b"k": b"v"})
    connection = store._connect()
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    store.put("score", {key_of(str(n)): b"v" * 4000 for n in range(50)})
    assert len(said) == 1
    assert Store(store.path).get("score", [b"k", key_of("0")]) == {b"k": b"v"}  # all or none


def test_large_files_are_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PPDBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(file_hash, "LARGE", 10)
    file = tmp_path / "weights"
    file.write_bytes(b"0123456789")
    read: list[Path] = []

    def counting(path: Path) -> str:
        read.append(path)
        return read_sha256(path)

    monkeypatch.setattr(file_hash, "read_sha256", counting)
    first = file_sha256(file)
    assert file_sha256(file) == first
    assert len(read) == 2  # just written: it may be written to once more
    old = time.time() - 100
    os.utime(file, (old, old))
    assert [file_sha256(file), file_sha256(file)] == [first, first]
    assert len(read) == 3
    file.write_bytes(b"9876543210")  # the same size, another time
    assert file_sha256(file) != first
