"""The calibration that a judged run rests on: the largest one beside it of the same judge.

Same judge, revision, number of shots and users; found among the runs of the suite. Elsewhere: how a
judge is calibrated (`calibration.run`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ppdbench.protocols import JudgeInfo
from ppdbench.runs.file_names import file_name
from ppdbench.runs.json_file import finite_json

PREFIX = "calibrate-"
"""Before the judge's name in the names of runs."""


def find_calibration(
    runs: Path, suite: str, people: str, judge: JudgeInfo, shots: int
) -> dict[str, Any] | None:
    """The figures of the calibration by most choices, the newest of equals; None where none is.

    With the name of its `folder`.

    Args:
        runs: folder of all runs.
        suite: the suite's name.
        people: digest of its users.
        judge: who was calibrated.
        shots: by how many.
    """
    found: list[tuple[tuple[int, str], dict[str, Any]]] = []
    for path in sorted((runs / file_name(suite)).glob(f"{PREFIX}*/summary.json")):
        try:
            summary = finite_json(path.read_bytes())
            figures = summary["benchmarks"]["calibration"]
            same = (
                figures["judge"] == judge.name
                and figures["revision"] == judge.revision
                and figures["shots"] == shots
                and summary["suite_digest"] == people
                and not summary["withheld"]
            )
            size = (int(figures["n"]), str(summary["created"]))
        except (OSError, ValueError, RecursionError, KeyError, TypeError):
            continue
        if same:
            found.append((size, {**figures, "folder": path.parent.name}))
    return max(found, key=lambda each: each[0])[1] if found else None
