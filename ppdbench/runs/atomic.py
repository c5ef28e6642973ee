"""Whole files or none: readers see the old content or the new one, never half.

The temporary file lies beside its target, because a rename cannot cross file systems. One that a
killed process left behind goes when its target is written again, or by `remove_leftovers`. A writer
holds a lock on its own, which the system drops with its process: so nobody removes a live one.
Elsewhere: files that grow line by line (`records`).
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import json
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

from ppdbench.errors import from_os_error

_SUFFIX = ".part"


def write_atomic(path: Path, data: bytes | str, *, sync: bool = True) -> None:
    """Replace `path` by `data` (text is UTF-8), making its folder where needed.

    Args:
        path: the file.
        data: its whole content.
        sync: wait until the disk has it. Without, a killed process still leaves no half file, but
            a power cut may: only for content that is verified when read. Nor is then looked for
            what a killed writer of the same file left: there may be many files in the folder, and
            who holds a lock on it calls `remove_leftovers` once.

    Raises:
        PpdbenchError: what `errors.from_os_error` makes of the system's refusal; `path` then
            holds what it held before.
    """
    content = data.encode() if isinstance(data, str) else data
    tmp = temporary(path)  # the last rename wins, and each file is whole
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if sync:
            remove_dead(path)
        try:
            with open_locked(tmp) as file:
                file.write(content)
                file.flush()
                if sync:
                    os.fsync(file.fileno())
                tmp.replace(path)  # while the lock is held
        except BaseException:
            tmp.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise from_os_error(error, path) from error


def write_json(path: Path, obj: Any) -> None:
    """Write `obj` as indented JSON, keys in their own order; NaN is refused with ValueError."""
    write_atomic(path, json.dumps(obj, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def remove_leftovers(folder: Path, names: str = "*") -> None:
    """Delete temporary files of killed writers in a folder and those below it; no live one's.

    Where the system knows no locks all of them go: so only while holding what keeps others away.

    Args:
        folder: where they are.
        names: those of the files that they were to become, as a glob.
    """
    _remove_dead(folder.rglob(f".{names}.[0-9]*{_SUFFIX}"), unlocked=True)


def remove_dead(path: Path) -> None:
    """Delete what killed writers of one file left beside it; no live one's."""
    _remove_dead(path.parent.glob(f".{glob.escape(path.name)}.[0-9]*{_SUFFIX}"))


def temporary(path: Path) -> Path:
    """Where one writer writes what is to become `path`.

    Another name each time: threads share a process id, and so do the first processes of containers
    that share a folder.
    """
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}{_SUFFIX}")


def open_locked(tmp: Path) -> IO[bytes]:
    """A temporary file of ours, locked for as long as it is open where the system knows locks."""
    while True:
        file = tmp.open("wb")
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
            if not os.fstat(file.fileno()).st_nlink:  # taken for a dead one's before it was locked
                file.close()
                continue
        return file


def _remove_dead(leftovers: Iterable[Path], *, unlocked: bool = False) -> None:
    """Delete temporary files whose writers are no more; live ones hold their locks.

    Args:
        leftovers: temporary files.
        unlocked: delete also where the system knows no locks.
    """
    for leftover in leftovers:
        with contextlib.suppress(OSError), leftover.open("r+b") as file:
            try:  # opened for writing: NFS locks no other file exclusively
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            except OSError:
                if not unlocked:
                    continue
            leftover.unlink()
