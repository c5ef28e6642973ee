"""sha256 of files; a large one, or many, are read once, then known by place, size and time."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

from ppdbench.data.source import read_sha256
from ppdbench.rewards.store import Store, default_path, key_of

LARGE = 64 * 2**20
"""Bytes from which a hash is kept: below, reading is as quick as asking."""
SETTLED_SECONDS = 10.0
"""A file touched later than this is not known by its time: it may be written to once more."""


def file_sha256(path: Path) -> str:
    """The file's sha256, in hex.

    Raises:
        OSError: it cannot be read.
    """
    stat = path.stat()
    if stat.st_size < LARGE:
        return read_sha256(path)
    return file_sha256s([path])[path]


def file_sha256s(paths: Iterable[Path]) -> dict[Path, str]:
    """The sha256 of many files, in hex; of none is more read than its state, once it is known.

    Raises:
        OSError: one cannot be read.
    """
    stats = {path: path.stat() for path in paths}
    keys = {path: _key(path, stat) for path, stat in stats.items()}
    store = Store(default_path())
    known = store.get("file", keys.values())
    found: dict[Path, str] = {}
    settled: dict[bytes, bytes] = {}
    for path, stat in stats.items():
        if told := known.get(keys[path]):
            found[path] = told.decode()
            continue
        found[path] = read_sha256(path)
        if time.time() - stat.st_mtime > SETTLED_SECONDS and path.stat().st_mtime == stat.st_mtime:
            settled[keys[path]] = found[path].encode()
    store.put("file", settled)
    return found


def _key(path: Path, stat: os.stat_result) -> bytes:
    """What a file is known by."""
    stamp = (
        path.resolve(),
        stat.st_dev,
        stat.st_ino,
        stat.st_size,
        stat.st_mtime_ns,
        stat.st_ctime_ns,
    )
    return key_of(*map(str, stamp))
