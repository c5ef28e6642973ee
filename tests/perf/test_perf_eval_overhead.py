"""The overhead measurement runs, says what it measured, and fails below its bar."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ppdbench import plugins

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "perf" / "eval_overhead.py"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module, in the world of tests/benchmarks."""
    monkeypatch.syspath_prepend(ROOT / "tests" / "benchmarks")
    monkeypatch.syspath_prepend(SCRIPT.parent)
    world = importlib.import_module("fake_world")
    monkeypatch.setattr(plugins, "entry_points", world.entry_points)
    monkeypatch.setattr(world, "sleep", 0.002)
    spec = importlib.util.spec_from_file_location("eval_overhead", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(script: ModuleType, out: Path, bar: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    line = f"eval_overhead --model tuned --suite toy --device cpu --limit 4 --repeats 2 --bar {bar}"
    monkeypatch.setattr("sys.argv", [*line.split(), "--out", str(out)])
    return script.main()


def test_it_writes_what_a_number_must_carry(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "results" / "eval_overhead.json"
    assert run(script, out, "0.0001", monkeypatch) == 0
    result = json.loads(out.read_bytes())
    assert result["n_images"] == 12  # 4 captions: two users' images each, and the baseline's
    assert len(result["bare_images_per_second"]) == result["repeats"] == 2
    assert result["ratio_of_medians"] > 0
    assert {"command", "machine", "versions", "suite_version", "batch_size"} <= set(result)
    assert not [place for place in (Path.home(), tmp_path) if str(place) in out.read_text()]


def test_both_sides_share_the_rewards_common_work(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = importlib.import_module("fake_world")
    monkeypatch.setattr(world, "load_reward", world.load_tower_reward)
    suite = world.toy_suite(None)
    embedded = []
    for side, whose in ((script.bare_seconds, suite), (script.harness_seconds, "toy")):
        world.calls.clear()
        side(whose, "tuned", "cpu", 4, 8)
        embedded.append([call for call in world.calls if call.startswith("embeds")])
    assert embedded[0] == embedded[1] == ["embeds 8", "embeds 4"]


def test_below_the_bar_it_fails_and_still_writes(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "eval_overhead.json"
    assert run(script, out, "1000", monkeypatch) == 1
    assert json.loads(out.read_bytes())["passed"] is False
