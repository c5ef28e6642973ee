"""A short name for everything that changes results, and what differs between two of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any


def fingerprint(fields: Mapping[str, Any]) -> str:
    """12 hex digits of the sha256 over the fields as canonical JSON (sorted keys, no spaces).

    Raises:
        TypeError: a field is not JSON.
        ValueError: a field is NaN or infinite.
    """
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """Fields that differ, dotted and sorted, such as "generators.ppd.revision"."""
    left, right = dict(flat(ours)), dict(flat(theirs))
    absent = object()
    return sorted(key for key in {*left, *right} if left.get(key, absent) != right.get(key, absent))


def flat(fields: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested fields as (dotted name, value); an empty mapping is a value."""
    for key, value in fields.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
