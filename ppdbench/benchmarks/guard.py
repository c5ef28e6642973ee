"""How a job over a run directory begins and ends: numbers checked, stops taken, the end noted.

For the jobs themselves (`evaluate`, `judge`, `calibrate`).
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from ppdbench.errors import Interrupted, PpdbenchError, UsageError
from ppdbench.runs.directory import RunDirectory


class TooManyFailures(PpdbenchError):
    """More items failed than allowed; all files of the run, `run`, are written."""

    def __init__(self, cause: str, *, fix: str, run: Path) -> None:
        super().__init__(cause, fix=fix)
        self.run = run


def raise_if_withheld(summary: Mapping[str, Any], run: Path) -> None:
    """End in an error where a summary withholds its headline.

    Raises:
        TooManyFailures: it does; the first failure is named.
    """
    if summary["withheld"]:
        first = "".join(f"; first: {f['item']}: {f['error']}" for f in summary["failures"][:1])
        raise TooManyFailures(
            f"{summary['withheld']}{first}",
            fix="mend the cause and run the same command again, which tries only those; "
            "or allow a share of failures with --fail-on-error",
            run=run,
        )


def check_numbers(fail_on_error: float, **from_one: int | None) -> None:
    """Refuse numbers out of range.

    Args:
        fail_on_error: a share.
        from_one: what must be 1 or more, where it is given.

    Raises:
        UsageError: with what would do.
    """
    for what, number in from_one.items():
        if number is not None and number < 1:
            raise UsageError(f"{what.replace('_', ' ')} is {number}", fix="give a number from 1")
    if not 0 <= fail_on_error <= 1:
        raise UsageError(f"fail on error is {fail_on_error}", fix="give a share from 0 to 1")


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Let SIGTERM and Ctrl-C end in one error; what was finished is kept.

    Raises:
        Interrupted: on either.
    """
    try:
        with _sigterm_as_interrupt():
            yield
    except KeyboardInterrupt:
        raise Interrupted(
            "interrupted; what was finished is saved", fix="run the same command again to go on"
        ) from None


@contextlib.contextmanager
def final_state(run: RunDirectory) -> Iterator[None]:
    """Leave in status.json how the run ended; whoever reads it need not have seen it."""
    try:
        yield
    except BaseException as error:
        stopped = isinstance(error, KeyboardInterrupt)
        with contextlib.suppress(PpdbenchError):  # a full disk: the first error is the useful one
            run.status.finish("interrupted" if stopped else "failed")
        raise
    run.status.finish("done")


@contextlib.contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """Take SIGTERM as Ctrl-C is taken: by KeyboardInterrupt, which no plug-in swallows."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
