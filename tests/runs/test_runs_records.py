from __future__ import annotations

import errno
import os
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
