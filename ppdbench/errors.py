"""Every error a user may meet: one line of cause, one line of fix, and the exit code.

::

    PpdbenchError             1  a run could not be completed; also: failures above the threshold
    ├── UsageError            2  the command line, a config or a plug-in's name is wrong
    ├── MissingPrerequisite   3  weights, data, a library, a writable folder or disk space
    ├── FingerprintMismatch   4  the run directory holds results of other settings
    ├── BudgetReached         5  more calls would cost more than allowed; what was paid for is saved
    └── Interrupted         130  Ctrl-C or SIGTERM; what was done is saved
        └── Preempted         0  SIGTERM to a training, as schedulers send it
"""

from __future__ import annotations

import contextlib
import difflib
import errno
import shutil
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import ClassVar, TypeVar

T = TypeVar("T")
LONGEST = 1_900
"""Characters of a cause or fix."""


class PpdbenchError(Exception):
    """An error with its fix; the command line prints both and exits with `exit_code`."""

    exit_code: ClassVar[int] = 1

    def __init__(self, cause: str, *, fix: str) -> None:
        cause, fix = _bounded(cause), _bounded(fix)
        super().__init__(f"{cause}\n  fix: {fix}")
        self.cause = cause
        self.fix = fix


def _bounded(text: str) -> str:
    """A text that can be printed, and of a length that can be read: it may quote a stranger's file.

    A lone surrogate, as JSON may name one, would end its printing in a traceback.
    """
    text = text.encode("utf-8", "backslashreplace").decode()
    half = LONGEST // 2
    return text if len(text) <= LONGEST else f"{text[:half]} … {text[-half:]}"


class UsageError(PpdbenchError):
    """A wrong flag, name or config key."""

    exit_code = 2


class MissingPrerequisite(PpdbenchError):
    """Something outside the run is missing: weights, data, a library, space, permission."""

    exit_code = 3


class FingerprintMismatch(PpdbenchError):
    """The run directory was made with settings that give other results."""

    exit_code = 4


class BudgetReached(PpdbenchError):
    """The next call may cost more than is left; what was paid for is saved, in `run` if any."""

    exit_code = 5

    def __init__(self, cause: str, *, fix: str, run: Path | None = None) -> None:
        super().__init__(cause, fix=fix)
        self.run = run


class Interrupted(PpdbenchError):
    """The user or the system asked to stop; state is saved."""

    exit_code = 130


class Preempted(Interrupted):
    """A scheduler takes the machine back from a training, whose state is saved: no failure.

    A scheduler that requeues what it stopped would take another code for one.
    """

    exit_code = 0


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """An error for a name that is not registered, with the nearest known ones in its fix."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    return UsageError(
        f"no {kind} is called {name!r}", fix=f"{hint}known: {', '.join(names) or 'none'}"
    )


def missing_module(who: str, error: ModuleNotFoundError) -> MissingPrerequisite:
    """An error for a plug-in that imports what is not installed, at once or when it is used."""
    return MissingPrerequisite(
        f"{who} needs the module {error.name!r}, which is not installed",
        fix=f"install {error.name} into the environment of ppdbench",
    )


def all_at_once(*steps: Callable[[], T]) -> list[T]:
    """Take several steps that may each find something missing; returns what they return.

    Raises:
        MissingPrerequisite: one or more did, and all of it is named, so that a user mends it once.
    """
    done: list[T] = []
    missing: list[MissingPrerequisite] = []
    for step in steps:
        try:
            done.append(step())
        except MissingPrerequisite as error:
            missing.append(error)
    if missing:
        raise MissingPrerequisite(
            "; ".join(dict.fromkeys(error.cause for error in missing)),
            fix="; ".join(dict.fromkeys(error.fix for error in missing)),
        )
    return done


def one_line(error: BaseException, limit: int = 300) -> str:
    """What a library said, on one line; torch lists wrong keys below a line that names none."""
    said = " ".join(str(error).split()) or type(error).__name__
    return said if len(said) <= limit else f"{said[: limit - 1]}…"


def printable(text: str) -> str:
    """A text without what would steer a terminal or turn its lines round: such signs are escaped.

    Spaces of any width and ends of lines stay.
    """
    if text.isprintable():  # the quick answer for nearly every text
        return text
    return "".join(
        sign
        if sign.isprintable() or sign == "\n" or unicodedata.category(sign) == "Zs"
        else ascii(sign)[1:-1]
        for sign in text
    )


FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says where there is no room: on the disk, in the quota, below `ulimit -f`."""


def from_os_error(error: OSError, path: Path | None) -> PpdbenchError:
    """Translate what the operating system says of a write to `path` into cause and fix.

    Args:
        error: what it said.
        path: what was written; None where the system did not say.
    """
    if error.errno in FULL:
        return MissingPrerequisite(
            f"no space left while writing {path or 'a file'}{_room(error, path)}",
            fix="free some space and run the same command again; what was finished is kept",
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return MissingPrerequisite(
            f"{path or 'a file'} cannot be written: {error.strerror}",
            fix="choose a folder you may write to with --runs DIR "
            "(a training: --output, pictures: --out, the cache: PPDBENCH_CACHE=DIR)",
        )
    return PpdbenchError(
        f"{path}: {error.strerror or error}" if path else f"{error.strerror or error}",
        fix="check the path and run the same command again",
    )


def _room(error: OSError, path: Path | None) -> str:
    """How much is free where `path` was to be, or which limit was met instead."""
    if error.errno == errno.EFBIG:
        return ": it would be larger than files may be here (ulimit -f, or the file system's limit)"
    if error.errno == errno.EDQUOT:
        return ": your quota there is used up"
    for folder in path.parents if path is not None else ():
        with contextlib.suppress(OSError):  # not made yet
            free = shutil.disk_usage(folder).free
            return f": {free / 1e6:.1f} MB are free in {folder.absolute()}"
    return ""
