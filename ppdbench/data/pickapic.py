"""Preference pairs in Parquet, column for column as Pick-a-Pic v2 has them.

Reading streams: one small batch of rows is in memory, whatever the file's size (one row group,
where a foreign file has its images in a dictionary or compressed), and image bytes stay encoded
until `decode_image` is asked. Rows that cannot be used are left out and counted by reason; ties
(0.5 / 0.5) are kept and flagged.

Elsewhere: a pair (`protocols.PreferencePair`), pairs by id (`pair_store`), encoded images
(`images`).
Schema: https://huggingface.co/datasets/yuvalkirstain/pickapic_v2
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppdbench.data.images import is_png_or_jpeg
from ppdbench.errors import MissingPrerequisite, PpdbenchError, from_os_error, one_line
from ppdbench.protocols import PreferencePair

if TYPE_CHECKING:
    from ppdbench.data.selection import Selection

COLUMNS: Mapping[str, str] = {
    "are_different": "bool",
    "best_image_uid": "string",
    "caption": "string",
    "created_at": "timestamp[ns]",
    "has_label": "bool",
    "image_0_uid": "string",
    "image_0_url": "string",
    "image_1_uid": "string",
    "image_1_url": "string",
    "jpg_0": "binary",
    "jpg_1": "binary",
    "label_0": "float64",
    "label_1": "float64",
    "model_0": "string",
    "model_1": "string",
    "ranking_id": "int64",
    "user_id": "int64",
    "num_example_per_prompt": "int64",
}
"""Column -> Arrow type, as Pick-a-Pic v2 has them."""

REQUIRED = ("caption", "jpg_0", "jpg_1", "label_0", "label_1", "user_id")
OPTIONAL = (
    "ranking_id",
    "has_label",
    "are_different",
    "model_0",
    "model_1",
    "num_example_per_prompt",
)
READ_ROWS = 64
"""Rows decoded from Parquet at a time: two 1 MB images a row make about 128 MB."""


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
        PpdbenchError: a file is not Parquet. Both are raised at the call, not at the first pair.
    """
    if (selected := _selection(path)) is not None:
        return _counted(selected.pairs(), report if report is not None else ReadReport())
    files = parquet_files(path)
    for file in files:
        check_columns(file)
    return _pairs(files, report if report is not None else ReadReport())


def read_batches(
    path: Path, batch_size: int, *, report: ReadReport | None = None
) -> Iterator[list[PreferencePair]]:
    """Yield the pairs of `read_pairs` in lists of `batch_size`; the last may be shorter."""
    pairs = read_pairs(path, report=report)
    return iter(lambda: list(islice(pairs, batch_size)), [])


def count_rows(path: Path) -> int:
    """Rows of a file or folder by its metadata, usable or not; reads no images."""
    if (selected := _selection(path)) is not None:
        return len(selected)
    return sum(int(open_parquet(file).metadata.num_rows) for file in parquet_files(path))


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
        try:
            for batch in open_parquet(file).iter_batches(columns=["user_id"], use_threads=False):
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


def parquet_files(path: Path) -> list[Path]:
    """The file, or the `*.parquet` of a folder in the order in which they are read.

    Raises:
        MissingPrerequisite: there is none.
    """
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        raise MissingPrerequisite(
            f"there is no pair data at {path}",
            fix="give a Parquet file, or a folder of *.parquet, in the Pick-a-Pic v2 schema",
        )
    return files


def open_parquet(file: Path) -> Any:
    """A mapped `pyarrow.parquet.ParquetFile`: pages are read where they lie.

    Raises:
        PpdbenchError: it is not Parquet, is cut short, or cannot be opened.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # Not mapped, a whole column chunk would be loaded at once.
        return pq.ParquetFile(file, memory_map=True)
    except pa.ArrowException as error:
        reason = str(error).partition("\n")[0]
        raise PpdbenchError(
            f"{file} is not a readable Parquet file: {reason}", fix="download or write it again"
        ) from error
    except OSError as error:
        raise PpdbenchError(
            f"{file} cannot be opened: {error.strerror or error}", fix="check path and permissions"
        ) from error


def check_columns(file: Path) -> None:
    """See that a file has the columns that nothing can do without.

    Raises:
        MissingPrerequisite: it lacks some; all are named.
        PpdbenchError: it has one twice; or as `open_parquet`.
    """
    present = open_parquet(file).schema_arrow.names
    if twice := [name for name in COLUMNS if present.count(name) > 1]:
        raise PpdbenchError(
            f"{file} has the column {twice[0]} more than once", fix="write it again with one"
        )
    if missing := [name for name in REQUIRED if name not in present]:
        raise MissingPrerequisite(
            f"{file} lacks the column{'s'[: len(missing) > 1]} {', '.join(missing)}",
            fix=f"the Pick-a-Pic v2 schema is expected: {', '.join(COLUMNS)}",
        )


def columns_read(source: Any) -> list[str]:
    """The columns that make a pair, as far as an open file has them."""
    return [c for c in (*REQUIRED, *OPTIONAL) if c in set(source.schema_arrow.names)]


def unreadable() -> tuple[type[Exception], ...]:
    """What reading damaged Parquet raises; text that is no UTF-8 is met when it is decoded."""
    import pyarrow as pa

    return (pa.ArrowException, OSError, UnicodeDecodeError)


def _selection(path: Path) -> Selection | None:
    """The selection that a path names, or None."""
    from ppdbench.data.selection import is_selection, read_selection  # it reads by what is here

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
            for batch in source.iter_batches(
                READ_ROWS, row_groups=[group], columns=columns, use_threads=False
            ):
                rows = batch.to_pylist()
                left -= len(rows)
                yield from rows
        except unreadable():
            report.skipped["row group unreadable"] += left
            yield from (None for _ in range(left))  # keeps the numbers of later rows


def pair_of(row: Mapping[str, Any], number: int) -> PreferencePair:
    """A usable row as a pair; `number`, the row's own, is its id where the file has none."""
    identity = row.get("ranking_id")
    different = row.get("are_different")
    per_prompt = row.get("num_example_per_prompt")
    return PreferencePair(
        id=str(number if identity is None else identity),
        caption=row["caption"],
        image_0=row["jpg_0"],
        image_1=row["jpg_1"],
        label_0=float(row["label_0"]),
        label_1=float(row["label_1"]),
        user_id=int(row["user_id"]),
        model_0=row.get("model_0") or "",
        model_1=row.get("model_1") or "",
        are_different=different is None or bool(different),
        num_example_per_prompt=1 if per_prompt is None else int(per_prompt),
    )


def user_fault(user: float | None) -> str | None:
    """Why a `user_id` names no user, or None; integers with gaps may be floats."""
    if user is None or user != user:  # NaN
        return "no user"
    if isinstance(user, float) and not user.is_integer():
        return "user id is no whole number"
    if not -(2**63) < user < 2**63:
        return "user id is 2^63 or more"
    return None


def unusable(row: Mapping[str, Any]) -> str | None:
    """Why a row cannot be used, or None."""
    if not (row["caption"] or "").strip():
        return "no caption"
    if reason := user_fault(row["user_id"]):
        return reason
    labels = (row["label_0"], row["label_1"])
    if row.get("has_label") is False or None in labels:
        return "no label"
    if not set(labels) <= {0, 0.5, 1}:
        return "label is not 0, 0.5 or 1"
    if sum(labels) != 1:
        return "labels do not sum to 1"
    images = (row["jpg_0"], row["jpg_1"])
    if not all(images):
        return "no image bytes"
    if not all(map(is_png_or_jpeg, images)):
        return "image is neither PNG nor JPEG"
    return None


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
