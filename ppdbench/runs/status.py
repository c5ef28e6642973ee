"""status.json: what a run is doing and where its time went, also after a kill.

Seconds add up over the processes that worked on a run; they are saved at each change of stage and
every few seconds within one.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from ppdbench.runs.atomic import write_json
from ppdbench.runs.json_file import finite_json

State = Literal["running", "done", "failed", "interrupted"]
SAVE_EVERY = 5.0
"""Seconds between two saves within a stage."""


class Status:
    """The status of one run; the only writer of its file while the run is locked."""

    def __init__(self, path: Path) -> None:
        self._path = path
        before = _before(path)
        self.state: State = "running"
        self.stage: str | None = None
        self.started: str = before.get("started") or _now()
        self.seconds: dict[str, float] = before.get("seconds") or {}
        self._since = self._saved = time.monotonic()

    @contextlib.contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Count what happens inside as time of `stage`."""
        self.stage = stage
        self._since = time.monotonic()
        self.save()
        try:
            yield
        finally:
            self._count()

    def tick(self) -> None:
        """Save now and then; cheap enough to call for every batch."""
        if time.monotonic() - self._saved >= SAVE_EVERY:
            self._count()
            self.save()

    def finish(self, state: State) -> None:
        """Write the final state."""
        self.state = state
        self.save()

    def save(self) -> None:
        """Write the file.

        Raises:
            PpdbenchError: the folder cannot be written.
        """
        self._saved = time.monotonic()
        write_json(
            self._path,
            {
                "schema_version": 1,
                "state": self.state,
                "stage": self.stage,
                "started": self.started,
                "updated": _now(),
                "seconds": {stage: round(s, 3) for stage, s in self.seconds.items()},
            },
        )

    def _count(self) -> None:
        now = time.monotonic()
        if self.stage is not None:
            self.seconds[self.stage] = self.seconds.get(self.stage, 0.0) + now - self._since
        self._since = now


def _before(path: Path) -> dict[str, Any]:
    """What an earlier process left; a status that cannot be read costs its times, no more."""
    try:
        found = finite_json(path.read_bytes())
        seconds = {str(stage): 0.0 + s for stage, s in found["seconds"].items()}
        "".join(seconds).encode()  # a lone surrogate could not be written again
        return {
            "started": datetime.fromisoformat(found["started"]).isoformat(),
            "seconds": seconds,
        }
    except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return {}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
