"""The measurement of the bootstrap measures both sides, and its bar can be missed."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "perf" / "statistics_speed.py"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.syspath_prepend(SCRIPT.parent)
    return runpy.run_path(str(SCRIPT))


@pytest.mark.parametrize(("bar", "code"), [(60.0, 0), (0.0, 1)])
def test_both_sides_are_measured_and_the_bar_counts(
    script: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    bar: float,
    code: int,
) -> None:
    out = tmp_path / "out.json"
    sizes = ["--items", "200", "--resamples", "2000", "--repeats", "1"]
    monkeypatch.setattr(sys, "argv", ["statistics_speed.py", *sizes, "--out", str(out)])
    monkeypatch.setitem(script["main"].__globals__, "MOST_SECONDS", bar)
    assert script["main"]() == code
    record = json.loads(out.read_text())
    assert record["passed"] is (code == 0)
    assert len(record["runs"]) == 3
    for found in record["runs"].values():
        assert 0 < found["clusters"] <= 200
        assert found["seconds"] > 0 and found["scipy_seconds"] > 0
        assert found["bounds_apart_in_widths"] < 0.15
    assert {"command", "versions", "machine", "bars"} <= record.keys()
    assert str(tmp_path) not in json.dumps(record)
