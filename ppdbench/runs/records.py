"""Append-only jsonl: one record a line, and a killed writer costs at most the last one.

A line is written by one call and ends in a newline, so what a kill, a full disk or a power cut
leaves is a torn tail: dropped by the reader, cut off by the next writer. Damage further up is no
tail and is never skipped silently.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ppdbench.errors import PpdbenchError, from_os_error

SCHEMA_VERSION = 1


def read_records(path: Path) -> list[dict[str, Any]]:
    """All whole records in their order; a file that is not there has none.

    Raises:
        PpdbenchError: a line before the last is not a record, or was written by a later version.
    """
    return _parse(path, _read(path))[0]


class RecordWriter:
    """Appends records; cuts a torn tail off first. A context manager.

    Raises:
        PpdbenchError: the file is damaged before its last line, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        whole = _parse(path, _read(path))[1]
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Unbuffered: after a refused write nothing lingers to be written at close.
            self._file = path.open("ab", buffering=0)
            self._file.truncate(whole)
        except OSError as error:
            raise from_os_error(error, path) from error

    def write(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Append records, each stamped with the schema's version; they are in the file on return.

        Raises:
            PpdbenchError: the system refused; whole lines written before stay.
            ValueError: a number is NaN or infinite.
        """
        lines = [
            json.dumps({"schema_version": SCHEMA_VERSION, **record}, allow_nan=False) + "\n"
            for record in records
        ]
        data = memoryview("".join(lines).encode())
        try:
            while data:
                data = data[self._file.write(data) :]
        except OSError as error:
            raise from_os_error(error, self.path) from error

    def close(self) -> None:
        """Hand the lines to the disk and close the file."""
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


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise PpdbenchError(
            f"{path} cannot be read: {error.strerror or error}",
            fix="check the file's permissions and run the same command again",
        ) from error


def _parse(path: Path, data: bytes) -> tuple[list[dict[str, Any]], int]:
    """Records, and how many bytes from the start hold whole ones."""
    *lines, _unfinished = data.split(b"\n")
    records: list[dict[str, Any]] = []
    whole = 0
    for number, line in enumerate(lines, start=1):
        record = _record(line)
        if record is None:
            if number == len(lines):  # a newline after zeros or half a line: still the tail
                break
            raise PpdbenchError(
                f"{path}, line {number}, is not a record",
                fix=f"move {path.name} away and run the same command again: "
                "what is missing is computed anew",
            )
        if record.get("schema_version") != SCHEMA_VERSION:
            raise PpdbenchError(
                f"{path}, line {number}, has schema_version {record.get('schema_version')!r}, "
                f"this ppdbench knows {SCHEMA_VERSION}",
                fix="use the ppdbench that wrote it, or another folder with --runs DIR",
            )
        records.append(record)
        whole += len(line) + 1
    return records, whole


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None
