"""Made-up pairs in the Pick-a-Pic v2 schema: rows as dicts, images of a few bytes."""

from __future__ import annotations

import hashlib
import random
import struct
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ppdbench.data.images import PNG_MAGIC
from ppdbench.data.pickapic_rows import COLUMNS

Row = dict[str, Any]


def picture(name: str) -> bytes:
    """A PNG of eight pixels, different for each name."""
    pixels = b"\0" + hashlib.shake_128(name.encode()).digest(24)
    header = struct.pack(">IIBBBBB", 8, 1, 8, 2, 0, 0, 0)
    parts = {b"IHDR": header, b"IDAT": zlib.compress(pixels, 0), b"IEND": b""}
    return PNG_MAGIC + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts.items()
    )


def row(number: int, user: int | None, caption: str | None, **over: Any) -> Row:
    """A usable row of images that no other number has."""
    images = [f"{number}a", f"{number}b"]
    return {
        "ranking_id": number,
        "user_id": user,
        "caption": caption,
        "are_different": True,
        "has_label": True,
        "label_0": 1.0,
        "label_1": 0.0,
        **{f"image_{side}_uid": f"uid {name}" for side, name in enumerate(images)},
        **{f"jpg_{side}": picture(name) for side, name in enumerate(images)},
        **over,
    }


def crowd(users: int = 60, captions: int = 16, each: int = 2, shared: int = 5) -> list[Row]:
    """Rows of users who each have `captions` captions of `each` pairs, and one of `shared` ones.

    User u has u % 4 captions fewer, so that some have few; images go on from pair to pair of a
    caption, as where a winner stays.
    """
    rows: list[Row] = []
    for user in range(users):
        texts = [f"own {user} {n}" for n in range(captions - 3 * (user % 4))]
        for text in [*texts, f"Shared  by many {user % shared}"]:
            for turn in range(each):
                number = len(rows)
                stays = [f"{number - 1}b" if turn else f"{number}a", f"{number}b"]
                uids = {f"image_{side}_uid": f"uid {name}" for side, name in enumerate(stays)}
                jpgs = {f"jpg_{side}": picture(name) for side, name in enumerate(stays)}
                label = {"label_0": float(number % 2), "label_1": float(1 - number % 2)}
                rows.append(row(number, 1000 + user, text, **uids, **jpgs, **label))
    return rows


def write(path: Path, rows: Iterable[Row], *, without: Sequence[str] = (), group: int = 50) -> Path:
    """A Parquet file of the rows."""
    kinds = {name: kind for name, kind in COLUMNS.items() if name not in without}
    schema = pa.schema(
        [(n, pa.timestamp("ns") if k.startswith("time") else pa.type_for_alias(k))
         for n, k in kinds.items()]
    )  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist([{n: r.get(n) for n in kinds} for r in rows], schema=schema)
    pq.write_table(table, path, row_group_size=group)
    return path


def shuffled(rows: Sequence[Row]) -> list[Row]:
    """The rows in another order, always the same one."""
    return random.Random(1).sample(list(rows), len(rows))
