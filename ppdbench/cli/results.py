"""A finished run or comparison shown: its page, its tables on the terminal, its summary as JSON.

Elsewhere: how page and table are made (`reports/`), where output goes (`console.py`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ppdbench.cli.console import Console
from ppdbench.errors import PpdbenchError, UsageError


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


def read_summary(folder: Path) -> str:
    """The text of summary.json.

    Raises:
        PpdbenchError: it is no JSON.
    """
    path = folder / "summary.json"
    text = path.read_text(encoding="utf-8")
    try:
        json.loads(text)
    except ValueError as error:
        raise PpdbenchError(
            f"{path} is damaged: {error}",
            fix="run its command again: it is written anew, nothing is drawn or asked anew",
        ) from None
    return text


def write_report_if_older(folder: Path, console: Console) -> None:
    """Build report.html unless the one that is there was built from this summary."""
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
    if is_comparison(json.loads(read_summary(folder))):
        from ppdbench.reports.compare.page import write_comparison

        write_comparison(folder)
    else:
        from ppdbench.reports.html import write_report

        write_report(folder)


def is_comparison(summary: Any) -> bool:
    """Whether a summary is of several runs."""
    return isinstance(summary, dict) and summary.get("kind") == "comparison"


def show_run(folder: Path, console: Console) -> None:
    """Print the tables and the places of a run's files, and with `--json` its summary."""
    from ppdbench.reports.interpolation.table import interpolation_tables
    from ppdbench.reports.judge.table import calibration_tables, judge_tables
    from ppdbench.reports.people.table import people_tables
    from ppdbench.reports.tables import eval_table
    from ppdbench.reports.tradeoff.table import tradeoff_tables

    text = read_summary(folder)
    console.place("summary", folder / "summary.json")
    console.place("report", folder / "report.html")
    summary = json.loads(text)
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
