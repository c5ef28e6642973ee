from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from ppdbench import plugins
from ppdbench.errors import MissingPrerequisite, PpdbenchError, UsageError

MODULES = {
    "stranger_good": "def make(context): return context",
    "stranger_broken": "raise RuntimeError('half installed')",
    "stranger_needy": "import a_library_nobody_has",
    "stranger_syntax": "def make(:",
}


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plug-ins as a distribution would bring them, read by the real `importlib.metadata`."""
    for name, code in MODULES.items():
        (tmp_path / f"{name}.py").write_text(code)
        monkeypatch.delitem(sys.modules, name, raising=False)
    about = tmp_path / "stranger-1.5.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.5\n")
    lines = [f"{name.removeprefix('stranger_')} = {name}:make" for name in MODULES]
    (about / "entry_points.txt").write_text("[ppdbench.generators]\n" + "\n".join(lines) + "\n")
    monkeypatch.syspath_prepend(str(tmp_path))


def test_listing_imports_nothing() -> None:
    assert {"good", "broken", "needy", "syntax"} <= set(plugins.names("generators"))
    assert not {name for name in sys.modules if name.startswith("stranger_")}


def test_loading_gives_what_is_named() -> None:
    assert plugins.load("generators", "good")(3) == 3
    assert plugins.load("generators", "stranger_good:make")(4) == 4
    assert plugins.origin("generators", "good") == "stranger 1.5"
    assert "stranger_broken" not in sys.modules


@pytest.mark.parametrize("name", ["broken", "syntax"])
def test_a_broken_plugin_is_named_with_its_distribution(name: str) -> None:
    with pytest.raises(PpdbenchError, match=f"generator '{name}' of stranger") as caught:
        plugins.load("generators", name)
    assert caught.value.exit_code == 1
    assert caught.value.__cause__ is not None


def test_a_missing_library_is_a_missing_prerequisite() -> None:
    with pytest.raises(MissingPrerequisite, match="a_library_nobody_has"):
        plugins.load("generators", "needy")


def test_an_unknown_name_brings_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        plugins.load("generators", "brokn")
    assert "broken" in caught.value.fix


@pytest.mark.parametrize("name", ["nosuch.module:attr", ":attr", "stranger_good:"])
def test_a_module_that_is_not_there_is_a_usage_error(name: str) -> None:
    with pytest.raises(UsageError):
        plugins.load("generators", name)


def test_a_missing_attribute_is_named() -> None:
    with pytest.raises(PpdbenchError, match="nosuch"):
        plugins.load("generators", "stranger_good:nosuch")


def test_only_generators_are_given_by_module() -> None:
    with pytest.raises(UsageError, match="no suite is called"):
        plugins.load("suites", "stranger_good:make")


def test_two_distributions_with_one_name_are_not_guessed_between(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    twins = [
        EntryPoint(name="x", value=f"stranger_{which}:make", group="ppdbench.generators")
        for which in ("good", "good", "broken")
    ]
    monkeypatch.setattr(plugins, "entry_points", lambda _: twins)
    with pytest.raises(UsageError, match="2 plug-ins are called 'x'"):
        plugins.load("generators", "x")
    monkeypatch.setattr(plugins, "entry_points", lambda _: twins[:2])  # one, seen twice on the path
    assert plugins.load("generators", "x")(1) == 1
