"""Pick-a-Pic v2 Parquet: what is written is read, what is unusable counts, memory is bounded."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from ppdbench.data import pickapic, pickapic_rows
from ppdbench.data.images import decode_image, encode_png
from ppdbench.data.pair_store import PairStore
from ppdbench.data.pair_table import read_captions
from ppdbench.data.pickapic import ReadReport, read_pairs, write_pairs
from ppdbench.data.source_rows import SourceRows
from ppdbench.errors import MissingPrerequisite, PpdbenchError
from ppdbench.protocols import PreferencePair


def picture(seed: int, size: int = 8) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)
    return encode_png(Image.fromarray(pixels))


def pair(number: int, label_0: float = 1.0, size: int = 8) -> PreferencePair:
    return PreferencePair(
        id=str(number),
        caption=f"caption {number}",
        image_0=picture(2 * number, size),
        image_1=picture(2 * number + 1, size),
        label_0=label_0,
        label_1=1.0 - label_0,
        user_id=number % 3,
        num_example_per_prompt=1 + number % 4,
    )


def rewrite(path: Path, **columns: list[object]) -> None:
    """Replace columns of a written file, keeping their types."""
    table = pq.read_table(path)
    for name, values in columns.items():
        index = table.schema.get_field_index(name)
        table = table.set_column(index, name, pa.array(values, table.schema.field(name).type))
    pq.write_table(table, path)


def test_round_trip_over_several_row_groups(tmp_path: Path) -> None:
    pairs = [pair(n, (1.0, 0.0, 0.5)[n % 3]) for n in range(11)]
    path = tmp_path / "deep" / "pairs.parquet"
    assert write_pairs(path, iter(pairs), rows_per_group=4) == 11
    report = ReadReport()
    assert list(read_pairs(path, report=report)) == pairs
    assert (report.read, report.ties, sum(report.skipped.values())) == (11, 3, 0)
    assert pickapic.count_rows(path) == 11
    assert list(path.parent.iterdir()) == [path]  # no temporary file is left


def test_columns_are_pickapic_v2s(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    write_pairs(path, [pair(0), pair(1, 0.5)])
    table = pq.read_table(path)
    names = (
        "are_different best_image_uid caption created_at has_label image_0_uid image_0_url "
        "image_1_uid image_1_url jpg_0 jpg_1 label_0 label_1 model_0 model_1 ranking_id user_id "
        "num_example_per_prompt"
    )
    assert " ".join(table.schema.names) == names
    first, second = table.to_pylist()
    assert first["best_image_uid"] == first["image_0_uid"] != first["image_1_uid"]
    assert second["best_image_uid"] == "tie"


def test_same_pairs_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_pairs(tmp_path / name, map(pair, range(5)))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_jpeg_is_kept_as_is_and_decoded_on_demand(tmp_path: Path) -> None:
    image = Image.new("L", (16, 8), 200)
    image.save(tmp_path / "x.jpg")
    data = (tmp_path / "x.jpg").read_bytes()
    assert decode_image(data).mode == "RGB"
    assert decode_image(data).size == (16, 8)
    with pytest.raises(PpdbenchError, match=r"pair 7 cannot be decoded[^\n]*\n  fix: "):
        decode_image(data[: len(data) // 2], name="pair 7")
    with pytest.raises(PpdbenchError, match="cannot be decoded"):
        decode_image(picture(0)[:-40])


def test_a_folder_reads_as_one_in_order_of_names(tmp_path: Path) -> None:
    write_pairs(tmp_path / "part-1.parquet", [pair(2), pair(3)])
    write_pairs(tmp_path / "part-0.parquet", [pair(0), pair(1)])
    assert [p.id for p in read_pairs(tmp_path)] == ["0", "1", "2", "3"]


def test_unusable_rows_are_counted_by_reason(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    good = [pair(n) for n in range(8)]
    write_pairs(path, good)
    rewrite(
        path,
        caption=["c", "", "c", "c", "c", "c", "c", " \n"],
        user_id=[0, 0, None, 0, 0, 0, 0, 0],
        has_label=[True, True, True, False, True, True, True, True],
        label_1=[0, 0, 0, 0, 1, 0, 0, 0],  # and label_0 is 1
        jpg_0=[*[p.image_0 for p in good[:5]], b"GIF89a", None, good[7].image_0],
    )
    report = ReadReport()
    assert [p.id for p in read_pairs(path, report=report)] == ["0"]
    assert report.skipped == {
        "no caption": 2,
        "no user": 1,
        "no label": 1,
        "labels do not sum to 1": 1,
        "image is neither PNG nor JPEG": 1,
        "no image bytes": 1,
    }


def test_a_user_missing_among_floats_is_no_user(tmp_path: Path) -> None:
    """As pandas writes integers with gaps."""
    path = tmp_path / "p.parquet"
    write_pairs(path, [pair(0), pair(1), pair(2)])
    table = pq.read_table(path)
    users = pa.array([0.0, float("nan"), 2.0])
    pq.write_table(table.set_column(table.schema.names.index("user_id"), "user_id", users), path)
    report = ReadReport()
    assert [p.user_id for p in read_pairs(path, report=report)] == [0, 2]
    assert report.skipped == {"no user": 1}


def test_a_damaged_row_group_costs_its_rows_only(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    write_pairs(path, map(pair, range(12)), rows_per_group=4)
    column = pq.ParquetFile(path).metadata.row_group(1).column(2)
    assert column.path_in_schema == "caption"
    data = bytearray(path.read_bytes())
    start = column.dictionary_page_offset or column.data_page_offset
    data[start : start + 12] = b"\xff" * 12
    path.write_bytes(data)
    report = ReadReport()
    ids = [p.id for p in read_pairs(path, report=report)]
    assert ids == ["0", "1", "2", "3", "8", "9", "10", "11"]
    assert report.skipped == {"row group unreadable": 4}


CUT = """
import os, sys
from pathlib import Path
from ppdbench.data.pickapic import ReadReport, read_pairs
path, report = Path(sys.argv[1]), ReadReport()
pairs = read_pairs(path, report=report)
next(pairs)
os.truncate(path, 4)
print(len(list(pairs)), dict(report.skipped))
"""


def test_a_file_cut_while_it_is_read_costs_rows_and_not_the_process(tmp_path: Path) -> None:
    path = tmp_path / "pairs.parquet"
    write_pairs(path, (pair(n) for n in range(12)), rows_per_group=4)
    done = subprocess.run(
        [sys.executable, "-c", CUT, path], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "3 {'row group unreadable': 8}\n"), done.stderr


@pytest.mark.parametrize("keep", [0.01, 0.25, 0.6])
def test_a_file_cut_after_it_was_opened_is_never_a_shorter_one(
    keep: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pyarrow ends such a row group early, and says nothing."""
    path = tmp_path / "pairs.parquet"
    write_pairs(path, (pair(n, size=64) for n in range(12)), rows_per_group=4)
    whole, opened = path.read_bytes(), pickapic_rows.open_parquet

    def cut(file: Path) -> object:
        source = opened(file)
        os.truncate(file, int(keep * len(whole)))
        return source

    def read_again(read: Callable[[], object], module: str) -> str:
        path.write_bytes(whole)
        with monkeypatch.context() as patch:
            patch.setattr(f"ppdbench.data.{module}.open_parquet", cut)
            with pytest.raises(PpdbenchError) as raised:
                read()
        return raised.value.cause

    known = PairStore(path)
    rows = SourceRows(path)
    for read, module in (
        (lambda: pickapic.user_ids(path), "pickapic"),
        (lambda: PairStore(path), "pair_store"),
        (lambda: known.get(["11"]), "pair_store"),
        (lambda: list(rows.read(np.arange(12))), "source_rows"),
        (lambda: read_captions(path, np.arange(12)), "pair_table"),
    ):
        assert f"{path} cannot be read" in read_again(read, module)


