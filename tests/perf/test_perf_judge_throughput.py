"""The measurement of the judge's throughput sends the same requests twice, and says what it saw."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "perf" / "judge_throughput.py"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.syspath_prepend(SCRIPT.parent)
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    return runpy.run_path(str(SCRIPT))


def run(script: dict[str, Any], out: Path, bar: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    line = "judge_throughput --calls 12 --concurrency 4 --latency 0.01 --repeats 1 --bar"
    monkeypatch.setattr("sys.argv", [*line.split(), bar, "--out", str(out)])
    return script["main"]()


def test_it_writes_what_a_number_must_carry(
    script: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "results" / "judge_throughput.json"
    assert run(script, out, "0.0001", monkeypatch) == 0
    result = json.loads(out.read_bytes())
    assert (result["calls"], result["images_a_call"], result["concurrency"]) == (12, 10, 4)
    assert len(result["bare_calls_per_second"]) == len(result["judge_calls_per_second"]) == 1
    for side in ("bare_calls_per_second", "judge_calls_per_second"):
        assert 0 < result[side][0] <= result["most_possible_calls_per_second"]
    assert {"command", "machine", "versions", "latency_seconds", "passed"} <= set(result)
    assert not [place for place in (Path.home(), tmp_path) if str(place) in out.read_text()]
    assert run(script, out, "1000", monkeypatch) == 1
    assert json.loads(out.read_bytes())["passed"] is False


def test_both_orders_of_a_pair_are_asked(script: dict[str, Any]) -> None:
    questions = script["make_questions"](10)
    assert len(questions) == 10
    for one, other in zip(questions[::2], questions[1::2], strict=True):
        assert one.shots is other.shots and len(one.shots) == 4
        assert (one.first, one.second) == (other.second, other.first)
