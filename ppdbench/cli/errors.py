"""From an exception to two lines on standard error and an exit code.

Elsewhere: which errors there are and their codes (`ppdbench/errors.py`); usage errors of the
command line itself are Typer's and exit 2.
"""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec

import typer

from ppdbench.errors import FULL, Interrupted, PpdbenchError, from_os_error, printable

P = ParamSpec("P")


def reported(command: Callable[P, None]) -> Callable[P, None]:
    """Let `command` end in a cause, a fix and an exit code, whatever it raises.

    A keyword argument `debug` of the command adds the traceback.
    """

    @functools.wraps(command)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except (typer.Exit, typer.Abort):
            raise
        except BrokenPipeError:
            raise  # the reader went away (`| head`): Typer ends quietly
        except (Exception, KeyboardInterrupt) as error:  # the outermost border: nothing is lost
            if kwargs.get("debug"):
                told = "".join(traceback.format_exception(error))
                typer.echo(printable(told), err=True, nl=False)
            known = explain(error)
            failed, mend = ("error", "fix") if known.exit_code else ("stopped", "next")
            typer.echo(f"{failed}: {_one_line(known.cause)}", err=True)
            typer.echo(f"  {mend}: {_one_line(known.fix)}", err=True)
            raise typer.Exit(known.exit_code) from None

    return guarded


def explain(error: BaseException) -> PpdbenchError:
    """The user-facing form of any exception; an unforeseen one is named a defect of ours."""
    if isinstance(error, PpdbenchError):
        return error
    if isinstance(error, KeyboardInterrupt):
        return Interrupted(
            "interrupted; what was finished is saved", fix="run the same command again to go on"
        )
    if isinstance(error, OSError) and (error.filename or error.errno in FULL):
        return from_os_error(error, Path(str(error.filename)) if error.filename else None)
    return PpdbenchError(
        f"unforeseen {type(error).__name__}: {error}",
        fix="run the same command again with --debug and report the traceback as a defect",
    )


def _one_line(text: str) -> str:
    return printable(" ".join(text.split()))
