"""Training metrics: a line a step in metrics.jsonl, and a watch that warns before a run is lost.

After a kill the log is cut back to the step of the saved state, so that it reads as if nothing
had happened.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ppdbench.runs.atomic import write_atomic
from ppdbench.runs.records import RecordWriter, read_records


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of a metrics.jsonl, a dict a step; a torn last line is dropped."""
    return read_records(path)


def open_metrics(path: Path, *, step: int) -> RecordWriter:
    """The log, cut back to what was written before `step` steps were done."""
    if path.is_file() and (step == 0 or any(r["step"] > step for r in read_records(path))):
        kept = [
            line
            for line, r in zip(_lines(path), read_records(path), strict=False)
            if r["step"] <= step
        ]
        write_atomic(path, "".join(f"{line}\n" for line in kept))
    return RecordWriter(path)


class DriftWatch:
    """Warns when winners and losers both get worse than the reference, and are getting worse yet.

    The preference loss may fall meanwhile, or stand still: it sees the difference only. Published
    runs were lost this way (both losses blow up at too high a learning rate).
    """

    def __init__(self, *, window: int = 25, share: float = 0.02) -> None:
        """Compare two windows of steps; drift below `share` of the base's error does not count."""
        self._share = share
        self._terms: deque[tuple[float, float, float]] = deque(maxlen=2 * window)
        self.warned = False

    def recall(self, rows: Sequence[Mapping[str, float]], *, warned: bool) -> None:
        """Take in what was logged before a stop: a resumed run warns where any other would."""
        for row in rows[-(self._terms.maxlen or 0) :]:
            self.see(row)
        self.warned = warned

    def see(self, row: Mapping[str, float]) -> str | None:
        """Take in one step's metrics; a warning the first time that both rise."""
        if "lose_term" not in row:
            return None
        self._terms.append((row["win_term"], row["lose_term"], row["reference_error"]))
        if self.warned or len(self._terms) < (self._terms.maxlen or 0):
            return None
        before, after = np.split(np.array(self._terms), 2)
        least = self._share * after[:, 2].mean()
        rise = after[:, :2].mean(0) - before[:, :2].mean(0)
        if not ((after[:, :2].mean(0) > least).all() and (rise > 0).all()):
            return None
        self.warned = True
        return (
            "warning: the errors of preferred and of other images both rise above the base's "
            f"(by {after[:, 0].mean():.4f} and {after[:, 1].mean():.4f}): the model is leaving "
            "its data; lower optimizer.lr"
        )


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines()
