"""One SQLite file that keeps what is dear to compute: scores, embeddings, hashes of large files.

A key names everything that its value depends on, so an entry is never wrong, only unused. Several
processes may use one file at once. A store that cannot be read or written costs time and no
result: it says so once, and its owner computes. Elsewhere: what is kept and under which keys
(`rewards.store`, `users.encode`).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Generic, Self, TypeVar

WAIT_SECONDS = 60.0
"""How long to wait for another process that writes."""
MOST_KEYS = 500
"""Keys a query; SQLite limits its variables."""

K = TypeVar("K", bound=str)
T = TypeVar("T")
Warn = Callable[[str], None]


def key_of(*parts: str) -> bytes:
    """One key of several texts, 32 bytes."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).digest()


class KeyStore(Generic[K]):
    """Kinds and keys to bytes, kept for good; each process that uses it has its own connection."""

    called: ClassVar[str] = "cache"
    """As a warning names it."""

    def __init__(self, path: Path, warn: Warn = lambda _: None) -> None:
        self.path = path
        self._warn = warn
        self._connection: sqlite3.Connection | None = None
        self._owner = 0  # process id
        self._broken = False

    def __reduce__(self) -> tuple[type[Self], tuple[Path]]:
        return type(self), (self.path,)  # a worker opens its own connection, and says nothing

    def get(self, kind: K, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """What is kept under these keys; those that are not there are left out."""
        wanted = list(dict.fromkeys(keys))

        def read(connection: sqlite3.Connection) -> dict[bytes, bytes]:
            found: dict[bytes, bytes] = {}
            for start in range(0, len(wanted), MOST_KEYS):
                some = wanted[start : start + MOST_KEYS]
                marks = ",".join("?" * len(some))
                # Question marks alone are put into the text.
                query = f"SELECT key, value FROM kept WHERE kind = ? AND key IN ({marks})"  # noqa: S608 - see above
                found |= connection.execute(query, (kind, *some)).fetchall()
            return found

        return (self._with_connection(read) if wanted else None) or {}

    def put(self, kind: K, values: Mapping[bytes, bytes]) -> None:
        """Keep values, all of them or none; a key that is there already stays as it is."""
        self._change("INSERT OR IGNORE INTO kept VALUES (?, ?, ?)", _rows(kind, values))

    def replace(self, kind: K, values: Mapping[bytes, bytes]) -> None:
        """Keep values, all of them or none, in place of what is there under their keys."""
        self._change("INSERT OR REPLACE INTO kept VALUES (?, ?, ?)", _rows(kind, values))

    def remove(self, kind: K, keys: Iterable[bytes]) -> None:
        """Keep nothing under these keys any more, all of them or none."""
        self._change("DELETE FROM kept WHERE kind = ? AND key = ?", [(kind, key) for key in keys])

    def _change(self, statement: str, rows: Sequence[tuple[str | bytes, ...]]) -> None:
        """Run a statement once for each of the rows, for all of them or none."""

        def write(connection: sqlite3.Connection) -> None:
            with connection:
                connection.executemany(statement, rows)

        if rows:
            self._with_connection(write)

    def _with_connection(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        """What the work gives, or None where the store is of no use, which is said once."""
        if self._broken:
            return None
        try:
            return work(self._connect())
        except (sqlite3.Error, OSError) as error:
            self._broken = True
            self._warn(f"the {self.called} {self.path} is not used: {error}; mend or delete it")
            return None

    def _connect(self) -> sqlite3.Connection:
        if self._connection is None or self._owner != os.getpid():
            # A connection must not cross a fork; the parent's is left to the parent.
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self.path, timeout=WAIT_SECONDS)
            with contextlib.suppress(sqlite3.OperationalError):  # network file systems refuse it
                connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            with connection:
                connection.execute(
                    "CREATE TABLE IF NOT EXISTS kept (kind TEXT, key BLOB, value BLOB, "
                    "PRIMARY KEY (kind, key)) WITHOUT ROWID"
                )
            self._connection, self._owner = connection, os.getpid()
        return self._connection


def _rows(kind: str, values: Mapping[bytes, bytes]) -> list[tuple[str | bytes, ...]]:
    return [(kind, key, value) for key, value in values.items()]
