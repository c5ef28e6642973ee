"""Calls that were begun under a budget: what a killed run may have paid for without an answer.

A line is written before a call is sent, with the most that one attempt may cost. A call that was
begun more often than it has records was cut in between, and counts at that bound. Elsewhere: who
asks (`ask`), money while a run lasts (`budget`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ppdbench.protocols import Estimating, Judge, Question
from ppdbench.runs.atomic import write_atomic
from ppdbench.runs.records import SCHEMA_VERSION, RecordWriter, read_records

FILE = "begun.jsonl"
EARLIER = "-"
"""Stands for all calls that were cut before; no call is called so."""


class Begun:
    """Notes the calls of one run as they are begun; nothing where nothing is known to cost."""

    def __init__(self, folder: Path, judge: Judge, lost: float) -> None:
        """See where to note; nothing is written.

        Args:
            folder: the run's.
            judge: who is asked.
            lost: US dollars that earlier processes may have paid without an answer.
        """
        self._path = folder / FILE
        self._judge = judge
        self._lost = lost
        self._writer: RecordWriter | None = None

    def note(self, call: str, question: Question) -> None:
        """Note that a call is about to be sent.

        Raises:
            PpdbenchError: the file cannot be written.
        """
        if not isinstance(self._judge, Estimating):
            return
        bound = self._judge.estimate(question).cost
        if bound:
            self._writer = self._writer or RecordWriter(self._path)
            self._writer.write([{"call": call, "bound": bound}])

    def settle(self) -> None:
        """Every call that was sent is on record: what is left is what earlier processes lost.

        Raises:
            PpdbenchError: the file cannot be written.
        """
        if self._writer is None:
            return
        self._writer.close()
        line = {"schema_version": SCHEMA_VERSION, "call": EARLIER, "bound": self._lost}
        write_atomic(self._path, json.dumps(line) + "\n")


def unaccounted(folder: Path, records: Iterable[Mapping[str, Any]]) -> float:
    """US dollars that calls without a record may have taken.

    Args:
        folder: the run's.
        records: all of its records, in which verdicts from the cache are marked.

    Raises:
        PpdbenchError: the file is damaged before its last line.
    """
    begun = read_records(folder / FILE)
    bounds = {line["call"]: float(line["bound"]) for line in begun}
    times = Counter(line["call"] for line in begun)
    answered = Counter(record["call"] for record in records if not record["cached"])
    return sum(bounds[call] * max(0, n - answered[call]) for call, n in times.items())
