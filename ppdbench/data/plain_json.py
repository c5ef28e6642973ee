"""JSON as plain data: a stranger's text in which no key stands twice and every number is one.

Python's own reader knows NaN and Infinity, which JSON does not, and keeps the last of a key that is
there twice, where another reader may keep the first. Elsewhere: YAML (`plain_yaml`), objects in
files of ours (`runs.json_file`).
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, NoReturn


def parse_json(text: str) -> Any:
    """What a document says.

    Raises:
        ValueError: it is no JSON, has a key twice, or a number that JSON does not know.
        RecursionError: it is nested too deep.
    """
    return json.loads(text, parse_constant=no_number, object_pairs_hook=distinct)


def json_or_none(content: str | bytes) -> Any:
    """What a document says, as Python reads it; None where it is no JSON or nested too deep."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def no_number(text: str) -> NoReturn:
    """Refuse NaN and Infinity: the `parse_constant` of a decoder.

    Raises:
        ValueError: always.
    """
    raise ValueError(f"{text} is no number")


def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of its keys and values: the `object_pairs_hook` of a decoder.

    Raises:
        ValueError: a key is there twice.
    """
    found = dict(pairs)
    if len(found) != len(pairs):
        ((twice, _),) = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"the key {twice[:60]!r} is there twice")
    return found
