"""A run's judgments on record: which calls they answer, and what they took.

Elsewhere: who asks for what is missing (`ask`), what is in a record (`verdict_records`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ppdbench.judges.begun import unaccounted
from ppdbench.judges.call import Call
from ppdbench.judges.store import VerdictStore
from ppdbench.judges.verdict_records import verdict_of
from ppdbench.runs.records import each_record, read_records

FILE = "judgments.jsonl"
BRIEF = ("call", "status", "stamp", "cached", "cost")
"""Of a record, what tells whether its call is to be asked again and what it took."""
AT_ONCE = 1000
"""Verdicts that are looked for in the cache at once."""


def done(path: Path, calls: Sequence[Call]) -> dict[str, dict[str, Any]]:
    """Call id -> its last record, of the calls that need not be asked again."""
    return answered(read_records(path), calls)


def answered(records: Iterable[dict[str, Any]], calls: Sequence[Call]) -> dict[str, dict[str, Any]]:
    """Call id -> its last record, of records that were read already; of done calls alone."""
    stamps = {call.id: call.stamp for call in calls}
    last = {record["call"]: record for record in records}
    return {call: record for call, record in last.items() if still_holds(record, stamps)}


def still_holds(record: Mapping[str, Any], stamps: Mapping[str, str]) -> bool:
    """Whether a record is a verdict on what its call shows now."""
    return bool(record["status"] == "ok" and stamps.get(record["call"]) == record["stamp"])


def spent(folder: Path) -> float:
    """US dollars that all calls of a run took, failed ones included, and those that were cut."""
    records = read_records(folder / FILE)
    return paid(records) + unaccounted(folder, records)


def paid(records: Iterable[Mapping[str, Any]]) -> float:
    """US dollars that calls on record took, failed ones included."""
    return sum(float(record["cost"]) for record in records if not record["cached"])


def look_up(
    path: Path, stamps: Mapping[str, str], store: VerdictStore | None
) -> list[dict[str, Any]]:
    """What became of every call on record, without what was said: there may be very many.

    Args:
        path: the records.
        stamps: call id -> what it shows now.
        store: is given the verdicts that are on record alone, as after a kill.
    """
    brief: list[dict[str, Any]] = []
    said: dict[bytes, dict[str, Any]] = {}
    for record in each_record(path):
        brief.append({name: record[name] for name in BRIEF})
        if store is not None and still_holds(record, stamps):
            said[bytes.fromhex(record["key"])] = record
            if len(said) == AT_ONCE:
                _keep(store, said)
                said = {}
    if store is not None:
        _keep(store, said)
    return brief


def _keep(store: VerdictStore, said: Mapping[bytes, Mapping[str, Any]]) -> None:
    """Keep what is not there."""
    there = store.known(said)
    store.keep({key: verdict_of(said[key]) for key in said.keys() - there.keys()})
