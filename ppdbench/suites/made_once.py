"""Files of the cache that are made on first use, by one process however many ask at once."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

from ppdbench.errors import from_os_error


def made_once(path: Path, make: Callable[[], object], *, tmp: str = "") -> Path:
    """A file, made where it is not there; who comes second waits and finds it.

    Where the file system knows no locks each process makes it, and the last whole one stays.

    Args:
        path: the file; its folder is made.
        make: makes it, whole or not at all.
        tmp: names, as a glob, of what `make` leaves beside it when it is killed: removed.

    Raises:
        PpdbenchError: the folder cannot be written; or what `make` raises.
    """
    if path.exists():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Never deleted: a process that waits on an unlinked file would lock nothing.
        lock = os.open(path.parent / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise from_os_error(error, path) from error
    try:
        if _locked(lock) and tmp and not path.exists():
            for leftover in path.parent.glob(tmp):
                leftover.unlink(missing_ok=True)
        if not path.exists():
            make()
    finally:
        os.close(lock)  # drops it
    return path


def _locked(file: int) -> bool:
    """Wait for the lock; False where there are none."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError:
        return False
    return True
