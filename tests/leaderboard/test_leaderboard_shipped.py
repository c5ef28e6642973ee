"""The entries that ship are those of the models that ship: none is left behind by a retraining."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ppdbench import plugins
from ppdbench.errors import MissingPrerequisite
from ppdbench.leaderboard.recorded import recorded
from ppdbench.protocols import LoadContext, Suite

ENTRIES = sorted((Path(__file__).resolve().parents[2] / "leaderboards").glob("*/*/entry.json"))


@pytest.mark.parametrize("path", ENTRIES, ids=lambda path: path.parent.name)
def test_a_shipped_entry_is_comparable_and_of_the_shipped_weights(path: Path) -> None:
    name, suite_name = path.parent.name, path.parents[1].name
    suite: Suite = plugins.load("suites", suite_name)()
    notes: list[str] = []
    try:
        found = recorded(suite_name, suite.digest, note=notes.append)
        generator = plugins.load("generators", name)(LoadContext(suite=suite, device="cpu"))
    except MissingPrerequisite as error:
        pytest.skip(f"weights are not here: {error.cause}")
    assert name in found, notes
    assert found[name].revision == generator.info.revision
    assert json.loads(path.read_bytes())["suite"] == suite_name