def test_optional_columns_may_be_absent(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    write_pairs(path, [pair(5), pair(6)])
    pq.write_table(pq.read_table(path, columns=list(pickapic_rows.REQUIRED)), path)
    assert [p.id for p in read_pairs(path)] == ["0", "1"]  # row numbers stand in for ranking_id


def test_errors_say_cause_and_fix_at_the_call(tmp_path: Path) -> None:
    with pytest.raises(MissingPrerequisite, match=r"no pair data at .*nowhere"):
        read_pairs(tmp_path / "nowhere")
    with pytest.raises(MissingPrerequisite, match="no pair data"):
        read_pairs(tmp_path)  # a folder without Parquet
    path = tmp_path / "p.parquet"
    path.write_bytes(b"not parquet at all")
    with pytest.raises(PpdbenchError, match=r"not a readable Parquet file[^\n]*\n  fix: [^\n]*$"):
        read_pairs(path)
    write_pairs(path, [pair(0)])
    pq.write_table(pq.read_table(path).drop_columns(["jpg_1", "user_id"]), path)
    with pytest.raises(MissingPrerequisite, match="lacks the columns jpg_1, user_id\n"):
        read_pairs(path)
    with pytest.raises(PpdbenchError, match="not a decimal"):
        write_pairs(tmp_path / "q.parquet", [replace(pair(0), id="a")])
    assert not (tmp_path / "q.parquet").exists()


def test_memory_is_bounded_by_a_batch_not_by_the_file(tmp_path: Path) -> None:
    def big() -> Iterator[PreferencePair]:
        return (pair(n, size=96) for n in range(1000))  # about 55 MB of images in one group

    path = tmp_path / "p.parquet"
    write_pairs(path, big(), rows_per_group=1000)
    size = path.stat().st_size
    before = pa.total_allocated_bytes()
    peak = 0
    tracemalloc.start()
    for _ in read_pairs(path):
        peak = max(peak, pa.total_allocated_bytes() - before)
    python_peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak + python_peak < 0.4 * size
