"""Where output goes: results on standard output, progress and notes on standard error.

On a terminal progress is drawn with rich, elsewhere as plain lines. With `--json` standard output
carries the JSON alone: anything that prints meanwhile is sent to standard error, native libraries
too, which know nothing of `sys.stdout`.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import time
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from ppdbench.errors import printable

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console as RichConsole
    from rich.console import ConsoleOptions, RenderableType
    from rich.progress import Progress, TaskID

PLAIN_SECONDS = 5.0
"""Off a terminal, at least this long between two progress lines of a stage."""


class Console:
    """The output of one command; a context manager, so that a drawn bar never outlives it.

    It is what `evaluate` and the trainers take as `events`: `stage`, `advance`, `note`.
    """

    def __init__(self, *, as_json: bool = False, quiet: bool = False) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self._stdout = sys.stdout
        self._stack = contextlib.ExitStack()
        self._results = _plain_console(stderr=as_json)
        self._side = _plain_console(stderr=True)
        self._bars: Bars | Lines = Bars(self._side) if self._side.is_terminal else Lines(self._side)

    def __enter__(self) -> Self:
        if self.as_json:
            self._stdout = self._stack.enter_context(_alone(sys.stdout, sys.stderr))
            self._stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._stack:
            self._bars.close()

    def stage(self, name: str, total: int) -> None:
        """Begin a stage of `total` steps; the stage before it is over."""
        if not self.quiet:
            self._bars.stage(name, total)

    def advance(self, n: int = 1) -> None:
        """Count `n` further steps of the stage."""
        if not self.quiet:
            self._bars.advance(n)

    def note(self, text: str) -> None:
        """Say something worth knowing that is neither a result nor an error."""
        if not self.quiet:
            self._side.print(text, markup=False, highlight=False, soft_wrap=True)

    def show(self, result: RenderableType) -> None:
        """Print a result for people; with `--json` it goes to standard error."""
        self._bars.close()
        if not (self.as_json and self.quiet):
            self._results.print(result)

    def line(self, text: str) -> None:
        """Print a result of one line; with `--json` it goes to standard error."""
        self._bars.close()
        if not (self.as_json and self.quiet):
            self._results.print(text, markup=False, highlight=False, soft_wrap=True)

    def place(self, label: str, path: Path) -> None:
        """Say where a file is, on one line of its own however long it is."""
        self._bars.close()
        if not self.quiet:
            self._results.print(f"{label}: {path}", markup=False, highlight=False, soft_wrap=True)

    def json(self, text: str) -> None:
        """Print `text` to the real standard output if `--json` was asked for."""
        if self.as_json:
            self._stdout.write(text if text.endswith("\n") else f"{text}\n")
            self._stdout.flush()


@contextlib.contextmanager
def _alone(stdout: TextIO, stderr: TextIO | None) -> Iterator[TextIO]:
    """A stream to standard output, in UTF-8, whose file descriptor leads nobody else there.

    Gloo says on descriptor 1 who is connected, NCCL its version; meanwhile that is standard error.
    """
    out, err = _descriptor(stdout), _descriptor(stderr)
    if out is None:
        if isinstance(stdout, io.TextIOWrapper):
            stdout.reconfigure(encoding="utf-8")  # whatever the terminal's is
        yield stdout
        return
    stdout.flush()
    kept = os.dup(out)
    aside = os.open(os.devnull, os.O_WRONLY) if err is None else os.dup(err)
    try:
        os.dup2(aside, out)
        with open(kept, "w", encoding="utf-8", closefd=False) as own:
            yield own
    finally:
        stdout.flush()  # what others wrote to the stream itself
        _flush_native()
        os.dup2(kept, out)
        os.close(kept)
        os.close(aside)


def _descriptor(stream: TextIO | None) -> int | None:
    """The file descriptor of a stream; a closed one and a stand-in have none."""
    try:
        return None if stream is None else stream.fileno()
    except (OSError, ValueError):
        return None


def _flush_native() -> None:
    """Let C's streams write what they hold, where C's library can be asked to."""
    import ctypes

    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).fflush(None)


def _plain_console(*, stderr: bool) -> RichConsole:
    """A console that shows signs which would steer it, in whatever is printed, as escapes."""
    from rich.console import Console as RichConsole
    from rich.segment import Segment

    class Plain(RichConsole):
        def render(
            self, renderable: RenderableType, options: ConsoleOptions | None = None
        ) -> Iterator[Segment]:
            for each in super().render(renderable, options):
                if each.control or each.text.isprintable():
                    yield each
                else:
                    yield Segment(printable(each.text), each.style)

    return Plain(stderr=stderr, emoji=False)


class Bars:
    """Progress for a terminal: one bar a stage."""

    def __init__(self, console: RichConsole) -> None:
        self._console = console
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def stage(self, name: str, total: int) -> None:
        """Add the bar of a stage; a stage with nothing to do is drawn full."""
        if self._progress is None:
            self._progress = _bar_columns(self._console)
            self._progress.start()
        self._task = self._progress.add_task(name, total=max(total, 1), completed=int(total == 0))

    def advance(self, n: int) -> None:
        """Move the current bar."""
        if self._progress is not None and self._task is not None:
            self._progress.advance(self._task, n)

    def close(self) -> None:
        """Leave the bars as they stand and give the terminal back."""
        if self._progress is not None:
            self._progress.stop()
        self._progress = self._task = None


def _bar_columns(console: RichConsole) -> Progress:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description:<24}", markup=False),  # of stages named after plug-ins
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )


class Lines:
    """Progress for a log file: the start, the end, and a line now and then between."""

    def __init__(self, console: RichConsole) -> None:
        self._console = console
        self._name = ""
        self._total = self._done = 0
        self._started = self._printed = 0.0

    def stage(self, name: str, total: int) -> None:
        """Print how much a stage has to do."""
        self._name, self._total, self._done = name, total, 0
        self._started = self._printed = time.monotonic()
        self._print(f"{name}: {f'0/{total}' if total else 'nothing to do'}")

    def advance(self, n: int) -> None:
        """Print the count if it is complete or the last line is some seconds old."""
        self._done += n
        now = time.monotonic()
        if self._done < self._total and now - self._printed < PLAIN_SECONDS:
            return
        self._printed = now
        self._print(f"{self._name}: {self._done}/{self._total} ({now - self._started:.0f} s)")

    def close(self) -> None:
        """Nothing to give back."""

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)
