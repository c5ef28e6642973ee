"""docs/architecture.md and its drawing are of the house as it is."""

import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/architecture.md"
AGAIN = "the house has changed: run `python docs/images/architecture.py`"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    path = ROOT / "docs/images/architecture.py"
    spec = importlib.util.spec_from_file_location("docs_architecture", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)  # where dataclasses look
    spec.loader.exec_module(module)
    return module


def test_the_committed_drawing_is_what_the_script_makes(script: Any) -> None:
    assert script.OUT.read_text(encoding="utf-8") == script.drawing(), AGAIN


def test_every_room_stands_in_the_drawing(script: Any) -> None:
    folders = {
        path.parent.name
        for package in ("ppdbench", "trainers")
        for path in (ROOT / package).glob("*/__init__.py")
    }
    assert folders > {"benchmarks", "judges", "training"}
    drawn = set(re.findall(r'font-weight="bold"[^>]*>([^<]+)</text>', script.drawing()))
    assert folders | {"protocols", "errors", "plugins"} <= drawn


def test_a_room_without_a_layer_cannot_be_drawn(
    script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = script.layers("ppdbench")
    monkeypatch.setattr(script, "layers", lambda _: [row for row in rows if row != ["cli"]])
    with pytest.raises(ValueError, match="cli"):
        script.drawing()


def test_the_page_names_files_that_are_there() -> None:
    text = PAGE.read_text(encoding="utf-8")
    places = [ROOT, ROOT / "ppdbench"]
    for line in text.splitlines():
        own = re.match(r"\| `(\w+)/` \|", line)
        here = [*places, *(place / own[1] for place in places if own)]
        for name in re.findall(r"`([\w./]+(?:\.py|\.json|/))`", line):
            if "/" in name or own:
                assert any((place / name).exists() for place in here), f"{name}: {line}"


def test_the_page_tells_of_every_room(script: Any) -> None:
    text = PAGE.read_text(encoding="utf-8")
    rooms = [room for room in script.rooms("ppdbench") if (ROOT / "ppdbench" / room).is_dir()]
    assert [room for room in rooms if f"| `{room}/` |" not in text] == []
