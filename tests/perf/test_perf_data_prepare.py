"""The measurement of preparing measures the command, and its bars can be missed."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "perf" / "data_prepare.py"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.syspath_prepend(SCRIPT.parent)
    return runpy.run_path(str(SCRIPT))


def run(
    script: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    out: Path,
    rows: list[int],
    measure: Any = None,
) -> tuple[int, dict[str, Any]]:
    monkeypatch.setattr(
        sys, "argv", ["data_prepare.py", "--rows", *map(str, rows), "--out", str(out)]
    )
    if measure is not None:
        monkeypatch.setitem(script["main"].__globals__, "measure", measure)
    code = script["main"]()
    return code, json.loads(out.read_text())


@pytest.mark.slow
def test_the_real_command_is_measured(
    script: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _, record = run(script, monkeypatch, tmp_path / "out.json", [4000, 2000])
    assert list(record["runs"]) == ["2000", "4000"]
    for rows, found in record["runs"].items():
        assert found["peak_mib"] > 50 and 0 < found["train_pairs"] < int(rows)
        assert 0 < found["users"] < found["captions"] < found["train_pairs"]
    assert record["cpu_seconds_over_linear"]["2000"] == 1
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
        return {"peak_mib": peak if many else 1.0, "cpu_seconds": seconds if many else 1.0}

    found, record = run(script, monkeypatch, tmp_path / "out.json", [10, 20], measure)
    assert (found, record["passed"]) == (code, code == 0)
