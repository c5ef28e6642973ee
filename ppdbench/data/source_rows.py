"""Rows of a source by their numbers: only the row groups that hold them are read.

Numbers count all rows of a source's files, usable or not, in the order in which files are read.
Elsewhere: which rows (`selection`, `extract`), which files (`source`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppdbench.data.pair_columns import IMAGES, ROWS, image_rows
from ppdbench.data.pickapic_rows import columns_read, open_parquet, row_batches, unreadable
from ppdbench.data.source import source_files
from ppdbench.errors import MissingPrerequisite, one_line

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class SourceRows:
    """The row groups of a file or folder, by the numbers of the rows in them."""

    def __init__(self, source: Path) -> None:
        """Look at the files' metadata; no row is read.

        Raises:
            MissingPrerequisite: no such file, or a required column is absent.
            PpdbenchError: one is not Parquet, or is cut short.
        """
        import numpy as np

        self.source = source
        self._groups: list[tuple[Path, int]] = []
        """File and number of each row group."""
        ends = [0]
        for file in source_files(source):
            metadata = open_parquet(file).metadata
            for group in range(metadata.num_row_groups):
                self._groups.append((file, group))
                ends.append(ends[-1] + int(metadata.row_group(group).num_rows))
        self._starts: NDArray[np.int64] = np.array(ends, np.int64)
        """(groups + 1,) number of each group's first row; the last is that of all rows."""
        self._open: tuple[Path, Any] | None = None
        """The file that was read last: a file's metadata is as long as it has row groups."""

    def __len__(self) -> int:
        return int(self._starts[-1])

    def read(
        self, wanted: NDArray[np.int64], only: Sequence[str] = ()
    ) -> Iterator[tuple[int, dict[str, Any], Path]]:
        """Number, columns (all that make a pair, or `only` some) and file of some rows.

        Some MB of images are in memory at a time.

        Args:
            wanted: (N,) numbers, ascending, each once.
            only: columns; those that a file lacks are left out.

        Raises:
            MissingPrerequisite: a row cannot be read, or there is none of that number.
        """
        import numpy as np

        if not len(wanted):
            return
        if wanted[-1] >= len(self):
            raise MissingPrerequisite(
                f"{self.source} has {len(self)} rows, and a pair of row {wanted[-1]} is asked for",
                fix="give the pairs that the splits were made of",
            )
        inside = np.unique(np.searchsorted(self._starts, wanted, side="right") - 1)
        for number in inside.tolist():
            file, group = self._groups[number]
            start = int(self._starts[number])
            try:
                for row, columns in _of_group(self._opened(file), group, start, wanted, only):
                    yield row, columns, file
            except unreadable() as error:
                raise MissingPrerequisite(
                    f"pairs of {file} cannot be read: {one_line(error)}",
                    fix="copy the file again",
                ) from error

    def _opened(self, file: Path) -> Any:
        if self._open is None or self._open[0] != file:
            self._open = (file, open_parquet(file))
        return self._open[1]


def _of_group(
    opened: Any, group: int, start: int, wanted: NDArray[np.int64], only: Sequence[str]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number and columns of the wanted rows of a row group whose first row is `start`."""
    import numpy as np
    import pyarrow as pa

    present = set(opened.schema_arrow.names)
    columns = [name for name in only if name in present] if only else columns_read(opened)
    rows = image_rows(opened, group) if set(IMAGES) & set(columns) else ROWS
    last = wanted[np.searchsorted(wanted, start + opened.metadata.row_group(group).num_rows) - 1]
    for batch in row_batches(opened, group, columns, rows):
        here = wanted[slice(*np.searchsorted(wanted, [start, start + batch.num_rows]))]
        if len(here):
            taken = batch.take(pa.array(here - start)).to_pylist()
            yield from zip(here.tolist(), taken, strict=True)
        start += batch.num_rows
        if start > last:
            return
