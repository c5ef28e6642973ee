"""manifest.jsonl: which file of a folder is whose picture of which caption from which seed.

    {"caption": "a red cube", "user": null, "seed": 123, "file": "a.png", "sha256": "..."}

A line a picture; `user` is the id that was asked for, null for nobody, and `sha256` may be left
out. `width` and `height`, as requests.jsonl has them, are allowed and not read. A manifest is a
stranger's file: it is read line by line, each of bounded length, a million of them in seconds, and
what is wrong with it is said with its line. Elsewhere: info.yaml (`images_info`), the pictures
(`images`).
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ppdbench.data.captioned import printable
from ppdbench.data.inside import MOST_BYTES, leads_out, path_inside
from ppdbench.data.plain_json import distinct, no_number
from ppdbench.errors import UsageError, one_line, unknown_name

FILE = "manifest.jsonl"
MOST_PICTURES = 1_000_000
MOST_OF_LINE = 65_536
"""Bytes of a line: no caption is longer."""
LINE = '{"caption": "...", "user": null, "seed": 123, "file": "a.png", "sha256": "..."}'
KEYS = ("caption", "user", "seed", "file", "sha256", "width", "height")
_KNOWN = frozenset(KEYS)
_SHA256 = re.compile("[0-9a-f]{64}")

Asked = tuple[str, str | None, int]
"""Caption, user id or None, seed: what a picture is looked up by."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A file of the manifest."""

    file: str
    """Relative to the folder."""
    sha256: bytes | None
    """Where the manifest says it; half as long as in hex, and there are a million of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a folder lists."""

    pictures: dict[Asked, Listed]
    sha256: str
    """Of the file."""


def read_manifest(folder: Path) -> Manifest:
    """The pictures that a folder lists; no picture is opened.

    Raises:
        UsageError: there is no such folder or manifest, or a line of it cannot be used.
    """
    path = folder / FILE
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder", fix=f"name a folder that holds {FILE}")
    if not path.exists() and not path.is_symlink():
        raise UsageError(f"{folder} holds no {FILE}", fix=f"list its pictures, a line each: {LINE}")
    found: dict[Asked, Listed] = {}
    same: dict[str, str] = {}
    digest = hashlib.sha256()
    for place, entry in _entries(folder, path, digest):
        (caption, user, seed), listed = _read(entry, place)
        # Few captions and users stand on many lines: each is held once.
        caption = same.setdefault(caption, caption)
        asked = (caption, None if user is None else same.setdefault(user, user), seed)
        if asked in found:
            raise UsageError(
                f"{place}: a second picture of this caption, user and seed "
                f"({printable(found[asked].file)} is the first)",
                fix="keep one of them",
            )
        found[asked] = listed
    if not found:
        raise UsageError(f"{path} lists no picture", fix=f"write one a line: {LINE}")
    return Manifest(pictures=found, sha256=digest.hexdigest())


def _lines(folder: Path, path: Path, digest: hashlib._Hash) -> Iterator[tuple[int, bytes]]:
    """Each line and its number, from 1; one is held at a time."""
    try:
        with path_inside(folder, FILE, str(path)).open("rb") as stream:
            for number in itertools.count(1):
                line = stream.readline(MOST_OF_LINE + 1)
                if not line:
                    return
                if number > MOST_PICTURES:
                    raise UsageError(
                        f"{path} has more than {MOST_PICTURES:,} lines",
                        fix="list only what was asked for (ppdbench data requests)",
                    )
                if len(line) > MOST_OF_LINE:
                    raise UsageError(
                        f"{path}, line {number} has more than {MOST_OF_LINE:,} bytes",
                        fix=f"write one object a line: {LINE}",
                    )
                digest.update(line)
                yield number, line
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {one_line(error)}", fix="mend the file or its permissions"
        ) from error


