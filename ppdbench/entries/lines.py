"""scores.jsonl of an entry: one record a line, each sealed by eight digits, so an edit is named.

A line is compact JSON in the order of its fields; the last field, `check`, is the first 8 hex
digits of the sha256 of the line without it. It shows where a file was touched; against somebody who
computes it anew it protects nothing. Elsewhere: the whole file's hash (summary.json), what a run
holds item by item (`runs.results`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Literal, NotRequired

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from ppdbench.data.plain_json import no_number
from ppdbench.entries.files import SCORES
from ppdbench.entries.problems import Problem, shown
from ppdbench.entries.result_lines import line_of, result_of
from ppdbench.entries.schema import Key, Sha256, first_error
from ppdbench.runs.results import Result

MOST_RECORDS = 100_000
LONGEST_LINE = 16_384
"""Bytes."""
LARGEST_NUMBER = 1e15
"""Of a score or attribute: sums and squares of such numbers are finite."""
Number = Annotated[float, Field(ge=-LARGEST_NUMBER, le=LARGEST_NUMBER, allow_inf_nan=False)]


@with_config(ConfigDict(strict=True, extra="forbid"))
class _Line(TypedDict):
    """A line without its check."""

    benchmark: NotRequired[Literal["personal"]]
    arm: NotRequired[Literal["own", "shuffled", "nobody"]]
    attributes: NotRequired[Annotated[list[Number], Field(max_length=64)] | None]
    caption_id: Key
    user: Key | None
    sample: Annotated[int, Field(ge=0, lt=1000)]
    seed: Annotated[int, Field(ge=0, lt=1 << 63)]
    image: Sha256 | None
    scores: Annotated[dict[Key, Number], Field(max_length=64)]
    facts: Annotated[dict[Key, bool], Field(max_length=64)] | None


_LINES: TypeAdapter[_Line] = TypeAdapter(_Line)


def write_lines(results: Iterable[Result]) -> bytes:
    """scores.jsonl."""
    return b"".join(_sealed(line_of(result)) + b"\n" for result in results)


def read_lines(
    generator: str, data: bytes, *, wrong: Callable[[Problem], None], most_wrong: int = 20
) -> list[Result]:
    """The results of a stranger's scores.jsonl, in its order; lines that are wrong are left out.

    Args:
        generator: name of the entry.
        data: the file, of bounded size.
        wrong: told of every line that is, up to `most_wrong`.
        most_wrong: where it stops reading.
    """
    count = data.count(b"\n")
    if count > MOST_RECORDS:
        text = f"{count:,} records; {MOST_RECORDS:,} are allowed"
        wrong(Problem(file=SCORES, where="", text=text))
        return []
    *lines, rest = data.split(b"\n")
    if rest:
        wrong(Problem(file=SCORES, where=f"line {count + 1}", text="the line is not whole"))
    found: list[Result] = []
    seen: dict[tuple[str, str | None, str, int], int] = {}
    left = most_wrong
    for number, line in enumerate(lines, start=1):
        try:
            known = _parsed(line)
            key = (known.get("benchmark", "rewards"), *_item(known))
            if key in seen:
                raise ValueError(f"the same item as line {seen[key]}")
            seen[key] = number
        except (ValueError, RecursionError) as error:
            wrong(Problem(file=SCORES, where=f"line {number}", text=_said(error)))
            left -= 1
            if not left:
                text = f"{most_wrong} lines are wrong; the lines after it were not read"
                wrong(Problem(file=SCORES, where=f"line {number}", text=text))
                break
        else:
            found.append(result_of(generator, known, number))
    return found


def _item(line: Mapping[str, Any]) -> tuple[str | None, str, int]:
    return line["user"], line["caption_id"], line["sample"]


def _sealed(line: Mapping[str, Any]) -> bytes:
    """A line with its check."""
    text = json.dumps(line, allow_nan=False, separators=(",", ":")).encode()
    return text[:-1] + b',"check":"' + _check(text).encode() + b'"}'


def _check(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()[:8]


def _parsed(data: bytes) -> Mapping[str, Any]:
    """A line's content.

    Raises:
        ValueError: it is no such line, or not the one that its check was made of.
    """
    if len(data) > LONGEST_LINE:
        raise ValueError(f"{len(data):,} bytes; a line has {LONGEST_LINE:,} at most")
    line = json.loads(data.decode("utf-8"), parse_constant=no_number)
    if not isinstance(line, dict):
        raise ValueError("it is no record")
    check = line.pop("check", None)
    _LINES.validate_python(line)
    if ("benchmark" in line) != ("arm" in line) or ("benchmark" in line) != ("attributes" in line):
        raise ValueError("benchmark, arm and attributes stand together")
    # By bytes: what is there twice, spaced otherwise or rounded otherwise differs too.
    text = json.dumps(line, allow_nan=False, separators=(",", ":")).encode()
    if check != _check(text):
        raise ValueError("it was edited: it is not what its check was made of")
    if data != text[:-1] + b',"check":"' + _check(text).encode() + b'"}':
        raise ValueError("it is not compact JSON with each field once and `check` last")
    return line


def _said(error: Exception) -> str:
    if isinstance(error, ValidationError):
        field, text = first_error(error)
        return f"{field}: {text}"
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    return shown(error)
