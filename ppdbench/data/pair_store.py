"""Pairs by id: where each lies in memory, its images on disk until it is asked for.

Elsewhere: pairs in their order, and which rows can be used (`pickapic_rows`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ppdbench.data.pickapic_rows import (
    check_columns,
    columns_read,
    open_parquet,
    pair_of,
    parquet_files,
    unreadable,
    unusable,
)
from ppdbench.data.selection import is_selection, read_selection
from ppdbench.errors import MissingPrerequisite, PpdbenchError, one_line
from ppdbench.protocols import PreferencePair


class PairStore:
    """The pairs of a file or folder by id; the first counts where two have one id."""

    def __init__(self, path: Path) -> None:
        """Read the ids alone.

        Raises:
            MissingPrerequisite: no such file, or a required column is absent.
            PpdbenchError: a file is not Parquet, or is damaged.
        """
        self._from = path.parent
        self._selected = read_selection(path) if is_selection(path) else None
        self._files = [] if self._selected else parquet_files(path)
        self._place: dict[str, tuple[int, int, int, int]] = {}
        """Id -> file, row group, row in it, row in all."""
        self._cached: tuple[tuple[int, int], list[dict[str, Any]]] | None = None
        number = 0
        if self._selected is not None:
            ids = self._selected.ids.tolist()
            self._place = {str(known): (0, 0, 0, row) for row, known in enumerate(ids)}
        for file, name in enumerate(self._files):
            check_columns(name)
            source = open_parquet(name)
            named = "ranking_id" in source.schema_arrow.names
            for group in range(source.num_row_groups):
                rows = int(source.metadata.row_group(group).num_rows)
                facts = _read(name, source, group, ["ranking_id"]) if named else [{}] * rows
                for row, known in enumerate(facts):
                    identity = known.get("ranking_id")
                    name_of = str(number if identity is None else identity)
                    self._place.setdefault(name_of, (file, group, row, number))
                    number += 1

    def __contains__(self, identity: str) -> bool:
        return identity in self._place

    def get(self, ids: Sequence[str]) -> list[PreferencePair]:
        """The pairs of these ids, in their order; each row group is read once a call.

        Raises:
            MissingPrerequisite: an id is not there, or its row cannot be used.
            PpdbenchError: a file is damaged.
        """
        import numpy as np

        if absent := [identity for identity in ids if identity not in self._place]:
            raise MissingPrerequisite(
                f"the pair {absent[0]} is not among those of {self._from}",
                fix="give the pair data that the splits were made of",
            )
        found = {}
        if self._selected is not None:
            rows = sorted({self._place[identity][-1] for identity in ids})
            found = {pair.id: pair for pair in self._selected.pairs(np.array(rows, np.int64))}
            return [found[identity] for identity in ids]
        for identity in sorted(set(ids), key=lambda identity: self._place[identity]):
            file, group, row, number = self._place[identity]
            fields = self._group(file, group)[row]
            if reason := unusable(fields):
                raise MissingPrerequisite(
                    f"the pair {identity} of {self._files[file]} cannot be used: {reason}",
                    fix="make the splits anew",
                )
            found[identity] = pair_of(fields, number)
        return [found[identity] for identity in ids]

    def _group(self, file: int, group: int) -> list[dict[str, Any]]:
        if self._cached is None or self._cached[0] != (file, group):
            name = self._files[file]
            source = open_parquet(name)
            self._cached = ((file, group), _read(name, source, group, columns_read(source)))
        return self._cached[1]


def _read(file: Path, source: Any, group: int, columns: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of a row group, these columns of them."""
    try:
        found = source.read_row_group(group, columns=list(columns), use_threads=False)
        if found.num_rows != source.metadata.row_group(group).num_rows:  # pyarrow says nothing
            raise OSError(f"row group {group} ends after {found.num_rows} rows")
        rows: list[dict[str, Any]] = found.to_pylist()
    except unreadable() as error:
        raise PpdbenchError(
            f"pairs of {file} cannot be read: {one_line(error)}",
            fix="copy the file again; where it lies in the cache, delete it: it is made anew",
        ) from error
    return rows
