"""`ppdbench report`: build the page of a finished run or comparison again, from its files alone."""

from __future__ import annotations

from ppdbench.cli import options
from ppdbench.cli.errors import reported


@reported
def run(
    folder: options.RunFolder,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,  # noqa: ARG001  (read by `reported`)
) -> None:
    """Build report.html of a run or comparison again and print its tables; nothing is measured."""
    from ppdbench.cli.console import Console
    from ppdbench.cli.results import require_run, show_run, write_page

    with Console(as_json=as_json, quiet=quiet) as console:
        require_run(folder)
        write_page(folder)
        show_run(folder, console)
