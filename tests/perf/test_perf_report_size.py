"""The measurement of the page builds real pages, and its bars can be missed."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "perf" / "report_size.py"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.syspath_prepend(SCRIPT.parent)
    return runpy.run_path(str(SCRIPT))


def run(
    script: dict[str, Any], monkeypatch: pytest.MonkeyPatch, out: Path, built: Any = None
) -> tuple[int, dict[str, Any]]:
    small = ["--items", "200", "--side", "600", "--files", "3", "--repeats", "1"]
    monkeypatch.setattr(sys, "argv", ["report_size.py", *small, "--out", str(out)])
    if built is not None:
        monkeypatch.setitem(script["main"].__globals__, "built", built)
    return script["main"](), json.loads(out.read_text())


@pytest.mark.slow
def test_real_pages_are_built(
    script: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _, record = run(script, monkeypatch, tmp_path / "out.json")
    whole = record["runs"]["whole"]
    # The gallery's 12 captions and both ends of three rewards and of two kinds of users.
    assert whole["items"] == 200 and whole["pictures"] >= 12 * 4 + 3 * 2 * 2 * 3
    assert whole["figures"] > 8 and whole["page_mb"] > 0.5 and whole["peak_mib"] > 50
    assert record["runs"]["again"]["figures"] == whole["figures"]
    assert {"command", "versions", "machine", "bars"} <= record.keys()
    assert not [place for place in (Path.home(), tmp_path) if str(place) in json.dumps(record)]


@pytest.mark.parametrize(
    ("seconds", "size", "code"), [(20.0, 30.0, 0), (20.1, 1.0, 1), (1.0, 30.1, 1)]
)
def test_a_slow_or_a_large_page_fails(
    seconds: float,
    size: float,
    code: int,
    script: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    def built(folder: Path, *, repeats: int = 0) -> dict[str, Any]:
        assert len((folder / "generations.jsonl").read_text().splitlines()) in (40, 200)
        return {"seconds": seconds, "cpu_seconds": 1.0, "page_mb": size, "repeats": repeats}

    found, record = run(script, monkeypatch, tmp_path / "out.json", built)
    assert (found, record["passed"]) == (code, code == 0)
