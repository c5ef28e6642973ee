"""sha256 of a file; a large one is read once, then known again by its place, size and time."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

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
        return _read(path)
    store = Store(default_path())
    stamp = (
        path.resolve(),
        stat.st_dev,
        stat.st_ino,
        stat.st_size,
        stat.st_mtime_ns,
        stat.st_ctime_ns,
    )
    key = key_of(*map(str, stamp))
    if known := store.get("file", [key]).get(key):
        return known.decode()
    digest = _read(path)
    if time.time() - stat.st_mtime > SETTLED_SECONDS and path.stat().st_mtime == stat.st_mtime:
        store.put("file", {key: digest.encode()})
    return digest


def _read(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
