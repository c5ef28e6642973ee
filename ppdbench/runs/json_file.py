"""A JSON object from a file that may be damaged; who asks says which error that is, and its fix."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ppdbench.errors import PpdbenchError, one_line


def finite_json(data: bytes) -> Any:
    """What JSON says, where all its numbers are finite and no longer than a float's.

    Raises:
        ValueError: it is no JSON, or has a number that is neither; or it is no UTF-8.
        RecursionError: it is nested too deep.
    """
    return _DECODER.decode(data.decode())


def finite_json_of_many() -> Callable[[bytes], Any]:
    """`finite_json` for texts that are much alike: names and short words are in memory once.

    Of a record of a judge's verdict that is more than half of what it takes.
    """
    known: dict[str, str] = {}

    def once(value: Any) -> Any:
        return (
            known.setdefault(value, value) if type(value) is str and len(value) < SHORT else value
        )

    def shared(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        return {once(name): once(value) for name, value in pairs}

    decoder = json.JSONDecoder(
        parse_float=_finite, parse_int=_whole, parse_constant=_finite, object_pairs_hook=shared
    )
    return lambda data: decoder.decode(data.decode())


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:20]} is no finite number")
    return number


def _whole(text: str) -> int:
    if len(text) > MOST_DIGITS:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)


SHORT = 32
"""Characters from which on a text is not looked for among those that came before."""
MOST_DIGITS = 300
"""Of a whole number: a float has 308."""
_DECODER = json.JSONDecoder(parse_float=_finite, parse_int=_whole, parse_constant=_finite)


def read_object(
    path: Path, *, fix: str, error: type[PpdbenchError] = PpdbenchError
) -> dict[str, Any]:
    """The object in a file.

    Args:
        path: the file.
        fix: what to do where it is not one.
        error: what is raised then.

    Raises:
        PpdbenchError: of kind `error`: the file cannot be read, or holds no JSON object.
    """
    try:
        read = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as cause:
        raise error(f"{path} is damaged: {one_line(cause)}", fix=fix) from cause
    if not isinstance(read, dict):
        raise error(f"{path} is damaged: it holds no object", fix=fix)
    return read
