"""`ppdbench compare`: finished runs held against each other, item by item.

Elsewhere: the comparison itself (`benchmarks/compare/run.py`), the page and the tables
(`reports/`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ppdbench.cli import options
from ppdbench.cli.errors import reported


@reported
def run(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN_A RUN_B [RUN]...", help="Folders of finished runs of one suite."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The folder to write. Default: comparisons/MODELS-..."),
    ] = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,  # noqa: ARG001  (read by `reported`)
) -> None:
    """Hold finished runs against each other, paired item by item.

    Every difference has its interval, its test and the smallest effect that it would have found.
    Nothing is drawn, scored or asked; the runs' folders are only read.
    """
    from ppdbench.benchmarks.compare.run import compare
    from ppdbench.cli.console import Console
    from ppdbench.cli.results import report_and_show, require_run

    with Console(as_json=as_json, quiet=quiet) as console:
        for folder in folders:
            require_run(folder)
        path = compare(folders, out=out, events=console)
        report_and_show(path, console)