def _entries(
    folder: Path, path: Path, digest: hashlib._Hash
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each line's place and object."""
    # One for all lines: `json.loads` would make one for each.
    decoder = json.JSONDecoder(object_pairs_hook=distinct, parse_constant=no_number)
    for number, line in _lines(folder, path, digest):
        if line.isspace():
            continue
        place = f"{path}, line {number}"
        try:
            entry = decoder.decode(line.decode("utf-8-sig" if number == 1 else "utf-8"))
        except UnicodeDecodeError as error:
            raise UsageError(
                f"{place} is not UTF-8 (its byte {error.start})", fix="save it as UTF-8"
            ) from error
        except (ValueError, RecursionError) as error:
            raise UsageError(
                f"{place} is no JSON: {one_line(error)}", fix=f"write one object a line: {LINE}"
            ) from error
        if not isinstance(entry, dict):
            raise UsageError(f"{place} is no object", fix=f"write one object a line: {LINE}")
        yield place, entry


def _read(entry: Mapping[str, Any], place: str) -> tuple[Asked, Listed]:
    caption, user, seed, file, sha256 = (entry.get(name) for name in KEYS[:5])
    wrong = None
    if not _KNOWN.issuperset(entry):
        error = unknown_name("key of a picture", min(entry.keys() - _KNOWN), KEYS)
        raise UsageError(f"{place}: {error.cause}", fix=error.fix)
    if not isinstance(caption, str) or not isinstance(file, str) or not file or "\0" in file:
        wrong = f"{'caption' if not isinstance(caption, str) else 'file'} is no text"
    elif not file.isascii() and not _can_name(file):
        wrong = "file is no name that a file can have"
    elif "user" not in entry or not (user is None or isinstance(user, str)):
        wrong = "user is neither an id in quotes nor null"
    elif type(seed) is not int or not 0 <= seed < 2**64:
        wrong = "seed is no whole number, as it was asked for"
    elif sha256 is not None and not (isinstance(sha256, str) and _SHA256.fullmatch(sha256)):
        wrong = "sha256 is not 64 hex digits"
    elif "\\" in file or ((".." in file or file[0] == "/" or ":" in file) and leads_out(file)):
        raise UsageError(
            f"{place}: {printable(file)!r} lies outside the folder",
            fix="put the file into the folder, and name it relative to that, with / between",
        )
    if wrong or not isinstance(caption, str) or not isinstance(file, str) or type(seed) is not int:
        raise UsageError(f"{place}: {wrong}", fix=f"write it like {LINE}")
    digest = None if sha256 is None else bytes.fromhex(sha256)
    return (caption, user, seed), Listed(file=file, sha256=digest)


def check_places(folder: Path, names: Iterable[str]) -> dict[str, Path]:
    """Where files lie that are there, without opening one; name -> path.

    Args:
        folder: the manifest's.
        names: files that it lists.

    Raises:
        UsageError: one is no regular file or too large, or a link leads out of the folder.
    """
    root = os.path.realpath(folder)
    folders: dict[str, bool] = {}
    found: dict[str, Path] = {}
    for name in names:
        head, _, _ = name.rpartition("/")
        if head not in folders:
            folders[head] = _inside(f"{root}/{head}", root)
        path = f"{root}/{name}"
        try:
            state = os.lstat(path)
            linked = stat.S_ISLNK(state.st_mode)
            if linked:
                state = os.stat(path)  # noqa: PTH116  (a million of them)
        except (OSError, ValueError):
            continue
        if not folders[head] or (linked and not _inside(path, root)):
            raise UsageError(
                f"{folder / FILE}: {printable(name)!r} is a link out of the folder",
                fix="put the file itself into the folder",
            )
        if not stat.S_ISREG(state.st_mode):
            raise UsageError(
                f"{folder / FILE}: {printable(name)!r} is no regular file",
                fix="name a picture's file",
            )
        if state.st_size > MOST_BYTES:
            raise UsageError(
                f"{folder / FILE}: {printable(name)!r} has {state.st_size / 2**20:.0f} MiB, too "
                "much for a picture",
                fix="give a smaller file",
            )
        found[name] = Path(path)
    return found


def _can_name(text: str) -> bool:
    """Whether a file can be called so; JSON can name half a letter, no file system can."""
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return False
    return True


def _inside(path: str, root: str) -> bool:
    real = os.path.realpath(path)
    return real == root or real.startswith(f"{root}/")
