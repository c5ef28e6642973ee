"""users.jsonl: where each test group's user stands, one line a group, and how it was found.

The lines of one variant (an encoder, a kind of captions, own or a control) are followed by one that
closes it; without that the variant is not there, and what a killed writer left of it is cut off
before anything is added. A later result of the same variant stands in place of an earlier one.
Elsewhere: who writes them (`users.classify`), the figures (`users.figures`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ppdbench.runs.atomic import write_atomic
from ppdbench.runs.records import read_records

FILE = "users.jsonl"

Kind = Literal["topics", "common"]
"""Whose captions: everybody's own topics, or captions that are common to all."""
Variant = Literal["own", "captions_only", "labels_swapped", "labels_permuted"]

Record = Mapping[str, Any]
_KEY = ("encoder", "kind", "variant", "identity")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One variant, complete."""

    items: Sequence[Record]
    """One test group each: user, group, better, tied, rank, of; the last four null, and `error`,
    where there is no embedding."""
    about: Record
    """The line that closes it: n_users, n_train, n_train_missing, shots, shrinkage, seed, ..."""

    @property
    def lines(self) -> list[dict[str, Any]]:
        """All its lines as they were given to the writer, which stamps them."""
        whole = (*self.items, self.about)
        return [{k: v for k, v in line.items() if k != "schema_version"} for line in whole]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a file holds of one encoder and kind of captions."""

    variants: Mapping[str, Measured]
    left_out: str | None
    """Why there are none, where there are none for a reason."""


def read_users(folder: Path) -> dict[str, dict[str, Found]]:
    """Encoder -> kind of captions -> what is there, in the order of first writing.

    Raises:
        PpdbenchError: the file is damaged before its last line.
    """
    found: dict[str, dict[str, Found]] = {}
    for lines in _whole(read_records(folder / FILE)):
        *items, about = lines
        kinds = found.setdefault(about["encoder"], {})
        before = kinds.get(about["kind"], Found(variants={}, left_out=None))
        if "left_out" in about:
            kinds[about["kind"]] = Found(variants=before.variants, left_out=about["left_out"])
            continue
        measured = {about["variant"]: Measured(items=items, about=about)}
        kinds[about["kind"]] = Found(variants={**before.variants, **measured}, left_out=None)
    return found


def cut_unfinished(folder: Path) -> None:
    """Drop the lines of variants that nothing closes; only under a lock that keeps writers away.

    Raises:
        PpdbenchError: the file is damaged before its last line, or cannot be written.
    """
    records = read_records(folder / FILE)
    kept = [record for lines in _whole(records) for record in lines]
    if len(kept) < len(records):
        write_atomic(folder / FILE, "".join(json.dumps(record) + "\n" for record in kept))


def _whole(records: Iterable[Record]) -> list[list[Record]]:
    """The lines of each variant that is complete, in the order of closing; and left-out lines."""
    found: list[list[Record]] = []
    open_: dict[tuple[Any, ...], list[Record]] = {}
    for record in records:
        key = tuple(record.get(field) for field in _KEY)
        if "left_out" in record:
            found.append([record])
        elif "items" not in record:
            open_.setdefault(key, []).append(record)
        elif len(lines := open_.pop(key, [])) == record["items"]:
            found.append([*lines, record])
    return found
