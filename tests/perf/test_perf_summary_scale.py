"""The measurement of summaries makes finished runs that the commands know, and its bars hold."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "perf" / "summary_scale.py"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.syspath_prepend(SCRIPT.parent)
    return runpy.run_path(str(SCRIPT))


def run(
    script: dict[str, Any], monkeypatch: pytest.MonkeyPatch, out: Path
) -> tuple[int, dict[str, Any]]:
    small = ["--limit", "1", "--samples", "1", "--repeats", "1", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["summary_scale.py", *small])
    return script["main"](), json.loads(out.read_text())


@pytest.mark.slow
def test_the_commands_take_the_runs_for_their_own(
    script: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _, record = run(script, monkeypatch, tmp_path / "out.json")
    for kind, found in record["runs"].items():
        # A command that drew or asked anything would fail: nobody is there to be asked.
        assert found["complete"] and found["records"] >= 48, kind
        assert found["peak_mib"] > 50 and found["summarise_seconds"] > 0, kind
    assert {"command", "versions", "machine", "bars"} <= record.keys()
    assert not [place for place in (Path.home(), tmp_path) if str(place) in json.dumps(record)]


@pytest.mark.parametrize(
    ("seconds", "peak", "complete", "code"),
    [(30.0, 953.6, True, 0), (30.1, 1.0, True, 1), (1.0, 953.8, True, 1), (1.0, 1.0, False, 1)],
)
def test_a_slow_a_large_or_an_incomplete_summary_fails(
    seconds: float,
    peak: float,
    complete: bool,
    code: int,
    script: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    def measured(*_: Any) -> dict[str, Any]:
        fine = {"records": 1, "seconds": 1.0, "peak_mib": 1.0, "complete": True}
        own = {"records": 1, "seconds": seconds, "peak_mib": peak, "complete": complete}
        return {"eval": fine, "judge": own}

    monkeypatch.setitem(script["main"].__globals__, "measure", measured)
    found, record = run(script, monkeypatch, tmp_path / "out.json")
    assert (found, record["passed"]) == (code, code == 0)
