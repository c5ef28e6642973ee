"""What the records of each file must have, so that a damaged or forged line is named, not met.

By the name of the file, as docs/run-directory.md has them; only what readers count on is looked at,
and what stands there besides passes. Elsewhere: reading and writing lines (`records`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

Said = str | None
Fields = Mapping[str, type | tuple[type, ...]]

_NONE = type(None)
_TEXT, _NUMBER, _COUNT = (str, _NONE), (int, float), int
_PERHAPS_NUMBER, _PERHAPS_TEXTS = (int, float, _NONE), (list, _NONE)
_CHOICES = ("first", "second", "abstain")
_HEX = re.compile("(?:[0-9a-f]{2})+")

_REQUIRED: Mapping[str, Fields] = {
    "generations.jsonl": {
        "item": str,
        "generator": str,
        "caption_id": str,
        "user": _TEXT,
        "sample": _COUNT,
        "seed": _COUNT,
        "image": _TEXT,
        "status": str,
        "error": _TEXT,
    },
    "scores.jsonl": {"item": str, "image": str, "scorer": str, "identity": _TEXT},
    "divergence.jsonl": {"item": str, "reference": str, "nats": _PERHAPS_TEXTS, "error": _TEXT},
    "diversity.jsonl": {"scorer": str, "identity": _TEXT},
    "judgments.jsonl": {
        "call": str,
        "stamp": str,
        "status": str,
        "cached": bool,
        "cost": _NUMBER,
        "details": dict,
    },
    "begun.jsonl": {"call": str, "bound": _NUMBER},
    "users.jsonl": {"encoder": str, "kind": str},
    "metrics.jsonl": {"step": _COUNT},
}
_OPTIONAL: Mapping[str, Fields] = {
    "generations.jsonl": {"benchmark": str, "arm": _TEXT},
    "scores.jsonl": {"score": _PERHAPS_NUMBER, "error": _TEXT, "facts": dict, "attributes": list},
    "diversity.jsonl": {
        "left_out": str,
        "generator": str,
        "user": _TEXT,
        "caption_id": str,
        "images": list,
        "distance": _PERHAPS_NUMBER,
        "error": _TEXT,
    },
    "judgments.jsonl": {
        "choice": _TEXT,
        "log_odds": _PERHAPS_NUMBER,
        "confidence": _PERHAPS_NUMBER,
        "reason": _TEXT,
        "raw": _TEXT,
        "error": _TEXT,
        "shots": list,
        "images": list,
        "question": str,
        "key": str,
        "judge": str,
        "arm": str,
        "repeat": _COUNT,
    },
    "users.jsonl": {
        "variant": _TEXT,
        "identity": _TEXT,
        "left_out": str,
        "items": _COUNT,
        "user": str,
        "group": _COUNT,
        "better": _PERHAPS_NUMBER,
        "tied": _PERHAPS_NUMBER,
        "rank": _PERHAPS_NUMBER,
        "of": _PERHAPS_NUMBER,
        "error": _TEXT,
    },
}


def wrong_field(name: str, record: Mapping[str, Any]) -> Said:
    """What is wrong with a record of the file of that name; None of one that can be read.

    A file of another name may hold any records.
    """
    required = _REQUIRED.get(name)
    if required is None:
        return None
    for field, kind in required.items():
        if field not in record:
            return f"it has no {field}"
        if not _is(record[field], kind):
            return f"{field} is {_shown(record[field])}"
    for field, kind in _OPTIONAL.get(name, {}).items():
        if field in record and not _is(record[field], kind):
            return f"{field} is {_shown(record[field])}"
    further = _FURTHER.get(name)
    return further(record) if further is not None else None


def _is(value: object, kind: type | tuple[type, ...]) -> bool:
    """Whether a value is of that kind; a truth value is no number."""
    return isinstance(value, kind) and (not isinstance(value, bool) or kind is bool)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


def _numbers(values: Any) -> bool:
    return all(_is(value, (int, float)) for value in values)


def _texts(values: Any) -> bool:
    return all(isinstance(value, str) for value in values)


def _of_score(record: Mapping[str, Any]) -> Said:
    """A score that did not fail is a number, facts or attributes, as its scorer gives them."""
    if record.get("error"):
        return None
    if record["scorer"] == "fidelity":
        right = all(isinstance(value, bool) for value in record.get("facts", {"": None}).values())
        return None if right else "facts are not true or false"
    if record["scorer"] == "truth":
        return None if _numbers(record.get("attributes", [None])) else "attributes are no numbers"
    return None if _is(record.get("score"), (int, float)) else "score is no number"


def _of_divergence(record: Mapping[str, Any]) -> Said:
    return None if _numbers(record["nats"] or ()) else "nats are no numbers"


def _of_diversity(record: Mapping[str, Any]) -> Said:
    if "left_out" in record:
        return None
    for field in ("generator", "user", "caption_id", "images", "distance"):
        if field not in record:
            return f"it has no {field}"
    return None if _texts(record["images"]) else "images are no names"


def _of_judgment(record: Mapping[str, Any]) -> Said:
    wrong = [name for name in ("shots", "images") if not _texts(record.get(name, ()))]
    if wrong:
        return f"{wrong[0]} are no names"
    if record["status"] == "ok":
        if (choice := record.get("choice")) not in _CHOICES:
            return f"the choice is {_shown(choice)}"
        if not _HEX.fullmatch(record.get("key", "")):
            return f"the key is {_shown(record.get('key'))}"
    return _bought(record["cost"])


def _of_begun(record: Mapping[str, Any]) -> Said:
    return _bought(record["bound"])


def _bought(dollars: float) -> Said:
    """A negative price would give a run more to spend than it was allowed."""
    return None if dollars >= 0 else f"{dollars} dollars were paid"


_FURTHER: Mapping[str, Callable[[Mapping[str, Any]], Said]] = {
    "scores.jsonl": _of_score,
    "divergence.jsonl": _of_divergence,
    "diversity.jsonl": _of_diversity,
    "judgments.jsonl": _of_judgment,
    "begun.jsonl": _of_begun,
}
