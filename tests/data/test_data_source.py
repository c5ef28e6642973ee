"""Where pairs lie: files, folders, the hub's cache; their hashes; copies of some of them."""

from __future__ import annotations

import hashlib
import runpy
import shutil
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from ppdbench.data.extract import extract_pairs
from ppdbench.data.pickapic import read_pairs
from ppdbench.data.source import check_pins, find_source, pin, source_files
from ppdbench.errors import MissingPrerequisite

MADE = runpy.run_path(str(Path(__file__).with_name("made_pairs.py")))
row, write = MADE["row"], MADE["write"]
ROWS = [row(n, n % 3, f"c{n}") for n in range(12)]


@pytest.fixture(autouse=True)
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "hub"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder))
    monkeypatch.chdir(tmp_path)
    return folder


def test_a_file_a_folder_and_a_folder_with_data_are_found(tmp_path: Path) -> None:
    file = write(tmp_path / "set" / "data" / "train-1.parquet", ROWS)
    write(tmp_path / "set" / "data" / "train-0.parquet", ROWS)
    assert find_source(file) == file
    assert find_source(tmp_path / "set") == find_source(file.parent) == file.parent
    assert [each.name for each in source_files(file.parent)] == [
        "train-0.parquet",
        "train-1.parquet",
    ]


@pytest.mark.parametrize("name", ["nowhere", "a/b/c", "a/b.parquet", "./a/b"])
def test_nothing_is_named(name: str) -> None:
    with pytest.raises(MissingPrerequisite, match="there is no pair data at"):
        find_source(name)


def test_a_data_set_is_taken_from_the_hubs_cache(tmp_path: Path, hub: Path) -> None:
    repo = hub / "datasets--someone--pairs"
    write(repo / "snapshots" / "abc" / "data" / "train.parquet", ROWS)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text("abc")
    found = find_source(Path("someone/pairs"))
    assert found == repo / "snapshots" / "abc" / "data"
    assert len(list(read_pairs(found))) == 12
    write(tmp_path / "someone" / "pairs" / "p.parquet", ROWS)  # a folder of that name is meant
    assert find_source("someone/pairs") == Path("someone/pairs")


def test_a_data_set_that_is_not_there_says_what_to_do() -> None:
    with pytest.raises(MissingPrerequisite, match="gone from the hub since 2025") as caught:
        find_source("yuvalkirstain/pickapic_v2")
    assert "folder that holds its Parquet files" in caught.value.fix
    with pytest.raises(MissingPrerequisite, match="someone/pairs is not in the hub's cache") as it:
        find_source("someone/pairs")
    assert "since 2025" not in it.value.cause


def test_files_are_held_by_their_hash_not_by_their_name(tmp_path: Path) -> None:
    write(tmp_path / "a" / "0.parquet", ROWS[:5])
    file = write(tmp_path / "a" / "1.parquet", ROWS[5:])
    pinned = pin(tmp_path / "a")
    assert [p.rows for p in pinned] == [5, 7]
    assert pinned[1].sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert pinned[1].bytes == file.stat().st_size
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    (tmp_path / "b" / "1.parquet").rename(tmp_path / "b" / "2.parquet")
    check_pins(pinned, pin(tmp_path / "b"), tmp_path / "b")
    write(tmp_path / "b" / "2.parquet", ROWS[6:])
    with pytest.raises(MissingPrerequisite, match=r"2\.parquet of .* is not the 1\.parquet that"):
        check_pins(pinned, pin(tmp_path / "b"), tmp_path / "b")
    (tmp_path / "b" / "2.parquet").unlink()
    with pytest.raises(MissingPrerequisite, match=r"made of 2 Parquet files, and .* has 1"):
        check_pins(pinned, pin(tmp_path / "b"), tmp_path / "b")


def test_some_pairs_are_copied_once_each_under_their_own_ids(tmp_path: Path) -> None:
    write(tmp_path / "a" / "0.parquet", ROWS[:5], group=2)
    write(tmp_path / "a" / "1.parquet", ROWS[5:], group=3)
    out = tmp_path / "deep" / "out.parquet"
    rows, ids = np.array([7, 2, 3, 2, 11]), np.array([70, 20, 30, 20, 110])
    assert extract_pairs(tmp_path / "a", rows, ids, out, rows_per_group=2) == 4
    assert [pair.id for pair in read_pairs(out)] == ["20", "30", "70", "110"]
    assert pq.ParquetFile(out).num_row_groups == 2
    whole = list(read_pairs(tmp_path / "a"))
    for pair in read_pairs(out):
        assert whole[int(pair.id) // 10] == replace(pair, id=str(int(pair.id) // 10))


def test_a_pair_that_cannot_be_copied_leaves_no_file(tmp_path: Path) -> None:
    rows = [row(n, n % 3, f"c{n}", **({"jpg_0": b"GIF"} if n == 4 else {})) for n in range(8)]
    source, out = write(tmp_path / "a.parquet", rows), tmp_path / "out.parquet"
    with pytest.raises(MissingPrerequisite, match="has 8 rows, and a pair of row 99"):
        extract_pairs(source, np.array([3, 99]), np.array([1, 2]), out)
    with pytest.raises(MissingPrerequisite, match="image is neither PNG nor JPEG") as caught:
        extract_pairs(source, np.array([3, 4]), np.array([1, 2]), out)
    assert "without --trust-images" in caught.value.fix
    data = bytearray(source.read_bytes())
    data[4:200] = b"\xff" * 196
    source.write_bytes(data)
    with pytest.raises(MissingPrerequisite, match=r"pairs of .*a\.parquet cannot be read"):
        extract_pairs(source, np.array([3]), np.array([1]), out)
    assert not out.exists()


def test_space_is_looked_for_before_the_walk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write(tmp_path / "a.parquet", ROWS)
    usage = namedtuple("usage", "total used free")
    size = source.stat().st_size
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(0, 0, size // 2))
    few, many = np.array([3, 4]), np.arange(8)
    extract_pairs(source, few, few, tmp_path / "new" / "out.parquet")
    with pytest.raises(MissingPrerequisite, match=r"would take about .* GB at .* are free") as it:
        extract_pairs(source, many, many, tmp_path / "new" / "more.parquet")
    assert "PPDBENCH_CACHE" in it.value.fix and "--max-pairs-per-user" in it.value.fix
