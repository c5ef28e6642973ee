"""Verdicts as JSON and back, nothing lost: in the cache, in a run's records, in what is replayed.

Elsewhere: who writes them (`ask`), who reads those of an earlier run (`replay`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, get_args, get_type_hints

from ppdbench.errors import one_line
from ppdbench.protocols import Verdict

FIELDS = tuple(field.name for field in fields(Verdict))
STATUSES = get_args(get_type_hints(Verdict)["status"])
CHOICES = ("first", "second", "abstain")


def verdict_record(verdict: Verdict) -> dict[str, Any]:
    """A verdict as plain JSON; `verdict_of` makes an equal one of it.

    Raises:
        ValueError: it is no verdict as `protocols.Verdict` has them: a status or choice that does
            not exist, a choice without "ok" or none with it, a number that is not finite, details
            that are not JSON.
    """
    return _checked({name: getattr(verdict, name) for name in FIELDS})


def verdict_of(record: Mapping[str, Any]) -> Verdict:
    """The verdict of a record; what else stands in the record is passed over.

    Raises:
        ValueError: it holds none.
    """
    if "status" not in record:
        raise ValueError("a record without status holds no verdict")
    return Verdict(**_checked({name: record[name] for name in FIELDS if name in record}))


def _checked(record: dict[str, Any]) -> dict[str, Any]:
    """The fields, numbers as floats, details as they come back from a file.

    Raises:
        ValueError: one is not what it must be.
    """
    status, choice = record["status"], record.get("choice")
    if status not in STATUSES:
        raise ValueError(f"no verdict has the status {status!r}")
    if choice not in (CHOICES if status == "ok" else (None,)):
        raise ValueError(f"a verdict of status {status!r} has the choice {choice!r}")
    for name in ("log_odds", "confidence", "cost"):
        number = record.get(name, 0.0)
        if number is None and name != "cost":
            continue
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise ValueError(f"{name} of a verdict is {number!r}")
        try:
            record[name] = float(number)
        except OverflowError as error:
            raise ValueError(f"{name} of a verdict is too large") from error
        if not math.isfinite(number) or (name == "cost" and number < 0):
            raise ValueError(f"{name} of a verdict is {number}")
    for name in ("reason", "raw", "error"):
        if not isinstance(record.get(name), str | None):
            raise ValueError(f"{name} of a verdict is {record[name]!r}")
    if not isinstance(record.get("details", {}), Mapping):
        raise ValueError(f"details of a verdict are {record['details']!r}")
    try:
        record["details"] = json.loads(json.dumps(dict(record.get("details", {})), allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"details of a verdict are not JSON: {one_line(error)}") from error
    return record
