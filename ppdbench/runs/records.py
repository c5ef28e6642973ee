"""Append-only jsonl: one record a line, and a killed writer costs at most the last one.

A line is written by one call and ends in a newline, so what a kill, a full disk or a power cut
leaves is a torn tail: dropped by the reader, cut off by the next writer. Damage further up is no
tail and is never skipped silently.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ppdbench.errors import PpdbenchError, from_os_error
from ppdbench.runs.json_file import finite_json_of_many
from ppdbench.runs.record_fields import wrong_field

SCHEMA_VERSION = 1


def read_records(path: Path, *, checked: bool = True) -> list[dict[str, Any]]:
    """All whole records in their order; as `each_record`."""
    return list(each_record(path, checked=checked))


def each_record(path: Path, *, checked: bool = True) -> Iterator[dict[str, Any]]:
    """Each whole record in turn, of a file that may be large; one that is not there has none.

    Args:
        path: the file.
        checked: whether records must have what those of a file of its name have
            (`record_fields`); without, the caller looks at them itself.

    Raises:
        PpdbenchError: a line before the last is not a record, or was written by a later version;
            or a record lacks what it must have.
    """
    for number, (record, _) in enumerate(_whole(path), start=1):
        if checked and (wrong := wrong_field(path.name, record)) is not None:
            raise PpdbenchError(
                f"{path}, line {number}, is damaged: {wrong}",
                fix=f"restore {path.name}, or move it away and run the same command again: "
                "what is missing is computed anew",
            )
        yield record


class RecordWriter:
    """Appends records; cuts a torn tail off first. A context manager.

    Raises:
        PpdbenchError: the file is damaged before its last line, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        whole = sum(size for _, size in _whole(path))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Unbuffered: after a refused write nothing lingers to be written at close.
            self._file = path.open("ab", buffering=0)
            self._file.truncate(whole)
            self._opened, self._size = os.fstat(self._file.fileno()), whole
        except OSError as error:
            raise from_os_error(error, path) from error

    def write(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Append records, each stamped with the schema's version; they are in the file on return.

        Raises:
            PpdbenchError: the system refused; whole lines written before stay. Or something else
                changed the file: what is written now would be lost, or join half a line.
            ValueError: a number is NaN or infinite.
        """
        lines = [
            json.dumps({"schema_version": SCHEMA_VERSION, **record}, allow_nan=False) + "\n"
            for record in records
        ]
        data = memoryview("".join(lines).encode())
        self._require_ours()
        try:
            while data:
                written = self._file.write(data)
                self._size += written
                data = data[written:]
        except OSError as error:
            raise from_os_error(error, self.path) from error

    def _require_ours(self) -> None:
        """See that the path still leads to the file that is open, and nobody else wrote to it."""
        try:
            there = self.path.stat()
            same = os.path.samestat(self._opened, there) and there.st_size == self._size
        except FileNotFoundError:
            same = False
        except OSError as error:
            raise from_os_error(error, self.path) from error
        if not same:
            raise PpdbenchError(
                f"{self.path} was replaced, cut or removed while it was written",
                fix="let nothing else write there, put its lines back where you have them, and run "
                "the same command again: what is missing is done anew",
            )

    def close(self) -> None:
        """Hand the lines to the disk and close the file; harmless when called twice.

        Raises:
            PpdbenchError: the system refused.
        """
        if self._file.closed:
            return
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise from_os_error(error, self.path) from error
        finally:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:
            self._file.close()  # the error at hand is the useful one


def _whole(path: Path) -> Iterator[tuple[dict[str, Any], int]]:
    """Each whole record and the bytes of its line, one after the other: a file may be large.

    Raises:
        PpdbenchError: as `each_record`; or the file cannot be read.
    """
    read = finite_json_of_many()
    damaged = False
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    return
                if damaged:  # and this is a line after it: that one was no tail
                    raise PpdbenchError(
                        f"{path}, line {number - 1}, is not a record",
                        fix=f"move {path.name} away and run the same command again: "
                        "what is missing is computed anew",
                    )
                record = _record(line, read)
                if record is None:  # a newline after zeros or half a line may still be the tail
                    damaged = True
                    continue
                if record.get("schema_version") != SCHEMA_VERSION:
                    raise PpdbenchError(
                        f"{path}, line {number}, has schema_version "
                        f"{record.get('schema_version')!r}, this ppdbench knows {SCHEMA_VERSION}",
                        fix="use the ppdbench that wrote it, or another folder with --runs DIR",
                    )
                yield record, len(line)
    except FileNotFoundError:
        return
    except OSError as error:
        raise PpdbenchError(
            f"{path} cannot be read: {error.strerror or error}",
            fix="check the file's permissions and run the same command again",
        ) from error


def _record(line: bytes, read: Callable[[bytes], Any]) -> dict[str, Any] | None:
    try:
        record = read(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None
