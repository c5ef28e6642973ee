"""The usable pairs of a source as numbers: how images are known and looked at, and pairs named."""

from __future__ import annotations

import io
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from ppdbench.data.pair_table import ImageCheck, read_table
from ppdbench.data.pickapic import ReadReport, read_pairs, user_ids

MADE = runpy.run_path(str(Path(__file__).with_name("made_pairs.py")))
row, write = MADE["row"], MADE["write"]


@pytest.mark.parametrize("over", [{}, {"image_0_uid": None}], ids=["no column", "a gap"])
def test_without_uids_images_are_known_by_their_bytes(over: dict[str, Any], tmp_path: Path) -> None:
    rows = [row(n, 1, f"c{n}") for n in range(9)]
    rows[8] |= {"caption": "c7", "jpg_0": rows[7]["jpg_0"], "jpg_1": rows[7]["jpg_1"]}
    rows[0] |= over
    path = write(tmp_path / "p.parquet", rows, without=() if over else ("image_1_uid",))
    table, met = read_table(path, images="trust")
    assert not met.by_uid and met.left_out == {"duplicate pair": 1}
    assert table.images[0, 0] != 0 and len(np.unique(table.images)) == 16


def test_a_nested_column_among_the_others_is_no_matter(tmp_path: Path) -> None:
    rows = [row(n, 1, f"c{n}") for n in range(9)]
    rows[0]["image_0_uid"] = None
    path = write(tmp_path / "p.parquet", rows)
    table = pq.read_table(path)
    nested = pa.array([{"a": 1, "b": 2, "c": 3, "d": 4, "e": 5}] * 9)
    before, _ = read_table(path)
    for at in (0, 5, table.num_columns):
        pq.write_table(table.add_column(at, "nested", nested), path)
        found, met = read_table(path)
        assert not met.by_uid and found.id.tolist() == before.id.tolist()


def test_images_are_decoded_only_when_asked(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, "PNG")
    whole = buffer.getvalue()
    rows = [row(n, 1, f"c{n}", jpg_0=whole, jpg_1=whole + bytes([n])) for n in range(6)]
    rows[5]["jpg_0"] = whole[:-30]
    rows[4]["jpg_0"] = b"what is this"
    rows[3]["jpg_1"] = whole[:-20] + b"what" + whole[-16:]  # begins and ends as it should
    path = write(tmp_path / "p.parquet", rows)
    checks: tuple[ImageCheck, ...] = ("trust", "header", "decode")
    left_out = {check: read_table(path, images=check)[1].left_out for check in checks}
    bad = {"image is neither PNG nor JPEG": 1}
    assert left_out == {
        "trust": {},
        "header": {**bad, "image cannot be decoded": 1},
        "decode": {**bad, "image cannot be decoded": 2},
    }


@pytest.mark.parametrize(
    ("kind", "users", "reason"),
    [
        ("uint64", [7, 2**63, 2**63 - 1, 2**64 - 1, None], "user id is 2^63 or more"),
        ("float64", [7.0, 1.5, 2.0**52, float("inf"), float("nan")], "user id is no whole number"),
        ("float64", [7.0, 2.0**63, 2.0**52, 1e300, None], "user id is 2^63 or more"),
    ],
)
def test_users_that_are_no_integers_of_64_bits_are_counted_as_such(
    kind: str, users: list[Any], reason: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "p.parquet", [row(n, 1, f"c{n}") for n in range(5)])
    columns = pq.read_table(path)
    place = columns.schema.get_field_index("user_id")
    pq.write_table(columns.set_column(place, "user_id", pa.array(users, kind)), path)
    table, met = read_table(path)
    report = ReadReport()
    kept = [pair.user_id for pair in read_pairs(path, report=report)]
    assert table.user.tolist() == kept == [7, users[2]]
    assert met.left_out == report.skipped == {reason: 2, "no user": 1}
    assert met.users == 2 and user_ids(path) == sorted(kept)


@pytest.mark.parametrize("labels", [(1, 1), (0, 0), (0.5, 1), (0, 0.5)])
def test_labels_that_do_not_sum_to_one_are_told_from_others(
    labels: tuple[float, float], tmp_path: Path
) -> None:
    rows = [row(0, 1, "a"), row(1, 1, "b", label_0=0.7, label_1=0.3),
            row(2, 1, "c", label_0=labels[0], label_1=labels[1])]  # fmt: skip
    path, report = write(tmp_path / "p.parquet", rows), ReadReport()
    assert [pair.caption for pair in read_pairs(path, report=report)] == ["a"]
    reasons = {"label is not 0, 0.5 or 1": 1, "labels do not sum to 1": 1}
    assert read_table(path)[1].left_out == report.skipped == reasons


def test_ids_are_of_what_pairs_are_not_of_what_they_are_called(tmp_path: Path) -> None:
    rows = [row(n, 1, f"c{n}") for n in range(6)]
    write(tmp_path / "a.parquet", rows[:2], without=("ranking_id",))
    write(tmp_path / "b.parquet", rows[2:], without=("ranking_id", "are_different", "has_label"))
    table, _ = read_table(tmp_path)
    assert table.row.tolist() == list(range(6))
    named = read_table(write(tmp_path / "c" / "c.parquet", rows))[0]
    assert table.id.tolist() == named.id.tolist() and min(table.id) >= 0
