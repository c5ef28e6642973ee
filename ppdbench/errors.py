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

import difflib
import errno
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import ClassVar, TypeVar

T = TypeVar("T")


class PpdbenchError(Exception):
    """An error with its fix; the command line prints both and exits with `exit_code`."""

    exit_code: ClassVar[int] = 1

    def __init__(self, cause: str, *, fix: str) -> None:
        super().__init__(f"{cause}\n  fix: {fix}")
        self.cause = cause
        self.fix = fix


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


def from_os_error(error: OSError, path: Path) -> PpdbenchError:
    """Translate what the operating system says of a write to `path` into cause and fix."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return MissingPrerequisite(
            f"no space left while writing {path}",
            fix="free some space and run the same command again; what was finished is kept",
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return MissingPrerequisite(
            f"{path} cannot be written: {error.strerror}",
            fix="choose a folder you may write to with --runs DIR "
            "(a training: --output, pictures: --out)",
        )
    return PpdbenchError(
        f"{path}: {error.strerror or error}", fix="check the path and run the same command again"
    )
