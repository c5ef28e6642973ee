"""Where a measured number comes from, and how the documents write it.

Elsewhere: which words of which document hold it (`regenerate`).
"""

from __future__ import annotations

import json
import math
import operator
import re
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from itertools import product
from pathlib import Path
from typing import Any

MINUS, DASH = "\N{MINUS SIGN}", "\N{EN DASH}"
NUMBER = rf"[+{MINUS}]?\d[\d,]*(?:\.\d+)?(?:e-\d+)?"
FIGURE = rf"({NUMBER}(?: \[{NUMBER}(?:{DASH}| to ){NUMBER}\]| \({NUMBER}{DASH}{NUMBER}\))?)"
"""A number, with its interval or its range."""
SCALES = {
    "percent": 100.0,
    "points": 100.0,
    "fewer": -100.0,
    "plain": 1.0,
    "signed": 1.0,
    "less": -1.0,
    "count": 1.0,
    "millions": 1e-6,
    "minutes": 1 / 60,
    "gib": 1 / 1024,
    "half": 0.5,
    "tolerances": 1e5,
    "exp": 1.0,
    "under": 1.0,
}
"""How a number is written -> what it is multiplied by; `fewer` and `less` are of what was lost, and
`under` is the power of ten that it lies below, of so many places at most. `minutes` are of seconds,
`gib` of MiB, `half` is of two processes for one."""
SIGNED = ("points", "signed")
STEPS = {" - ": operator.sub, " / ": operator.truediv}


