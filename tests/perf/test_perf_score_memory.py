"""The measurement of memory measures the command, and its bar can be missed."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "perf" / "score_memory.py"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.syspath_prepend(SCRIPT.parent)
    return runpy.run_path(str(SCRIPT))


def run(
    script: dict[str, Any], monkeypatch: pytest.MonkeyPatch, out: Path, peak: Any = None
) -> tuple[int, dict[str, Any]]:
    monkeypatch.setattr(
        sys, "argv", ["score_memory.py", "--few", "2", "--many", "5", "--out", str(out)]
    )
    if peak is not None:
        monkeypatch.setitem(script["main"].__globals__, "peak", peak)
    code = script["main"]()
    return code, json.loads(out.read_text())


def test_the_real_command_is_measured(
    script: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _, record = run(script, monkeypatch, tmp_path / "out.json")
    assert record["runs"].keys() == {"2", "5"}
    assert all(found["peak_mib"] > 50 for found in record["runs"].values())
    assert {"command", "versions", "machine", "bar"} <= record.keys()
    assert record["command"].endswith(" --out out.json")
    assert not [place for place in (Path.home(), tmp_path) if str(place) in json.dumps(record)]


@pytest.mark.parametrize(("many", "code"), [(109.0, 0), (111.0, 1)])
def test_growth_is_a_failure(
    many: float, code: int, script: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def peak(folder: Path, _: Path) -> dict[str, Any]:
        assert len(list(folder.glob("*.png"))) == int(folder.name)
        return {"peak_mib": many if folder.name == "5" else 100.0, "seconds": 1.0}

    found, record = run(script, monkeypatch, tmp_path / "out.json", peak)
    assert (found, record["passed"]) == (code, code == 0)
