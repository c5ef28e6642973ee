"""Pairs by id: in the order asked for, as they were written, and damage named."""

from __future__ import annotations

import runpy
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ppdbench.data.pair_store import PairStore
from ppdbench.data.pickapic import read_pairs
from ppdbench.errors import MissingPrerequisite, PpdbenchError

MADE = runpy.run_path(str(Path(__file__).with_name("made_pairs.py")))
row, write = MADE["row"], MADE["write"]


def test_pairs_come_in_the_order_asked_for_from_all_files(tmp_path: Path) -> None:
    write(tmp_path / "b.parquet", [row(n, 1, f"c{n}") for n in range(5, 9)], group=2)
    write(tmp_path / "a.parquet", [row(n, 1, f"c{n}") for n in range(5)], group=2)
    store, whole = PairStore(tmp_path), {pair.id: pair for pair in read_pairs(tmp_path)}
    for ids in (["8", "0", "3", "0"], ["1"], []):
        assert store.get(ids) == [whole[identity] for identity in ids]
    assert "8" in store and "9" not in store


def test_rows_without_an_id_are_called_by_their_number(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", [row(70, 1, "first")], without=("ranking_id",))
    write(tmp_path / "b.parquet", [row(n, 1, f"c{n}", ranking_id=None) for n in range(3)], group=2)
    found = PairStore(tmp_path).get(["0", "3", "1"])
    assert [(pair.id, pair.caption) for pair in found] == [
        ("0", "first"), ("3", "c2"), ("1", "c0"),
    ]  # fmt: skip
    assert found == [pair for n in (0, 3, 1) for pair in read_pairs(tmp_path) if pair.id == str(n)]


def test_of_two_with_one_id_the_first_counts(tmp_path: Path) -> None:
    path = write(tmp_path / "p.parquet", [row(4, 1, "a"), row(4, 1, "b")])
    assert PairStore(path).get(["4"])[0].caption == "a"


def test_what_cannot_be_given_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "p.parquet", [row(1, 1, "a"), row(2, 1, "b", jpg_0=b"GIF89a")])
    with pytest.raises(MissingPrerequisite, match="pair 3 is not among"):
        PairStore(path).get(["1", "3"])
    with pytest.raises(MissingPrerequisite, match=r"pair 2 of .* is neither PNG nor JPEG"):
        PairStore(path).get(["2"])
    with pytest.raises(MissingPrerequisite, match="no pair data at"):
        PairStore(tmp_path / "nowhere")


@pytest.mark.parametrize("column", ["ranking_id", "jpg_1"])
def test_damage_is_an_error_with_a_fix(column: str, tmp_path: Path) -> None:
    path = write(tmp_path / "p.parquet", [row(n, 1, f"c{n}") for n in range(40)], group=10)
    group = pq.ParquetFile(path).metadata.row_group(2)
    (about,) = (
        found
        for found in map(group.column, range(group.num_columns))
        if found.path_in_schema == column
    )
    data = bytearray(path.read_bytes())
    start = about.dictionary_page_offset or about.data_page_offset
    data[start : start + 12] = b"\xff" * 12
    path.write_bytes(data)
    with pytest.raises(PpdbenchError, match=r"pairs of .*p\.parquet cannot be read") as caught:
        PairStore(path).get(["25"])
    assert "\n" not in caught.value.cause and "delete it" in caught.value.fix
    if column == "jpg_1":
        assert PairStore(path).get(["5", "35"])
