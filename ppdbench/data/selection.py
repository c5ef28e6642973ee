"""Some of a source's pairs by the numbers of their rows: read where they lie, nothing is copied.

A selection is a small file, `<name>.rows.parquet`, that stands wherever a file of pairs does: 24
bytes a pair where a copy would take 336 kB. It names its source by the files' sha256 and sizes and
by where it lies, seen from the selection. Pairs are numbered as they stand in it, in the order of
the source's rows, and each has the id that splits gave it.

Elsewhere: which pairs (`splits`), reading rows (`source_rows`), copies (`extract`).
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppdbench.data.images import is_png_or_jpeg
from ppdbench.data.pair_columns import whole_numbers
from ppdbench.data.pickapic_rows import pair_of, parquet_files, unusable
from ppdbench.data.source import PinnedFile
from ppdbench.data.source_rows import SourceRows
from ppdbench.errors import MissingPrerequisite, PpdbenchError, one_line
from ppdbench.protocols import PreferencePair

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SUFFIX = ".rows.parquet"
SCHEMA_VERSION = 1
_ABOUT = b"ppdbench.selection"
_COLUMNS = ("row", "id", "user")
_AGAIN = "delete it and run the command that made it again"


@dataclass(frozen=True, kw_only=True)
class Selection:
    """N pairs of a source."""

    place: Path
    """The Parquet file or folder that is the source."""
    source: tuple[PinnedFile, ...]
    """Its files as they were when the pairs were chosen."""
    rows: NDArray[np.int64]
    """(N,) numbers of the pairs' rows in the source, ascending."""
    ids: NDArray[np.int64]
    """(N,) the pairs' ids."""
    users: NDArray[np.int64]
    """(N,) `user_id`."""

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def digest(self) -> str:
        """sha256 over the source's files and which rows; not over where the source lies."""
        digest = hashlib.sha256(f"selection {SCHEMA_VERSION}".encode())
        digest.update("\n".join(file.sha256 for file in self.source).encode())
        for values in (self.rows, self.ids, self.users):
            digest.update(values.astype("<i8").tobytes())
        return digest.hexdigest()

    @cached_property
    def opened(self) -> SourceRows:
        """The source's rows.

        Raises:
            MissingPrerequisite: it is not there, or its files have other sizes.
            PpdbenchError: a file is cut short.
        """
        try:
            there = self.place.exists()
        except OSError:  # a name that no file can have
            there = False
        if not there:
            raise MissingPrerequisite(
                f"the pairs that were selected are not at {self.place}",
                fix="put them there, or prepare or split them where they lie now",
            )
        sizes = [file.stat().st_size for file in parquet_files(self.place)]
        if sizes != [file.bytes for file in self.source]:
            raise MissingPrerequisite(
                f"the Parquet files at {self.place} are not those that pairs were selected of: "
                f"{len(sizes)} of {sum(sizes)} bytes, and they were {len(self.source)} of "
                f"{sum(file.bytes for file in self.source)}",
                fix="give the pairs that the splits were made of, or make the splits anew",
            )
        return SourceRows(self.place)

    def pairs(self, numbers: NDArray[np.int64] | None = None) -> Iterator[PreferencePair]:
        """Some pairs, images encoded; of an image that is none the bytes are empty.

        Args:
            numbers: (M,) which, ascending, each once; None is all.

        Raises:
            MissingPrerequisite: a row cannot be read, or is no pair any more.
        """
        own = slice(None) if numbers is None else numbers
        ids = self.ids[own].tolist()
        found = self.opened.read(self.rows[own])
        for (_, row, file), identity in zip(found, ids, strict=True):
            yield _pair(row, identity, file)

    def facts(self, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
        """These columns of every pair; without those of images this takes seconds a million."""
        return (row for _, row, _ in self.opened.read(self.rows, columns))


def is_selection(path: Path) -> bool:
    """Whether a path is that of a selection."""
    return path.name.endswith(SUFFIX) and path.is_file()


def selection_file(
    folder: Path,
    place: Path,
    source: Sequence[PinnedFile],
    *,
    rows: NDArray[np.int64],
    ids: NDArray[np.int64],
    users: NDArray[np.int64],
) -> bytes:
    """The content of a selection that is to lie in `folder`; pairs come in any order.

    Args:
        folder: from which `place` is told, so that both can be moved together.
        place: the source, as `find_source` returned it.
        source: its files.
        rows: (N,) numbers of the pairs' rows; one that stands twice counts once.
        ids: (N,).
        users: (N,).
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    _, first = np.unique(rows, return_index=True)
    about = {
        "schema_version": SCHEMA_VERSION,
        "place": os.path.relpath(place.resolve(), folder.resolve()),
        "source": [asdict(file) for file in source],
    }
    values = zip(_COLUMNS, (rows, ids, users), strict=True)
    table = pa.table({name: pa.array(column[first], pa.int64()) for name, column in values})
    text = json.dumps(about, ensure_ascii=False).encode("utf-8", "surrogateescape")
    buffer = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({_ABOUT: text}), buffer, compression="zstd")
    return buffer.getvalue()


def read_selection(path: Path) -> Selection:
    """Read a selection; its source is opened when a pair is asked for.

    Raises:
        PpdbenchError: the file is damaged, or of another version of ppdbench.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
        about = json.loads(table.schema.metadata[_ABOUT].decode("utf-8", "surrogateescape"))
        version = about["schema_version"]
        rows, ids, users = (whole_numbers(table.column(name)) for name in _COLUMNS)
        if len(rows) and (rows[0] < 0 or (rows[1:] <= rows[:-1]).any()):
            raise ValueError("its rows are not ascending")
        source = tuple(PinnedFile(**file) for file in about["source"])
        if not all(type(file.bytes) is int and isinstance(file.sha256, str) for file in source):
            raise ValueError("a file of its source has no size and sha256")
        place = (path.parent.resolve() / about["place"]).resolve()
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise PpdbenchError(f"{path} is damaged: {one_line(error)}", fix=_AGAIN) from error
    if version != SCHEMA_VERSION:
        raise PpdbenchError(
            f"{path} is of schema version {version}, and this ppdbench reads {SCHEMA_VERSION}",
            fix=_AGAIN,
        )
    return Selection(place=place, source=source, rows=rows, ids=ids, users=users)


def _pair(row: Mapping[str, Any], identity: int, file: Path) -> PreferencePair:
    """A row as a pair.

    Images were perhaps not looked at when the pairs were split: one that is none costs its pair,
    where it is decoded. The rest was, so that any other fault means that the source is another.
    """
    images = {
        name: data if (data := row[name]) and is_png_or_jpeg(data) else b""
        for name in ("jpg_0", "jpg_1")
    }
    if not all(images.values()):
        sound = next((data for data in images.values() if data), b"\xff\xd8\xff")
        reason = unusable({**row, "jpg_0": sound, "jpg_1": sound})
    else:
        reason = unusable(row)
    if reason:
        raise MissingPrerequisite(
            f"a selected pair of {file} cannot be used: {reason}",
            fix="make the splits anew: ppdbench data splits SOURCE --out DIR",
        )
    return replace(pair_of({**row, **images}, identity), id=str(identity))
