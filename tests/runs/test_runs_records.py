from __future__ import annotations

import errno
import os
import tracemalloc
from pathlib import Path

import pytest

from ppdbench.errors import MissingPrerequisite, PpdbenchError
from ppdbench.runs.records import RecordWriter, read_records

ONE = b'{"schema_version": 1, "n": 1}\n'
TWO = b'{"schema_version": 1, "n": 2}\n'


def test_records_come_back_in_order(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "records.jsonl"
    assert read_records(path) == []
    with RecordWriter(path) as writer:
        writer.write([{"n": 1}, {"n": "zwei\n"}])
    with RecordWriter(path) as writer:
        writer.write([{"n": 3.5}])
    assert read_records(path) == [{"schema_version": 1, "n": n} for n in (1, "zwei\n", 3.5)]


@pytest.mark.parametrize(
    "tail",
    [b"{", TWO[:-1], TWO[:9], b"\0\0\0\0", b"\0\0\0\n", b"[1]\n", b"\xff\xfe"],
    ids=["one byte", "no newline", "half", "zeros", "zeros and newline", "no record", "not UTF-8"],
)
def test_a_torn_tail_is_dropped_and_then_cut(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "records.jsonl"
    path.write_bytes(ONE + tail)
    assert [record["n"] for record in read_records(path)] == [1]
    assert path.read_bytes() == ONE + tail  # reading changes nothing
    with RecordWriter(path) as writer:
        writer.write([{"n": 2}])
    assert path.read_bytes() == ONE + TWO


def test_a_damaged_line_inside_is_named(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    path.write_bytes(ONE + b"{torn}\n" + TWO)
    with pytest.raises(PpdbenchError, match=r"records\.jsonl, line 2") as caught:
        read_records(path)
    assert "move records.jsonl away" in caught.value.fix
    with pytest.raises(PpdbenchError, match="line 2"):
        RecordWriter(path)
    assert path.read_bytes() == ONE + b"{torn}\n" + TWO


def test_a_later_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    path.write_bytes(b'{"schema_version": 2}\n')
    with pytest.raises(PpdbenchError, match="schema_version 2"):
        read_records(path)


@pytest.mark.parametrize(
    ("field", "value", "wrong"),
    [
        ("key", "zz", "the key is 'zz'"),
        ("key", "", "the key is ''"),
        ("choice", None, "the choice is None"),
        ("choice", "third", "the choice is 'third'"),
        ("details", None, "details is None"),
        ("cost", -1, "-1 dollars"),
    ],
)
def test_a_verdict_that_cannot_be_one_is_named(
    tmp_path: Path, field: str, value: object, wrong: str
) -> None:
    said = {
        **{"call": "a", "stamp": "b", "status": "ok", "choice": "first", "key": "0a"},
        **{"cached": False, "cost": 0.5, "details": {}},
    }
    failed = {**said, "status": "api_error", "choice": None}
    with RecordWriter(tmp_path / "judgments.jsonl") as writer:
        writer.write([said, failed])
        assert len(read_records(tmp_path / "judgments.jsonl")) == 2
        writer.write([{**said, field: value}])
    with pytest.raises(PpdbenchError, match=rf"judgments\.jsonl, line 3, is damaged: {wrong}"):
        read_records(tmp_path / "judgments.jsonl")


def test_nan_is_no_number(tmp_path: Path) -> None:
    with (
        RecordWriter(tmp_path / "records.jsonl") as writer,
        pytest.raises(ValueError, match="JSON"),
    ):
        writer.write([{"n": float("nan")}])
    assert read_records(tmp_path / "records.jsonl") == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_told_from_other_trouble(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    with RecordWriter(path) as writer:
        writer.write([{"n": 1}])
        os.dup2(os.open("/dev/full", os.O_WRONLY), writer._file.fileno())
        with pytest.raises(MissingPrerequisite, match="no space left") as caught:
            writer.write([{"n": 2}])
        writer._file.close()
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.ENOSPC
    assert [record["n"] for record in read_records(path)] == [1]


def test_many_records_take_little_more_memory_than_their_file(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    fields = {f"a field of name {n}": "a word that comes again" for n in range(30)}
    with RecordWriter(path) as writer:
        writer.write({"n": n, "inside": fields} for n in range(3000))
    size = path.stat().st_size
    tracemalloc.start()
    try:
        records = read_records(path)
        _, most = tracemalloc.get_traced_memory()
        assert len(records) == 3000 and records[7]["inside"] == fields
        assert most < 1.5 * size  # parsed line by line by `json` alone, four times as much
        del records
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        with RecordWriter(path):
            assert tracemalloc.get_traced_memory()[1] - before < size / 10
    finally:
        tracemalloc.stop()
