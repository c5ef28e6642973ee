"""What is wrong with a summary by the schema of summary.json, for tests.

Every summary that a run of a toy world writes is held against it (`check_every_summary`), and what
is made by hand, which may lack fields, against all of it but that.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from ppdbench.benchmarks import summary_file
from ppdbench.runs.atomic import write_json

SCHEMA: dict[str, Any] = json.loads(
    files("ppdbench.runs").joinpath("summary.schema.json").read_bytes()
)


def without_required(schema: Any) -> Any:
    """A schema by which no field needs to be there; conditions stay as they are."""
    if isinstance(schema, list):
        return [without_required(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    dropped = ("required", "dependentRequired", "oneOf")
    return {
        key: value if key == "if" else without_required(value)
        for key, value in schema.items()
        if key not in dropped
    }


VALIDATOR = jsonschema_rs.Draft202012Validator(SCHEMA)
LENIENT = jsonschema_rs.Draft202012Validator(without_required(SCHEMA))


def problems(summary: Any, *, whole: bool = True) -> list[str]:
    """What is wrong, a line each: where, and what; none of a valid summary.

    Args:
        summary: the document.
        whole: whether a field that is not there is wrong.
    """
    bare = [f"{place}: {value} is not JSON" for place, value in _not_numbers(summary)]
    if bare:
        return bare
    errors = (VALIDATOR if whole else LENIENT).iter_errors(summary)
    found = [(list(error.instance_path), error.message) for error in errors]
    return [
        f"{'.'.join(map(str, path)) or 'summary.json'}: {message}"
        for path, message in found
        # A validator that has found one thing wrong in an object no longer knows what it allows.
        if not (
            message.startswith("Unevaluated properties")
            and any(other[: len(path)] == path for other, told in found if told != message)
        )
    ]


def check_every_summary(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on a summary.json that is not as the schema says fails the test that writes it."""

    def write(path: Path, summary: Any) -> None:
        wrong = problems(summary)
        assert not wrong, "\n".join(["not as summary.schema.json says:", *wrong])
        write_json(path, summary)

    monkeypatch.setattr(summary_file, "write_json", write)


def _not_numbers(found: Any, place: str = "") -> Iterator[tuple[str, float]]:
    if isinstance(found, float) and not math.isfinite(found):
        yield place, found
    if isinstance(found, dict | list):
        for key, value in found.items() if isinstance(found, dict) else enumerate(found):
            yield from _not_numbers(value, f"{place}.{key}".lstrip("."))
