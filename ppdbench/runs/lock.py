"""One process a run: a lock that the system drops with its process, however that ends."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from ppdbench.errors import PpdbenchError, from_os_error


class RunLock:
    """An exclusive lock on a run directory, held from construction to `release`.

    Raises:
        PpdbenchError: another process holds it, or the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / ".lock"
        try:
            # Never deleted: a process that waits on an unlinked file would lock nothing.
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise from_os_error(error, path) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._file)
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise PpdbenchError(
                    f"another process works on this run: {folder}",
                    fix="wait until it is done and run the same command again, "
                    "or choose another folder with --runs DIR "
                    "(a training: --output; pictures and comparisons: --out)",
                ) from error
            raise from_os_error(error, path) from error

    def release(self) -> None:
        """Let the next process in; harmless when called twice."""
        if self._file >= 0:
            os.close(self._file)  # closing drops the lock
            self._file = -1
