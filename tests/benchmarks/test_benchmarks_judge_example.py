"""The judge of docs/plug-in.md: its very code calibrates and judges."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import people_world
import pytest
from judged_town import calibrated, judge, records_of, use_judges
from toy_runs import summary_of

GUIDE = Path(__file__).parents[2] / "docs" / "plug-in.md"
NAME = "brighter-liked"


@pytest.fixture(autouse=True)
def example(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """The guide's module, registered by the name and the attribute that the guide writes."""
    use_judges(monkeypatch, tmp_path)
    text = GUIDE.read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)
    (code,) = (block for block in blocks if "JudgeInfo(" in block)
    (registered,) = re.findall(rf'`{NAME} = "([\w:]+)"`', text)
    module = ModuleType(registered.partition(":")[0])
    exec(compile(code, str(GUIDE), "exec"), module.__dict__)  # noqa: S102  (our own document)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(people_world.OWN["judges"], NAME, registered)
    yield


def test_it_is_calibrated_and_then_judges(tmp_path: Path) -> None:
    calibration = calibrated(tmp_path, judge=NAME)
    found = summary_of(calibration)["benchmarks"]["calibration"]
    assert found["judge"] == NAME and found["personalised"] is True
    assert found["own"]["all_call"] > 0.6 and found["zero_shots"]["coverage"] == 0
    assert {record["status"] for record in records_of(calibration)} == {"ok"}
    folder = judge(tmp_path, judge=NAME, limit=17)
    told = summary_of(folder)
    assert told["complete"] is True and told["judge"]["name"] == NAME
    assert told["benchmarks"]["judge_calibration"]["folder"] == calibration.name
    cell = told["benchmarks"]["judge"]["all"]
    assert cell["disjoint"]["win_rate"] > 0.6 and cell["disjoint"]["coverage"] == 1.0
    assert cell["controls"]["zero_shots"]["win_rate"] == 0.5  # it abstains
    assert cell["controls"]["zero_shots"]["coverage"] == 0.0
