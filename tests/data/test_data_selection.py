"""Selections: pairs where they lie, by their rows; another source is refused."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ppdbench.data.pair_store import PairStore
from ppdbench.data.pickapic import count_rows, read_pairs, user_ids
from ppdbench.data.pickapic_rows import open_parquet
from ppdbench.data.selection import SUFFIX, is_selection, read_selection, selection_file
from ppdbench.data.source import pin
from ppdbench.data.source_rows import SourceRows
from ppdbench.errors import MissingPrerequisite, PpdbenchError

MADE = runpy.run_path(str(Path(__file__).with_name("made_pairs.py")))
crowd, write = MADE["crowd"], MADE["write"]
ROWS: list[dict[str, Any]] = crowd(12)
CHOSEN = [3, 50, 51, 149, 150, 260]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Two files, row groups of 50."""
    folder = tmp_path / "pairs"
    write(folder / "a.parquet", ROWS[:150])
    write(folder / "b.parquet", ROWS[150:])
    return folder


def select(source: Path, out: Path, rows: list[int] = CHOSEN) -> Path:
    out.mkdir(exist_ok=True)
    path = out / f"train{SUFFIX}"
    numbers = np.array(rows, np.int64)
    users = np.array([ROWS[row]["user_id"] for row in rows], np.int64)
    pinned = pin(source)
    path.write_bytes(
        selection_file(out, source, pinned, rows=numbers, ids=numbers + 10**6, users=users)
    )
    return path


def test_its_pairs_are_the_sources_at_these_rows(source: Path, tmp_path: Path) -> None:
    path = select(source, tmp_path / "out", [*CHOSEN[::-1], 50])  # in any order, one twice
    assert is_selection(path) and not is_selection(source / "a.parquet")
    whole = list(read_pairs(source))
    found = list(read_pairs(path))
    assert [pair.id for pair in found] == [str(row + 10**6) for row in CHOSEN]
    for pair, row in zip(found, CHOSEN, strict=True):
        there = whole[row]
        assert (pair.caption, pair.user_id, pair.label_0) == (
            there.caption, there.user_id, there.label_0
        )  # fmt: skip
        assert (pair.image_0, pair.image_1) == (there.image_0, there.image_1)
    assert count_rows(path) == len(CHOSEN)
    assert user_ids(path) == sorted({ROWS[row]["user_id"] for row in CHOSEN})
    selection = read_selection(path)
    assert [p.id for p in selection.pairs(np.array([1, 4]))] == [found[1].id, found[4].id]
    captions = [facts["caption"] for facts in selection.facts(["caption", "none"])]
    assert captions == [pair.caption for pair in found]
    store = PairStore(path)
    wanted = [found[4].id, found[0].id, found[4].id]
    assert [pair.image_1 for pair in store.get(wanted)] == [
        found[n].image_1 for n in (4, 0, 4)
    ]  # fmt: skip


def test_only_the_row_groups_that_are_needed_are_read_and_each_file_opened_once(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening reads the metadata of all row groups: once a group would be quadratic."""
    rows = SourceRows(source)
    opened: list[str] = []

    def noted(file: Path) -> Any:
        opened.append(file.name)
        return open_parquet(file)

    monkeypatch.setattr("ppdbench.data.source_rows.open_parquet", noted)
    found = [number for number, _, _ in rows.read(np.arange(len(ROWS)))]
    assert found == list(range(len(ROWS))) and opened == ["a.parquet", "b.parquet"]
    opened.clear()
    assert [n for n, _, _ in rows.read(np.array([0, 149]), ["caption"])] == [0, 149]
    assert opened == ["a.parquet"]
    with pytest.raises(MissingPrerequisite, match=f"a pair of row {len(ROWS)} is asked for"):
        list(rows.read(np.array([len(ROWS)])))


def test_where_the_source_lies_is_no_part_of_the_digest(source: Path, tmp_path: Path) -> None:
    first = read_selection(select(source, tmp_path / "out"))
    other = read_selection(select(source, tmp_path / "out", CHOSEN[1:]))
    (tmp_path / "moved").mkdir()
    (tmp_path / "out").rename(tmp_path / "moved" / "out")  # both together
    source.rename(tmp_path / "moved" / "pairs")
    again = read_selection(select(tmp_path / "moved" / "pairs", tmp_path / "moved" / "out"))
    assert first.digest == again.digest != other.digest
    assert len(list(again.pairs())) == len(CHOSEN)


def test_another_source_is_refused(source: Path, tmp_path: Path) -> None:
    path = select(source, tmp_path / "out")
    write(source / "b.parquet", ROWS[151:])
    with pytest.raises(MissingPrerequisite, match="are not those that pairs were selected of"):
        list(read_pairs(path))
    source.rename(tmp_path / "elsewhere")
    with pytest.raises(MissingPrerequisite, match="the pairs that were selected are not at"):
        list(read_pairs(path))


def test_an_image_that_is_none_costs_its_pair_alone(source: Path, tmp_path: Path) -> None:
    rows = [dict(row) for row in ROWS[150:]]
    rows[0]["jpg_1"] = b"what"
    write(source / "b.parquet", rows)
    pairs = list(read_pairs(select(source, tmp_path / "out")))
    assert [bool(pair.image_1) for pair in pairs] == [row != 150 for row in CHOSEN]
    assert all(pair.image_0 for pair in pairs)


def test_a_pair_that_is_none_any_more_means_another_source(source: Path, tmp_path: Path) -> None:
    rows = [dict(row) for row in ROWS[150:]]
    rows[0]["caption"] = ""
    write(source / "b.parquet", rows)
    with pytest.raises(MissingPrerequisite, match="cannot be used: no caption"):
        list(read_pairs(select(source, tmp_path / "out")))


@pytest.mark.parametrize("content", [b"", b"PAR1 and more", None])
def test_a_damaged_selection_is_named(source: Path, tmp_path: Path, content: bytes | None) -> None:
    path = select(source, tmp_path / "out")
    path.write_bytes(path.read_bytes()[:-9] if content is None else content)
    with pytest.raises(PpdbenchError, match=f"train{SUFFIX} is damaged"):
        read_selection(path)
