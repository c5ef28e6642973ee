"""Splits in a folder: read back as they were made, and refused where they were changed."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from ppdbench.data.split_files import holds_splits, read_splits, source_of, split_files
from ppdbench.data.splits import Splits, SplitSettings, make_splits
from ppdbench.errors import MissingPrerequisite, PpdbenchError

MADE = runpy.run_path(str(Path(__file__).with_name("made_pairs.py")))
crowd, write = MADE["crowd"], MADE["write"]
FEW = SplitSettings(seen=8, unseen=6, validation_seen=4, validation_unseen=3, calibration=2)


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return list(crowd())


@pytest.fixture(scope="module")
def made(rows: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Splits:
    return make_splits(write(tmp_path_factory.mktemp("pairs") / "p.parquet", rows), FEW)


def kept(splits: Splits, folder: Path, source: Path) -> Path:
    folder.mkdir(exist_ok=True)
    for name, content in split_files(splits, folder=folder, source=source).items():
        (folder / name).write_bytes(content)
    return folder


def test_files_are_read_back_and_equal_runs_give_equal_bytes(
    rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    source = write(tmp_path / "p.parquet", rows)
    once = kept(make_splits(source, FEW), tmp_path / "a", source)
    again = kept(make_splits(source, FEW), tmp_path / "b", source)
    for name in ("splits.json", "splits.parquet"):
        assert (once / name).read_bytes() == (again / name).read_bytes()
    back, made = read_splits(once), make_splits(source, FEW)
    assert back.digest == made.digest and back.assignment.captions == made.assignment.captions
    assert [back.settings, back.source, back.sizes] == [made.settings, made.source, made.sizes]
    assert [dict(s.left_out) for s in back.funnel] == [dict(s.left_out) for s in made.funnel]
    assert source_of(once).resolve() == source
    assert holds_splits(once) and not holds_splits(tmp_path)
    table = pq.read_table(once / "splits.parquet").to_pydict()
    choices = [t for r, t in zip(table["role"], table["caption"], strict=True) if r == "choice"]
    assert all(choices) and table["caption"].count(None) == made.sizes["train"]["pairs"]


def test_changed_files_are_refused(made: Splits, tmp_path: Path) -> None:
    folder = kept(made, tmp_path / "s", tmp_path / "p.parquet")
    about, table = folder / "splits.json", pq.read_table(folder / "splits.parquet")

    def refused(said: str) -> None:
        with pytest.raises(PpdbenchError, match=said) as caught:
            read_splits(folder)
        assert "ppdbench data splits" in caught.value.fix and "\n" not in caught.value.cause

    pq.write_table(table.slice(1), folder / "splits.parquet")
    refused("were changed: their digest is")
    pq.write_table(table.drop_columns(["role"]), folder / "splits.parquet")
    refused("splits.parquet is damaged")
    (folder / "splits.parquet").write_bytes(b"PAR1")
    refused("splits.parquet is damaged")
    facts = json.loads(about.read_bytes())
    kept(made, folder, tmp_path / "p.parquet")
    about.write_text(json.dumps({**facts, "settings": {**facts["settings"], "seen": 9}}))
    refused("were changed")
    about.write_text(json.dumps({**facts, "settings": {"what": 1}}))
    refused("splits.json is damaged")
    about.write_text(json.dumps({**facts, "schema_version": 99}))
    refused("schema version 99")
    about.write_text("{")
    refused("splits.json is damaged")
    about.unlink()
    with pytest.raises(MissingPrerequisite, match=r"holds no splits\.json"):
        read_splits(folder)
