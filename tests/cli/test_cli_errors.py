"""Whatever a command raises ends in a cause, a fix and the documented code."""

import errno

import pytest
import typer

from ppdbench import errors
from ppdbench.cli.errors import reported


def run_raising(error: BaseException, *, debug: bool = False) -> int:
    @reported
    def command(*, debug: bool) -> None:  # noqa: ARG001  (read by `reported`)
        raise error

    with pytest.raises(typer.Exit) as ended:
        command(debug=debug)
    return ended.value.exit_code


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (errors.PpdbenchError("broken", fix="mend it"), 1, "mend it"),
        (errors.UsageError("no such flag", fix="use another"), 2, "no such flag"),
        (errors.MissingPrerequisite("no weights", fix="fetch them"), 3, "fetch them"),
        (errors.FingerprintMismatch("other steps", fix="elsewhere"), 4, "other steps"),
        (errors.Interrupted("stopped", fix="go on"), 130, "go on"),
        (KeyboardInterrupt(), 130, "same command again"),
        (OSError(errno.ENOSPC, "No space left on device", "scores.jsonl"), 3, "scores.jsonl"),
        (OSError(errno.ENOSPC, "No space left on device"), 3, "no space left"),
        (PermissionError(errno.EACCES, "Permission denied", "runs/x"), 3, "--runs DIR"),
        (ZeroDivisionError("by zero"), 1, "ZeroDivisionError: by zero"),
    ],
)
def test_two_lines_and_the_code(
    error: BaseException, code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_raising(error) == code
    printed = capsys.readouterr()
    cause, fix = printed.err.splitlines()
    assert cause.startswith("error: ")
    assert fix.startswith("  fix: ")
    assert says in printed.err
    assert printed.out == ""


def test_a_cause_of_several_lines_is_printed_as_one(capsys: pytest.CaptureFixture[str]) -> None:
    run_raising(errors.PpdbenchError("first\n  second", fix="a\nb"))
    assert capsys.readouterr().err == "error: first second\n  fix: a b\n"


def test_debug_adds_the_traceback_before_the_two_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_raising(errors.UsageError("wrong", fix="right"), debug=True) == 2
    text = capsys.readouterr().err
    assert "Traceback (most recent call last)" in text
    assert text.endswith("error: wrong\n  fix: right\n")


def test_an_exit_of_the_command_itself_passes() -> None:
    assert run_raising(typer.Exit(7)) == 7