class Wrong(Exception):
    """A claim that cannot be held against its document or its source."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """Where a number comes from, and how it is written."""

    scale: str
    """Of `SCALES`."""
    places: int
    """Behind the point."""
    with_: str
    """"ci", "range" or "": what stands in brackets behind it."""
    terms: tuple[tuple[str, str], ...]
    """Source and path; of a difference or a ratio two.

    A source is "run:NAME", "entry:NAME", "perf:NAME" or "file:PATH", a path keys joined by dots.
    """
    step: str = ""
    """Of `STEPS`, between two terms."""


def read_value(text: str, source: str) -> Value:
    """`percent1_ci PATH`, `percent1 PATH @ SOURCE`, or two such paths with " - " or " / " between.

    Raises:
        Wrong: It is none of these, or says no source.
    """
    kind, _, path = text.partition(" ")
    found = re.fullmatch(r"([a-z]+)(\d)(?:_(ci|range))?", kind)
    step = next((each for each in STEPS if each in path), "")
    parts = [part.partition(" @ ") for part in (path.split(step) if step else [path])]
    terms = tuple((other or source, part.strip()) for part, _, other in parts)
    if found is None or found[1] not in SCALES or len(terms) > 2 or not all(map(all, terms)):
        raise Wrong(f"claims.yaml: {text!r} is no value")
    return Value(scale=found[1], places=int(found[2]), with_=found[3] or "", terms=terms, step=step)


def spread(text: str) -> Iterator[str]:
    """`a.{b,c}` as `a.b` and `a.c`."""
    parts = re.split(r"[{}]", text)
    choices = [part.split(",") if at % 2 else [part] for at, part in enumerate(parts)]
    return ("".join(chosen) for chosen in product(*choices))


# --- records ---------------------------------------------------------------------------------


def source_file(root: Path, source: str) -> Path:
    """The record that a source names.

    Raises:
        Wrong: It names none.
    """
    kind, _, name = source.partition(":")
    files = {
        "run": f"docs/measured/figures/{name}.json",
        "entry": f"leaderboards/shapes/{name}/summary.json",
        "perf": f"perf/results/{name}.json",
        "file": name,
    }
    if kind not in files:
        raise Wrong(f"claims.yaml: {source!r} is no source")
    return root / files[kind]


class Sources:
    """The records, each read once."""

    def __init__(self, root: Path) -> None:
        """Of the tree at `root`."""
        self._root = root
        self._read: dict[str, Mapping[str, Any]] = {}

    def record(self, source: str) -> Mapping[str, Any]:
        """All of one.

        Raises:
            Wrong: It is not there, or is no JSON.
        """
        if source not in self._read:
            file = source_file(self._root, source)
            try:
                self._read[source] = json.loads(file.read_bytes())
            except FileNotFoundError as error:
                raise Wrong(f"there is no {file.relative_to(self._root)}") from error
            except ValueError as error:
                raise Wrong(f"{file.relative_to(self._root)} is no JSON") from error
        return self._read[source]

    def value(self, value: Value) -> float:
        """A number, or the difference or ratio of two.

        Raises:
            Wrong: There is none.
        """
        numbers = [self.number(source, path) for source, path in value.terms]
        if not value.step:
            return numbers[0]
        found: float = STEPS[value.step](*numbers)
        return found

    def number(self, source: str, path: str) -> float:
        """The number at a path.

        Raises:
            Wrong: There is none.
        """
        try:
            found = at(self.record(source), path)
        except Wrong as error:
            raise Wrong(f"{source}: {error}") from error
        if isinstance(found, bool) or not isinstance(found, int | float):
            raise Wrong(f"{source}: {path} is no number")
        return found

    def bounds(self, source: str, path: str, with_: str) -> tuple[float, float]:
        """Those of an interval or a range.

        Raises:
            Wrong: It has none.
        """
        low, high = bound_paths(self.record(source), path, with_)
        return self.number(source, low), self.number(source, high)


def bound_paths(record: Mapping[str, Any], path: str, with_: str) -> tuple[str, str]:
    """Where the bounds of a number stand: beside it, under a name that goes with its own.

    Raises:
        Wrong: Nowhere.
    """
    parent, _, last = path.rpartition(".")
    if with_ == "range":
        return f"{parent}.min", f"{parent}.max"
    for stem in (f"{last}_ci", last.replace("win_rate", "ci"), "ci"):
        low, high = (f"{parent}.{stem}_{side}" for side in ("low", "high"))
        if has(record, low) and has(record, high):
            return low, high
    raise Wrong(f"{path} has no interval")


def has(record: Mapping[str, Any], path: str) -> bool:
    """Whether something lies at a path."""
    try:
        at(record, path)
    except Wrong:
        return False
    return True


def at(found: Any, path: str) -> Any:
    """What lies at a path.

    Keys may have dots in them: of those that fit, the longest one is taken. Of a list
    `field=value` (several joined by `&`) takes the only element of which that is so, a number the
    element at that place, and `median` the median.

    Raises:
        Wrong: Nothing does.
    """
    rest = path.split(".")
    while rest:
        for end in range(len(rest), 0, -1):
            chosen = _chosen(found, ".".join(rest[:end]))
            if len(chosen) == 1:
                found, rest = chosen[0], rest[end:]
                break
        else:
            raise Wrong(f"there is no {path}")
    return found


def _chosen(found: Any, key: str) -> list[Any]:
    if isinstance(found, dict):
        return [found[key]] if key in found else []
    if not isinstance(found, list):
        return []
    if key.isdigit():
        return found[int(key) : int(key) + 1]
    if key == "median":
        return [statistics.median(found)]
    asked = dict(part.partition("=")[::2] for part in key.split("&"))
    return [
        each
        for each in found
        if isinstance(each, dict) and all(str(each.get(f)) == value for f, value in asked.items())
    ]


# --- how they are written ----------------------------------------------------------------------


def written(value: Value, sources: Sources) -> str:
    """The number as the documents write it, with its interval or range behind it.

    Raises:
        Wrong: Its source does not have it.
    """
    scale = SCALES[value.scale]
    number = scale * sources.value(value)
    if value.scale == "exp":
        return exponential(number, value.places)
    if value.scale == "under":
        places = min(value.places, math.ceil(-math.log10(number)) - 1)
        return f"{10.0**-places:.{places}f}"
    text = shown(number, value.places, signed=value.scale in SIGNED)
    if not value.with_:
        return text
    bounds = sources.bounds(*value.terms[0], value.with_)
    low, high = sorted(scale * each for each in bounds)
    signed = value.scale in SIGNED and low < 0
    mixed = not signed and low < 0
    between = " to " if signed or mixed else DASH
    inside = between.join(shown(each, value.places, signed=signed) for each in (low, high))
    return f"{text} ({inside})" if value.with_ == "range" else f"{text} [{inside}]"


def exponential(number: float, places: int) -> str:
    """As 1.7e-7; 0 is 0."""
    if not number:
        return "0"
    power = math.floor(math.log10(abs(number)))
    return f"{shown(number * 10.0**-power, places, signed=False)}e{power}"


def shown(number: float, places: int, *, signed: bool) -> str:
    """With a true minus, and commas between thousands; 0 without a sign."""
    if not math.isfinite(number):
        raise Wrong(f"{number} cannot be written")
    # Half up, of the decimal number: records are rounded themselves, and end in a 5 now and then.
    step = Decimal(1).scaleb(-places)
    text = f"{Decimal(f'{abs(number):.12g}').quantize(step, ROUND_HALF_UP):,}"
    if not text.strip("0.,"):
        return text
    return f"{MINUS if number < 0 else '+' if signed else ''}{text}"
