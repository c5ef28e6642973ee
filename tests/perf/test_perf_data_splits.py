"""The measurement of splits measures the command, and its bars can be missed."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "perf" / "data_splits.py"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.syspath_prepend(SCRIPT.parent)
    return runpy.run_path(str(SCRIPT))


def run(
    script: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    out: Path,
    few: int,
    many: int,
    measure: Any = None,
) -> tuple[int, dict[str, Any]]:
    arguments = ["--few", str(few), "--many", str(many), "--large", "200"]
    arguments += ["--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["data_splits.py", *arguments])
    if measure is not None:
        monkeypatch.setitem(script["main"].__globals__, "measure", measure)
    code = script["main"]()
    return code, json.loads(out.read_text())


def test_the_real_command_is_measured(
    script: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _, record = run(script, monkeypatch, tmp_path / "out.json", 3000, 6000)
    runs = record["runs"]
    assert {case: list(own) for case, own in runs.items()} == {
        "spread": ["3000", "6000"], "one-user": ["3000", "6000"], "large": ["200"]
    }  # fmt: skip
    for rows, found in (each for own in runs.values() for each in own.items()):
        assert found["peak_mib"] > 50 and 0 < found["pairs_in_use"] < int(rows)
        assert found["users"]["train"] > 0
    assert {found["users"]["train"] for found in runs["one-user"].values()} == {1}
    assert runs["large"]["200"]["source_mib"] > 60
    assert record["cpu_seconds_over_linear"].keys() == {"spread", "one-user"}
    assert {"command", "versions", "machine", "bars"} <= record.keys()
    assert record["command"].endswith(" --out out.json")
    assert not [place for place in (Path.home(), tmp_path) if str(place) in json.dumps(record)]


@pytest.mark.parametrize(
    ("peak", "seconds", "code"), [(2861.0, 2.4, 0), (2862.0, 2.4, 1), (500.0, 2.6, 1)]
)
def test_too_much_memory_or_time_is_a_failure(
    peak: float,
    seconds: float,
    code: int,
    script: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    def measure(source: Path, _: Path) -> dict[str, Any]:
        many = source.stem != "10"
        return {"peak_mib": peak if many else 9e9, "cpu_seconds": seconds if many else 1.0}

    found, record = run(script, monkeypatch, tmp_path / "out.json", 10, 20, measure)
    assert (found, record["passed"]) == (code, code == 0)
