"""Whole files or none: readers see the old content or the new one, never half.

The temporary file lies beside its target, because a rename cannot cross file systems; one that a
killed process left behind is removed by `remove_leftovers`. Elsewhere: files that grow line by
line (`records`).
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ppdbench.errors import from_os_error

_SUFFIX = ".part"


def write_atomic(path: Path, data: bytes | str, *, sync: bool = True) -> None:
    """Replace `path` by `data` (text is UTF-8), making its folder where needed.

    Args:
        path: the file.
        data: its whole content.
        sync: wait until the disk has it. Without, a killed process still leaves no half file, but
            a power cut may: only for content that is verified when read.

    Raises:
        PpdbenchError: what `errors.from_os_error` makes of the system's refusal; `path` then
            holds what it held before.
    """
    content = data.encode() if isinstance(data, str) else data
    # The process id keeps two writers apart; the last rename wins, and each file is whole.
    tmp = path.with_name(f".{path.name}.{os.getpid()}{_SUFFIX}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with tmp.open("wb") as file:
                file.write(content)
                file.flush()
                if sync:
                    os.fsync(file.fileno())
            tmp.replace(path)
        except BaseException:
            tmp.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise from_os_error(error, path) from error


def write_json(path: Path, obj: Any) -> None:
    """Write `obj` as indented JSON, keys in their own order; NaN is refused with ValueError."""
    write_atomic(path, json.dumps(obj, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def remove_leftovers(folder: Path, names: str = "*") -> None:
    """Delete temporary files of killed writers; only under a lock that keeps live ones away.

    Args:
        folder: where they are.
        names: those of the files that they were to become, as a glob.
    """
    for leftover in folder.glob(f".{names}{_SUFFIX}"):
        leftover.unlink(missing_ok=True)
