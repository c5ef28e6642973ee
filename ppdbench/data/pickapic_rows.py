"""Pick-a-Pic v2's schema: its columns, its files opened, a row as a pair, and which rows are none.

Elsewhere: reading and writing pairs (`pickapic`), many rows at once (`row_checks`).
Schema: https://huggingface.co/datasets/yuvalkirstain/pickapic_v2
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ppdbench.data.images import is_png_or_jpeg
from ppdbench.errors import MissingPrerequisite, PpdbenchError
from ppdbench.protocols import PreferencePair

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
    """A `pyarrow.parquet.ParquetFile` whose pages come through a small buffer.

    Unbuffered, a whole column chunk would be loaded at once. Mapped, pages count as memory in use,
    and a file that is cut while it is read ends the process.

    Raises:
        MissingPrerequisite: it is not there, or cannot be opened.
        PpdbenchError: it is not Parquet, or is cut short.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(file, buffer_size=2**20, pre_buffer=False)
    except (pa.ArrowException, UnicodeDecodeError) as error:
        reason = str(error).partition("\n")[0]
        raise PpdbenchError(
            f"{file} is not a readable Parquet file: {reason}", fix="download or write it again"
        ) from error
    except OSError as error:
        raise MissingPrerequisite(
            f"{file} cannot be opened: {error.strerror or error}", fix="check path and permissions"
        ) from error


def row_batches(source: Any, group: int, columns: Sequence[str], rows: int) -> Iterator[Any]:
    """Columns of a row group of an open file, as record batches of at most so many rows.

    Raises:
        One of `unreadable()`: it is damaged, or ends early, of which pyarrow says nothing.
    """
    left = int(source.metadata.row_group(group).num_rows)
    for batch in source.iter_batches(
        rows, row_groups=[group], columns=list(columns), use_threads=False
    ):
        left -= batch.num_rows
        yield batch
    if left:
        raise OSError(f"row group {group} ends {left} rows early")


def row_count(file: Path) -> int:
    """Rows of one Parquet file by its metadata, usable or not.

    Raises:
        PpdbenchError: as `open_parquet`.
    """
    return int(open_parquet(file).metadata.num_rows)


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


def pair_of(row: Mapping[str, Any], number: int) -> PreferencePair:
    """A usable row as a pair; `number`, the row's own, is its id where the file has none."""
    identity = row.get("ranking_id")
    different = row.get("are_different")
    per_prompt = row.get("num_example_per_prompt")
    if per_prompt is None or not math.isfinite(per_prompt):  # whole numbers with gaps may be floats
        per_prompt = 1
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
        num_example_per_prompt=int(per_prompt),
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
