"""The usable pairs of a source as numbers: what splits are decided by, without the images.

A million rows take about 60 MB: users and ids are integers, captions and images 64-bit hashes.
(Of ten million values two differing ones share a hash once in some 400,000 tables; they then count
as one, which may cost a pair and leaks nothing.) Rows that cannot be used are left out and counted
by reason.

Elsewhere: the reasons (`row_checks`), pairs with their images (`pickapic`), what becomes of the
table (`splits`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ppdbench.data.pair_columns import (
    FACTS,
    IMAGES,
    ROWS,
    UIDS,
    check_types,
    has_uids,
    image_rows,
)
from ppdbench.data.pickapic_rows import open_parquet, row_batches, unreadable
from ppdbench.data.row_checks import REASONS, USABLE, Rows, hashes, judge, judge_images, mark
from ppdbench.data.source import source_files
from ppdbench.errors import PpdbenchError, one_line
from ppdbench.protocols import Events

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ImageCheck = Literal["trust", "header", "decode"]
"""How images are looked at: not at all, where the source names them by uid; by their first and last
bytes, and whether a pair's two are byte for byte one, while those that end otherwise than PNG and
JPEG, and in splits those of held-out pairs, are decoded; or by decoding each: hours at scale."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairTable:
    """The N usable pairs of a source."""

    id: NDArray[np.int64]
    """(N,) the pair's id: 63 bits of a hash over user, caption and images, whichever image comes
    first. (`ranking_id` is none: a ranking of four images makes several rows.)"""
    row: NDArray[np.int64]
    """(N,) the row's number in the source."""
    user: NDArray[np.int64]
    """(N,) `user_id`."""
    caption: NDArray[np.uint64]
    """(N,) equal for captions that differ in case and white space at most."""
    images: NDArray[np.uint64]
    """(N, 2) equal for equal images: by uid where the source has them, else by bytes."""

    def __len__(self) -> int:
        return len(self.id)

    def take(self, rows: NDArray[Any]) -> PairTable:
        """The table of these rows, by number or by mask."""
        return PairTable(**{each.name: getattr(self, each.name)[rows] for each in fields(self)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Met:
    """What was met while a source was read."""

    rows: int
    users: int
    """Different users of all rows, usable or not."""
    left_out: Counter[str]
    """Reason -> rows."""
    by_uid: bool
    """Whether images are known by uid."""

    def without(self, reason: str, rows: int) -> Met:
        """The same, where so many rows were left out later for one of `row_checks.REASONS`."""
        count = self.left_out + Counter({reason: rows})
        return replace(
            self, left_out=Counter({name: count[name] for name in REASONS if count[name]})
        )


def read_table(
    path: Path, *, images: ImageCheck = "header", events: Events | None = None
) -> tuple[PairTable, Met]:
    """Read a file, or all `*.parquet` in a folder, into a table in the order of the source.

    Of duplicates (one user, one caption, the same two images, in either order) the one of lowest
    `ranking_id` stays. uids are used where every file has both columns without a gap; otherwise all
    images are known by the hash of their bytes, so that no image has two names.

    Raises:
        MissingPrerequisite: no such file, or a required column is absent.
        PpdbenchError: a file is not Parquet, or a column has another type than it should.
    """
    import numpy as np

    files = source_files(path)
    for file in files:
        check_types(file)
    reader = _Reader(images, by_uid=all(map(has_uids, files)))
    if events is not None:
        events.stage("read pairs", sum(int(open_parquet(f).metadata.num_rows) for f in files))
    for file in files:
        for rows in reader.walk(file):
            if events is not None:
                events.advance(rows)
    table, repeated = reader.table()
    left_out = reader.left_out
    left_out["duplicate pair"] = repeated
    return table, Met(
        rows=reader.number,
        users=len(np.unique(np.concatenate([np.empty(0, np.int64), *reader.users]))),
        left_out=Counter({name: left_out[name] for name in REASONS if left_out[name]}),
        by_uid=reader.by_uid,
    )


def read_captions(path: Path, rows: NDArray[np.int64]) -> dict[int, str]:
    """Number -> caption of some rows of a source; reads no other column.

    Raises:
        MissingPrerequisite, PpdbenchError: as `read_table`.
    """
    import numpy as np

    wanted, found, start = np.unique(rows), dict[int, str](), 0
    for file in source_files(path):
        source = open_parquet(file)
        for group in range(source.num_row_groups):
            at, start = start, start + int(source.metadata.row_group(group).num_rows)
            inside = wanted[np.searchsorted(wanted, at) : np.searchsorted(wanted, start)]
            if not len(inside):
                continue
            try:
                for batch in row_batches(source, group, ["caption"], ROWS):
                    here = inside[(inside >= at) & (inside < at + batch.num_rows)]
                    found |= zip(
                        here.tolist(), batch.column(0).take(here - at).to_pylist(), strict=True
                    )
                    at += batch.num_rows
            except unreadable() as error:
                raise PpdbenchError(
                    f"captions of {file} cannot be read: {one_line(error)}",
                    fix="copy the file again",
                ) from error
    return found


class _Reader:
    """A walk over row groups that gathers what is usable."""

    def __init__(self, images: ImageCheck, *, by_uid: bool) -> None:
        self.images = images
        self.by_uid = by_uid
        self.number = 0
        """Rows walked over: the next row's number."""
        self.left_out: Counter[str] = Counter()
        self.users: list[NDArray[np.int64]] = []
        """Of each row group, once."""
        self._found: list[tuple[PairTable, NDArray[np.int64], NDArray[np.bool_]]] = []

    def walk(self, file: Path) -> Iterator[int]:
        """Walk over a file; yields the number of rows of each row group."""
        source = open_parquet(file)
        for group in range(source.num_row_groups):
            count = int(source.metadata.row_group(group).num_rows)
            try:
                rows = self._rows(source, group)
                if not (self.by_uid and self.images == "trust") and (rows.reason == USABLE).any():
                    self._look(source, group, rows)
            except unreadable():
                self.left_out["row group unreadable"] += count
            else:
                self._add(rows)
            self.number += count
            yield count

    def table(self) -> tuple[PairTable, int]:
        """All pairs, in the order of the source, and how many were one of them again."""
        import numpy as np

        self._add(_none())  # of nothing, arrays of the right types
        found, self._found = self._found, []
        columns = {
            each.name: np.concatenate([getattr(table, each.name) for table, *_ in found])
            for each in fields(PairTable)
        }
        table = PairTable(**columns)
        ranking = np.concatenate([ranking for _, ranking, _ in found])
        side = np.concatenate([side for *_, side in found])
        order = np.lexsort((table.row, side, ranking, table.id))
        _, first = np.unique(table.id[order], return_index=True)
        return table.take(np.sort(order[first])), len(table) - len(first)

    def _rows(self, source: Any, group: int) -> Rows:
        """What a row group says, its images aside."""
        import numpy as np

        present = set(source.schema_arrow.names)
        columns = [n for n in (*FACTS, *(UIDS if self.by_uid else ())) if n in present]
        parts, start = [_none()], self.number
        for batch in row_batches(source, group, columns, ROWS):
            parts.append(judge(batch, start, by_uid=self.by_uid))
            start += batch.num_rows
        names = [each.name for each in fields(Rows)]
        return Rows(**{n: np.concatenate([getattr(part, n) for part in parts]) for n in names})

    def _look(self, source: Any, group: int, rows: Rows) -> None:
        """Look at a row group's images; changes `rows`."""
        import numpy as np

        start = 0
        for batch in row_batches(source, group, IMAGES, image_rows(source, group)):
            inside = slice(start, start + batch.num_rows)
            both = [batch.column(name) for name in IMAGES]
            judge_images(rows.reason[inside], both, decode=self.images == "decode")
            if not self.by_uid:
                left = np.flatnonzero(rows.reason[inside] == USABLE)
                for side, column in enumerate(both):
                    named = hashes(column[int(row)].as_buffer() for row in left)
                    rows.images[start + left, side] = named
            start += batch.num_rows

    def _add(self, rows: Rows) -> None:
        """Keep a row group's usable rows, and count the others."""
        import numpy as np

        mark(rows.reason, "the two images are one", rows.images[:, 0] == rows.images[:, 1])
        for number, count in enumerate(np.bincount(rows.reason[rows.reason != USABLE])):
            self.left_out[REASONS[number]] += int(count)
        self.users.append(np.unique(rows.user[rows.has_user]))
        left = np.flatnonzero(rows.reason == USABLE)
        user, caption, images = rows.user[left], rows.caption[left], rows.images[left]
        facts = [user.view(np.uint64), caption, images.min(1), images.max(1)]
        table = PairTable(
            id=_ids(np.stack(facts, 1)),
            row=left.astype(np.int64) + self.number,
            user=user,
            caption=caption,
            images=images,
        )
        side = rows.first[left] ^ (images[:, 0] > images[:, 1])  # whether the lesser was chosen
        self._found.append((table, rows.ranking[left], side))


def _none() -> Rows:
    import numpy as np

    return Rows(
        reason=np.empty(0, np.int8),
        ranking=np.empty(0, np.int64),
        user=np.empty(0, np.int64),
        has_user=np.empty(0, bool),
        caption=np.empty(0, np.uint64),
        first=np.empty(0, bool),
        images=np.empty((0, 2), np.uint64),
    )


def _ids(facts: NDArray[np.uint64]) -> NDArray[np.int64]:
    """63 bits of hashes of rows of numbers; some at a time, as there may be millions."""
    import numpy as np

    facts = np.ascontiguousarray(facts.astype("<u8"))
    some = [facts[at : at + ROWS] for at in range(0, len(facts), ROWS)]
    found = [np.empty(0, np.uint64), *(hashes(map(bytes, part)) for part in some)]
    return (np.concatenate(found) >> np.uint64(1)).astype(np.int64)
