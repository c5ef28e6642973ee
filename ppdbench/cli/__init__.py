"""The command line: this file only wires; each command has a file of its own.

Nothing here or in a command's module level imports torch, so that `--help` answers at once.
Elsewhere: output (`console.py`), errors and exit codes (`errors.py`), shared options
(`options.py`).
"""

from __future__ import annotations

import signal
from types import FrameType
from typing import Annotated

import typer

import ppdbench
from ppdbench.cli import calibrate as calibrate_command
from ppdbench.cli import check as check_command
from ppdbench.cli import compare as compare_command
from ppdbench.cli import (
    data,
    data_prepare,
    data_requests,
    leaderboard,
    leaderboard_reproduce,
    leaderboard_site,
    train_reference,
)
from ppdbench.cli import eval as eval_command
from ppdbench.cli import generate as generate_command
from ppdbench.cli import judge as judge_command
from ppdbench.cli import list as list_command
from ppdbench.cli import report as report_command
from ppdbench.cli import score as score_command

app = typer.Typer(
    name="ppdbench",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("eval")(eval_command.run)
app.command("judge")(judge_command.run)
app.command("calibrate")(calibrate_command.run)
app.command("generate")(generate_command.run)
app.command("compare")(compare_command.run)
app.command("report")(report_command.run)
app.command("score")(score_command.run)
app.command("train-reference")(train_reference.run)
app.command("check")(check_command.run)
app.command("list")(list_command.run)
data.app.command("prepare")(data_prepare.run)
data.app.command("requests")(data_requests.run)
leaderboard.app.command("reproduce")(leaderboard_reproduce.reproduce)
leaderboard.app.command("build")(leaderboard_site.build)
leaderboard.app.command("serve")(leaderboard_site.serve)
app.add_typer(data.app, name="data")
app.add_typer(leaderboard.app, name="leaderboard")


def _print_version(requested: bool) -> None:
    if requested:
        typer.echo(f"ppdbench {ppdbench.__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Measure whether a text-to-image model draws what this user likes."""


class _Stop(KeyboardInterrupt):
    """SIGTERM came.

    A class of its own: where KeyboardInterrupt itself goes through an `exec` of text, as that in
    which a dataclass is made, Python ends by SIGINT, even if somebody caught it.
    """


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise _Stop


def main() -> None:
    """Run the command line; SIGTERM stops it as Ctrl-C does, with the state saved."""
    signal.signal(signal.SIGTERM, _stop)
    app(prog_name="ppdbench")
