"""The measurement of import time starts real processes, and its bar can be missed."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "perf" / "import_time.py"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.syspath_prepend(SCRIPT.parent)
    return runpy.run_path(str(SCRIPT))


@pytest.mark.parametrize(("listing", "code"), [(0.49, 0), (0.51, 1)])
def test_a_slow_listing_misses_the_bar(
    script: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    listing: float,
    code: int,
) -> None:
    found = {name: [0.2] for name in script["PROGRAMS"]} | {"ppdbench list models": [listing]}
    monkeypatch.setitem(script["main"].__globals__, "measured", lambda _: found)
    monkeypatch.setattr(sys, "argv", ["import_time.py", "--out", str(tmp_path / "out.json")])
    assert script["main"]() == code
    record = json.loads((tmp_path / "out.json").read_text())
    assert record["passed"] is (code == 0)
    assert record["cpu_seconds"]["ppdbench list models"] == listing


def test_a_process_is_measured_by_what_it_did_and_its_failure_is_said(
    script: dict[str, Any],
) -> None:
    idle = script["processor_seconds"](("-c", "pass"))
    busy = script["processor_seconds"](("-c", "sum(range(20_000_000))"))
    assert 0 < idle < busy
    with pytest.raises(SystemExit, match="failed with 3"):
        script["processor_seconds"](("-c", "raise SystemExit(3)"))
