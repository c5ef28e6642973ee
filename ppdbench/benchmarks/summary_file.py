"""When a run's summary.json is written: unless it stands for these very inputs already.

Elsewhere: what is in it (`summary`, `judge.summary`, `calibration.summary`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ppdbench import __version__
from ppdbench.errors import from_os_error
from ppdbench.protocols import Events
from ppdbench.runs.atomic import write_json
from ppdbench.runs.directory import RunDirectory
from ppdbench.runs.fingerprint import fingerprint

SCHEMA_VERSION = 1


def write_if_changed(
    run: RunDirectory,
    inputs: Mapping[str, Any],
    make: Callable[[], dict[str, Any]],
    events: Events,
    holds: Callable[[Mapping[str, Any]], bool] = lambda _: True,
) -> dict[str, Any]:
    """The run's summary: the one that is there if it was made of the same, else a new one.

    Args:
        run: the run.
        inputs: all that it is computed from, as JSON, beside the version of ppdbench.
        make: computes it.
        events: is told of progress.
        holds: whether an earlier one still does, beyond its inputs.

    Raises:
        PpdbenchError: the file cannot be written, or what `make` raises.
    """
    made_of = fingerprint({"ppdbench": __version__, **inputs})
    earlier = _earlier(run.summary)
    if earlier is not None and earlier.get("inputs") == made_of and holds(earlier):
        return earlier
    events.stage("summarise", 1)
    with run.status.timed("summarise"):
        summary = make()
    summary |= {"seconds": {stage: round(s, 3) for stage, s in run.status.seconds.items()}}
    try:  # the page of another summary: its time may be later, where the clock was set back
        run.page.unlink(missing_ok=True)
    except OSError as error:
        raise from_os_error(error, run.page) from error
    write_json(run.summary, {**summary, "inputs": made_of})
    events.advance(1)
    return summary


def sha256_of(path: Path) -> str | None:
    """Hash of a file; None where it is not there."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _earlier(path: Path) -> dict[str, Any] | None:
    """The summary that is there; a damaged one is made anew."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
