"""A finished run or comparison shown: its page, its tables on the terminal, its summary as JSON.

Elsewhere: how page and table are made (`reports/`), where output goes (`console.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ppdbench.cli.console import Console
from ppdbench.errors import UsageError
from ppdbench.reports.summary import is_comparison, read_summary


def require_run(folder: Path) -> None:
    """Check that `folder` is a run with a summary.

    Raises:
        UsageError: it is not; the fix names the runs beside it, if there are any.
    """
    if (folder / "summary.json").is_file():
        return
    if (folder / "spec.json").is_file():
        raise UsageError(
            f"{folder} holds a run that is not finished: it has no summary.json",
            fix="run its command again; what was done is kept",
        )
    near = sorted(path.parent for path in folder.glob("**/summary.json"))[:3]
    hint = f"did you mean {' or '.join(map(str, near))}? " if near else ""
    raise UsageError(
        f"{folder} is no run folder",
        fix=f"{hint}`ppdbench eval`, `judge` and `calibrate` print the folder of their run",
    )


def measured_run(folder: Path) -> dict[str, Any]:
    """The summary of a run, not of a comparison.

    Raises:
        UsageError: it is no run folder, or a comparison.
        PpdbenchError: its summary.json is damaged or of another version.
    """
    require_run(folder)
    summary = read_summary(folder / "summary.json")
    if is_comparison(summary):
        raise UsageError(f"{folder} is a comparison, not a run", fix="name the runs it compares")
    return summary


def write_report_if_older(folder: Path, console: Console) -> None:
    """Build report.html unless the one that is there was built from this summary.

    Who writes a summary takes the page of the one before away (`benchmarks.summary_file`): times
    alone would not tell where the clock was set back in between.
    """
    page, summary = folder / "report.html", folder / "summary.json"
    if page.is_file() and page.stat().st_mtime_ns >= summary.stat().st_mtime_ns:
        return
    console.stage("report", 1)
    write_page(folder)
    console.advance()


def write_page(folder: Path) -> None:
    """Build report.html of a run, or of a comparison.

    Raises:
        PpdbenchError: its summary.json is damaged or of another version, or it cannot be written.
    """
    # Late: a finished run, shown again, needs no plots.
    if is_comparison(read_summary(folder / "summary.json")):
        from ppdbench.reports.compare.page import write_comparison

        write_comparison(folder)
    else:
        from ppdbench.reports.html import write_report

        write_report(folder)


def report_and_show(folder: Path | None, console: Console) -> None:
    """Build the page of what a command made if it is older, and show it; None is nothing made."""
    if folder is not None:
        write_report_if_older(folder, console)
        show_run(folder, console)


def show_run(folder: Path, console: Console) -> None:
    """Print the tables and the places of a run's files, and with `--json` its summary."""
    from ppdbench.reports.interpolation.table import interpolation_tables
    from ppdbench.reports.judge.table import calibration_tables, judge_tables
    from ppdbench.reports.people.table import people_tables
    from ppdbench.reports.tables import eval_table
    from ppdbench.reports.tradeoff.table import tradeoff_tables

    path = folder / "summary.json"
    summary, text = read_summary(path), path.read_text(encoding="utf-8")
    console.place("summary", path)
    console.place("report", folder / "report.html")
    if is_comparison(summary):
        from ppdbench.reports.compare.table import comparison_tables

        for table in comparison_tables(summary):
            console.show(table)
        console.json(text)
        return
    others = [
        *interpolation_tables(summary),
        *tradeoff_tables(summary),
        *people_tables(summary),
        *judge_tables(summary),
        *calibration_tables(summary),
    ]
    if not others or summary["benchmarks"].get("rewards"):
        console.show(eval_table(summary))
    for table in others:
        console.show(table)
    console.json(text)
