"""The files of an entry's folder, read within bounds: nothing else, no link, nothing endless.

What is read was written by a stranger: a name leads nowhere outside the folder, a pipe is never
waited on, and a size is looked at before the content. Elsewhere: what the files say
(`entries.entry`, `entries.lines`).
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from ppdbench.data.plain_json import parse_json
from ppdbench.entries.problems import BadEntry, Problem, shown
from ppdbench.errors import one_line

ENTRY, SCORES, SUMMARY, REPRODUCED = "entry.yaml", "scores.jsonl", "summary.json", "reproduced.json"
GALLERY = "gallery.jpg"
NAMES = (ENTRY, SCORES, SUMMARY, GALLERY, REPRODUCED)
"""All that an entry's folder may hold."""
LARGEST = {
    ENTRY: 1 << 19,
    SCORES: 1 << 26,
    SUMMARY: 1 << 18,
    GALLERY: 60_000,
    REPRODUCED: 1 << 14,
}
"""Bytes that a file may have."""
FIRST_VERSION = "entry.json"
"""What entries had before entry.yaml."""


def require_folder(folder: Path) -> None:
    """Refuse a folder that is a link, or that holds what no entry has.

    Raises:
        BadEntry: it says what.
    """
    name = folder.name
    try:
        if not stat.S_ISDIR(folder.lstat().st_mode):
            raise BadEntry(name, Problem(file="", where="", text="it is a link, not a folder"))
        found = sorted(folder.iterdir())
    except OSError as error:
        problem = Problem(file="", where="", text=f"it cannot be read: {error.strerror or error}")
        raise BadEntry(name, problem) from error
    for path in found:
        if path.name not in NAMES:
            text = "no entry has such a file"
            if path.name == FIRST_VERSION:
                text = "it is in the form of an earlier version; record it anew"
            raise BadEntry(name, Problem(file=shown(path.name), where="", text=text))
        _require_plain(path)


def read_file(folder: Path, name: str) -> bytes:
    """The content of one of an entry's files.

    Raises:
        BadEntry: it is not there, is a link or no plain file, or is larger than such a file may be.
    """
    path = folder / name
    most = LARGEST[name]
    try:
        # Without O_NONBLOCK opening a pipe would wait for whoever writes into it.
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        _require_plain(path)
        text = f"it cannot be read: {error.strerror or error}"
        raise BadEntry(folder.name, Problem(file=name, where="", text=text)) from error
    with os.fdopen(file, "rb") as opened:
        known = os.fstat(opened.fileno())
        if not stat.S_ISREG(known.st_mode):
            raise BadEntry(folder.name, Problem(file=name, where="", text="it is no plain file"))
        if known.st_size > most:
            text = f"it has {known.st_size:,} bytes, {most:,} are allowed"
            raise BadEntry(folder.name, Problem(file=name, where="", text=text))
        return opened.read(most)


def is_there(folder: Path, name: str) -> bool:
    """Whether a folder has that file, were it a link."""
    return os.path.lexists(folder / name)


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """The object that one of an entry's files holds.

    Raises:
        BadEntry: as `read_file`; or it is no JSON object in UTF-8, has a key twice, or numbers that
            JSON does not know.
    """
    data = read_file(folder, name)
    try:
        found = parse_json(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        text = "it is nested too deep" if isinstance(error, RecursionError) else one_line(error)
        raise BadEntry(folder.name, Problem(file=name, where="", text=shown(text))) from error
    if not isinstance(found, dict):
        raise BadEntry(folder.name, Problem(file=name, where="", text="it holds no object"))
    return found


def _require_plain(path: Path) -> None:
    """Refuse links, folders, pipes and devices."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return  # whoever reads it says so
    if not stat.S_ISREG(mode):
        text = "it is a link, which no file of an entry may be"
        if not stat.S_ISLNK(mode):
            text = "it is no plain file"
        raise BadEntry(path.parent.name, Problem(file=shown(path.name), where="", text=text))
