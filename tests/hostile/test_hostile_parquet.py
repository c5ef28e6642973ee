"""Parquet and Arrow of strangers: pair tables, selections, splits, captions of encoded pairs.

A damaged row group costs its rows, and says so; what is left is sound. Elsewhere: how many and
within which bounds (`cases`), pickles under any name (`test_hostile_parsers`).
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cases import NUMBERS, TEXTS, Draw, as_json, damage, edit, hold, profiles, takes
from PIL import Image

from ppdbench.data.assignment import Assignment, SplitSettings, Step
from ppdbench.data.images import is_png_or_jpeg
from ppdbench.data.pair_table import read_captions, read_table
from ppdbench.data.pickapic import count_rows, read_pairs, user_ids, write_pairs
from ppdbench.data.selection import read_selection, selection_file
from ppdbench.data.source import pin
from ppdbench.data.split_files import read_splits, split_files
from ppdbench.data.splits import Splits
from ppdbench.protocols import PreferencePair
from trainers.encoded.captions_file import Captions, captions_file


def png(colour: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), (colour, 0, 0)).save(buffer, format="PNG")
    return buffer.getvalue()


PAIRS = [
    PreferencePair(
        id=str(number),
        caption=f"a thing {number // 2}",
        image_0=png(number),
        image_1=png(number + 100),
        label_0=float(number % 2),
        label_1=float(1 - number % 2),
        user_id=number // 3,
        model_0="a",
        model_1="b",
    )
    for number in range(6)
]
EXAMPLES = [b"", b"PAR1", b"PAR1PAR1", b"PAR1" + bytes(64) + b"\xff\xff\xff\x7fPAR1", b"ARROW1\0\0"]


@pytest.fixture
def whole(tmp_path: Path) -> bytes:
    """A file of pairs in two row groups."""
    path = tmp_path / "whole.parquet"
    write_pairs(path, PAIRS, rows_per_group=3)
    data = path.read_bytes()
    path.unlink()
    return data


def tables(data: bytes) -> Callable[[Draw], bytes]:
    """Files damaged in their bytes; some whole, with other values or types in a column."""
    table = pq.read_table(io.BytesIO(data))

    def drawn(draw: Draw) -> bytes:
        if draw.random() < 0.85:
            return damage(data, draw, draw.randrange(5))
        name = draw.choice(table.schema.names)
        at = table.schema.get_field_index(name)
        kind = draw.randrange(4)
        if kind == 0:
            made = table.drop_columns([name])
        elif kind == 1:
            made = table.append_column(name, table.column(name))
        else:
            value: Any = draw.choice(draw.choice((NUMBERS, TEXTS, (None, b"", [1]))))
            try:
                column = pa.array([value] * len(table))
            except (pa.ArrowException, OverflowError, UnicodeEncodeError):
                column = pa.nulls(len(table))
            made = table.set_column(at, name, column)
        buffer = io.BytesIO()
        pq.write_table(made, buffer, row_group_size=4)
        return buffer.getvalue()

    return drawn


@profiles
def test_pairs(tmp_path: Path, whole: bytes, number: int) -> None:
    """Pair by pair, as a table, and their users alone: each takes a file or refuses it."""
    path = tmp_path / "p.parquet"

    def sound(pairs: list[PreferencePair]) -> None:
        assert len(pairs) <= count_rows(path)
        for pair in pairs:
            assert pair.caption.strip() and pair.label_0 + pair.label_1 == 1
            assert is_png_or_jpeg(pair.image_0) and is_png_or_jpeg(pair.image_1)
            assert -(2**63) < pair.user_id < 2**63

    def counted(found: Any) -> None:
        table, met = found
        assert len(table) + sum(met.left_out.values()) == met.rows
        assert len(set(table.id.tolist())) == len(table)
        assert all(text.strip() for text in read_captions(path, table.row).values())

    def body(data: bytes) -> bool:
        path.write_bytes(data)
        as_table = takes(lambda: read_table(path), counted)
        users = takes(lambda: user_ids(path), lambda found: [0 <= abs(u) < 2**63 for u in found])
        return takes(lambda: list(read_pairs(path)), sound) and as_table and users

    examples = [*EXAMPLES, *typed(whole, "caption", "user_id", "model_0", "num_example_per_prompt")]
    hold(body, tables(whole), number=number, folder=tmp_path, examples=examples)


def typed(data: bytes, *names: str) -> list[bytes]:
    """Files with a column of lists, one each: what met readers by surprise once."""
    table, made = pq.read_table(io.BytesIO(data)), []
    for name in names:
        at, buffer = table.schema.get_field_index(name), io.BytesIO()
        pq.write_table(table.set_column(at, name, pa.array([["x"]] * len(table))), buffer)
        made.append(buffer.getvalue())
    return made


@profiles
def test_splits(tmp_path: Path, whole: bytes, number: int) -> None:
    """Rows that were changed are not those of the digest; and what says so is damaged, too."""
    import numpy as np

    source = tmp_path / "source.parquet"
    source.write_bytes(whole)
    rows = np.arange(4)
    splits = Splits(
        settings=SplitSettings(),
        source=pin(source),
        assignment=Assignment(
            pair=rows + 7,
            row=rows,
            user=rows // 2,
            split=np.array([0, 0, 1, 1], np.int8),
            role=np.array([0, 0, 1, 1], np.int8),
            group=np.array([-1, -1, -1, 0], np.int32),
            captions={2: "a", 3: "b"},
        ),
        funnel=(Step(name="read", pairs=4, users=2),),
    )
    files = split_files(splits, folder=tmp_path, source=source)
    about = json.loads(files["splits.json"])
    made = tables(files["splits.parquet"])

    def drawn(draw: Draw) -> tuple[bytes, bytes]:
        if draw.random() < 0.5:
            return files["splits.parquet"], as_json(edit(about, draw, draw.randrange(3)))
        return made(draw), damage(files["splits.json"], draw, draw.choice((0, 0, 0, 1)))

    def body(case: tuple[bytes, bytes]) -> bool:
        for name, data in zip(("splits.parquet", "splits.json"), case, strict=True):
            (tmp_path / name).write_bytes(data)
        return takes(
            lambda: read_splits(tmp_path),
            lambda found: found.digest == splits.digest or pytest.fail("another digest"),
        )

    examples = [(each, b"[" * 100_000) for each in EXAMPLES]
    hold(body, drawn, number=number, folder=tmp_path, examples=examples)


@profiles
def test_selections(tmp_path: Path, whole: bytes, number: int) -> None:
    import numpy as np

    source = tmp_path / "source.parquet"
    source.write_bytes(whole)
    numbers = np.array([0, 2, 5])
    path = tmp_path / "some.rows.parquet"
    valid = selection_file(
        tmp_path, source, pin(source), rows=numbers, ids=numbers + 100, users=numbers * 0
    )

    def body(data: bytes) -> bool:
        path.write_bytes(data)

        def check(pairs: list[PreferencePair]) -> None:
            assert all(pair.caption for pair in pairs)

        return takes(lambda: list(read_selection(path).pairs()), check)

    hold(body, tables_of(valid), number=number, folder=tmp_path, examples=EXAMPLES)


def tables_of(data: bytes) -> Callable[[Draw], bytes]:
    """The same, which keep what the file says of itself."""
    about = pq.read_schema(io.BytesIO(data)).metadata
    made = tables(data)

    def drawn(draw: Draw) -> bytes:
        found = made(draw)
        if draw.random() < 0.2:
            table = pq.read_table(io.BytesIO(data))
            changed = {key: damage(text, draw, 2) for key, text in (about or {}).items()}
            buffer = io.BytesIO()
            pq.write_table(table.replace_schema_metadata(changed), buffer)
            return buffer.getvalue()
        return found

    return drawn


@profiles
def test_captions_of_encoded_pairs(tmp_path: Path, number: int) -> None:
    path = tmp_path / "captions.arrow"
    valid = captions_file(["a cube", "a ball", ""])

    def body(data: bytes) -> bool:
        path.write_bytes(data)
        return takes(
            lambda: Captions(path)[:],
            lambda texts: [text is None or text.encode() for text in texts],
        )

    hold(
        body,
        lambda draw: damage(valid, draw, draw.randrange(5)),
        number=number,
        folder=tmp_path,
        examples=EXAMPLES,
    )


@profiles
def test_pairs_are_read_back_as_they_were_written(tmp_path: Path, number: int) -> None:
    """Any caption that is text at all, any user id of 63 bits, ties too."""
    path = tmp_path / "p.parquet"

    def drawn(draw: Draw) -> PreferencePair:
        label = draw.choice((0.0, 0.5, 1.0))
        text = draw.choice(TEXTS).encode("utf-8", "replace").decode()
        return PreferencePair(
            id=str(draw.randrange(2**63)),
            caption=f"{text}x",
            image_0=png(draw.randrange(256)),
            image_1=png(draw.randrange(256)),
            label_0=label,
            label_1=1 - label,
            user_id=draw.randrange(-(2**63) + 1, 2**63),
            model_0="a",
            model_1="b",
        )

    def body(pair: PreferencePair) -> bool:
        write_pairs(path, [pair])
        assert list(read_pairs(path)) == [pair]
        assert math.isclose(pair.label_0 + pair.label_1, 1)
        return True

    hold(body, drawn, number=number // 10, folder=tmp_path, one_sided=True)
