"""Preference pairs in Parquet, column for column as Pick-a-Pic v2 has them.

Reading streams: one small batch of rows is in memory, whatever the file's size (or a row group,
where a foreign file has its images in a dictionary or in long pages), and image bytes stay encoded
until `decode_image` is asked. Rows that cannot be used are left out and counted by reason; ties
(0.5 / 0.5) are kept and flagged.

Elsewhere: a pair (`protocols.PreferencePair`), the schema and its rows (`pickapic_rows`), pairs by
id (`pair_store`), encoded images (`images`).
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

from ppdbench.data.pair_columns import ROWS, check_types
from ppdbench.data.pickapic_rows import (
    COLUMNS,
    check_columns,
    columns_read,
    open_parquet,
    pair_of,
    parquet_files,
    row_batches,
    row_count,
    unreadable,
    unusable,
    user_fault,
)
from ppdbench.data.selection import Selection, is_selection, read_selection
from ppdbench.errors import PpdbenchError, from_os_error, one_line
from ppdbench.protocols import PreferencePair

READ_ROWS = 64
"""Rows decoded from Parquet at a time: two 1 MB images a row make about 128 MB."""
PAGE_ROWS = 16
"""Rows after which a written page may end; a reader holds a page of each column."""


@dataclass(slots=True)
class ReadReport:
    """What a reader met so far: rows used, ties among them, and rows left out by reason."""

    read: int = 0
    ties: int = 0
    skipped: Counter[str] = field(default_factory=Counter)


def read_pairs(path: Path, *, report: ReadReport | None = None) -> Iterator[PreferencePair]:
    """Yield the usable pairs of a Parquet file, or of all `*.parquet` in a folder, in order.

    Args:
        path: file or folder; folders are read in the order of their files' names. Of a
            `selection` these are the selected pairs.
        report: filled while reading; complete when the iterator is.

    Raises:
        MissingPrerequisite: no such file, or a required column is absent (all are named).
        PpdbenchError: a file is not Parquet, or a column has another type than it should. Both are
            raised at the call, not at the first pair.
    """
    if (selected := _selection(path)) is not None:
        return _counted(selected.pairs(), report if report is not None else ReadReport())
    files = parquet_files(path)
    for file in files:
        check_columns(file)
        check_types(file)
    return _pairs(files, report if report is not None else ReadReport())


def count_rows(path: Path) -> int:
    """Rows of a file or folder by its metadata, usable or not; reads no images."""
    if (selected := _selection(path)) is not None:
        return len(selected)
    return sum(row_count(file) for file in parquet_files(path))


def user_ids(path: Path) -> list[int]:
    """Every user of a file or folder once, ascending; reads no column but theirs.

    Raises:
        MissingPrerequisite: no such file, or a required column is absent.
        PpdbenchError: a file is not Parquet, or is damaged.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if (selected := _selection(path)) is not None:
        return sorted(set(selected.users.tolist()))
    found: set[int] = set()
    for file in parquet_files(path):
        check_columns(file)
        check_types(file)
        try:
            source = open_parquet(file)
            for group in range(source.num_row_groups):
                for batch in row_batches(source, group, ["user_id"], ROWS):
                    users = pc.unique(batch.column(0)).to_pylist()
                    found |= {int(user) for user in users if not user_fault(user)}
        except (pa.ArrowException, OSError, ValueError) as error:
            raise PpdbenchError(
                f"the users of {file} cannot be read: {one_line(error, 200)}",
                fix="download or write it again",
            ) from error
    return sorted(found)


def write_pairs(path: Path, pairs: Iterable[PreferencePair], *, rows_per_group: int = 256) -> int:
    """Write pairs as one Parquet file in the Pick-a-Pic v2 schema; returns how many.

    Streams: `rows_per_group` pairs are in memory. The file appears whole or not at all, and the
    same pairs give the same bytes for one version of pyarrow (`created_at` and urls stay null).

    Raises:
        PpdbenchError: an id is not a decimal number, or the file cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(name, _arrow_type(kind)) for name, kind in COLUMNS.items()])
    pairs = iter(pairs)
    tmp = path.with_name(f".{path.name}.{os.getpid()}.tmp")  # beside it: replace() stays on one fs
    n = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Images are compressed already, and a dictionary of them would make a reader hold a whole
        # row group; both still shrink the text columns.
        plain = {"jpg_0", "jpg_1"}
        with pq.ParquetWriter(
            tmp,
            schema,
            compression={name: "NONE" if name in plain else "ZSTD" for name in COLUMNS},
            use_dictionary=[name for name in COLUMNS if name not in plain],
            write_batch_size=PAGE_ROWS,
        ) as writer:
            while rows := [_row(pair) for pair in islice(pairs, rows_per_group)]:
                writer.write_table(pa.Table.from_pylist(rows, schema=schema))
                n += len(rows)
        tmp.replace(path)
    except OSError as error:
        raise from_os_error(error, path) from error
    finally:
        with suppress(OSError):
            tmp.unlink(missing_ok=True)
    return n


def _selection(path: Path) -> Selection | None:
    """The selection that a path names, or None."""
    return read_selection(path) if is_selection(path) else None


def _counted(pairs: Iterable[PreferencePair], report: ReadReport) -> Iterator[PreferencePair]:
    for pair in pairs:
        report.read += 1
        report.ties += pair.tie
        yield pair


def _pairs(files: Iterable[Path], report: ReadReport) -> Iterator[PreferencePair]:
    for number, row in enumerate(chain.from_iterable(_rows(file, report) for file in files)):
        if row is None:  # counted where it was met
            continue
        if reason := unusable(row):
            report.skipped[reason] += 1
            continue
        pair = pair_of(row, number)
        report.read += 1
        report.ties += pair.tie
        yield pair


def _rows(file: Path, report: ReadReport) -> Iterator[dict[str, Any] | None]:
    """Rows as dicts; None for each row of a group that is damaged on disk."""
    source = open_parquet(file)
    columns = columns_read(source)
    for group in range(source.num_row_groups):
        left = int(source.metadata.row_group(group).num_rows)
        try:
            for batch in row_batches(source, group, columns, READ_ROWS):
                rows = batch.to_pylist()
                left -= len(rows)
                yield from rows
        except unreadable():
            pass
        if left > 0:
            report.skipped["row group unreadable"] += left
            yield from (None for _ in range(left))  # keeps the numbers of later rows


def _row(pair: PreferencePair) -> dict[str, Any]:
    if not pair.id.isdecimal():
        raise PpdbenchError(
            f"pair id {pair.id!r} is not a decimal number", fix="Pick-a-Pic's ranking_id is an int"
        )
    uid_0 = hashlib.sha256(pair.image_0).hexdigest()[:32]
    uid_1 = hashlib.sha256(pair.image_1).hexdigest()[:32]
    best = "tie" if pair.tie else uid_0 if pair.label_0 > pair.label_1 else uid_1
    return {
        "are_different": pair.are_different,
        "best_image_uid": best,
        "caption": pair.caption,
        "has_label": True,
        "image_0_uid": uid_0,
        "image_1_uid": uid_1,
        "jpg_0": pair.image_0,
        "jpg_1": pair.image_1,
        "label_0": pair.label_0,
        "label_1": pair.label_1,
        "model_0": pair.model_0,
        "model_1": pair.model_1,
        "ranking_id": int(pair.id),
        "user_id": pair.user_id,
        "num_example_per_prompt": pair.num_example_per_prompt,
    }


def _arrow_type(kind: str) -> Any:
    import pyarrow as pa

    return pa.timestamp("ns") if kind == "timestamp[ns]" else pa.type_for_alias(kind)
