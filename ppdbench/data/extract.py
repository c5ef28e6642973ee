"""A file of some of a source's pairs: what a split is read from when it is trained on or shown.

The source is walked through once, in order; a batch of pairs is in memory. In a copy every pair has
an id of its own, which it need not have in the source. A copy costs as much disk as the pairs'
images take in the source (Pick-a-Pic v2: about 336 kB a pair), so the space is looked for before
the walk. Elsewhere: which pairs (`splits`).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppdbench.data.pair_columns import image_rows, open_columns
from ppdbench.data.pickapic import (
    columns_read,
    count_rows,
    pair_of,
    unreadable,
    unusable,
    write_pairs,
)
from ppdbench.data.source import source_files
from ppdbench.errors import MissingPrerequisite, one_line
from ppdbench.protocols import PreferencePair

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_GB = 1e9
_SPARE = 1.1
"""Pairs of a split may be larger than the average one."""


def extract_pairs(
    source: Path,
    rows: NDArray[np.int64],
    ids: NDArray[np.int64],
    out: Path,
    *,
    rows_per_group: int = 256,
) -> int:
    """Write some pairs as one file in the Pick-a-Pic v2 schema; returns how many.

    Args:
        source: file or folder, as `find_source` returns it.
        rows: (N,) numbers of the pairs' rows; each row is written once, in the source's order.
        ids: (N,) the pairs' ids; they stand as `ranking_id` in the file.
        out: the file; it appears whole or not at all.
        rows_per_group: small where pairs are read here and there by id, as one is read with its
            group.

    Raises:
        MissingPrerequisite: no space is left for them, or a pair cannot be read.
        PpdbenchError: the file cannot be written.
    """
    import numpy as np

    wanted, first = np.unique(rows, return_index=True)
    _check_space(source, len(wanted), out)
    pairs = _read(source, wanted, ids[first])
    return write_pairs(out, pairs, rows_per_group=rows_per_group)


def _read(
    source: Path, wanted: NDArray[np.int64], ids: NDArray[np.int64]
) -> Iterator[PreferencePair]:
    """The pairs of some rows, ascending, under these ids."""
    import numpy as np
    import pyarrow as pa

    end = 0
    for file in source_files(source):
        opened = open_columns(file)
        columns = columns_read(opened)
        for group in range(opened.num_row_groups):
            at, end = end, end + int(opened.metadata.row_group(group).num_rows)
            if not np.searchsorted(wanted, end) > np.searchsorted(wanted, at):
                continue
            try:
                for batch in opened.iter_batches(
                    image_rows(opened, group),
                    row_groups=[group],
                    columns=columns,
                    use_threads=False,
                ):
                    inside = slice(*np.searchsorted(wanted, [at, at + batch.num_rows]))
                    here = pa.array(wanted[inside] - at)
                    for row, identity in zip(
                        batch.take(here).to_pylist(), ids[inside].tolist(), strict=True
                    ):
                        yield _pair(row, identity, file)
                    at += batch.num_rows
            except unreadable() as error:
                raise MissingPrerequisite(
                    f"pairs of {file} cannot be read: {one_line(error)}",
                    fix="copy the file again",
                ) from error
    if len(wanted) and wanted[-1] >= end:
        raise MissingPrerequisite(
            f"{source} has {end} rows, and a pair of row {wanted[-1]} is asked for",
            fix="give the pairs that the splits were made of",
        )


def _pair(row: Mapping[str, Any], identity: int, file: Path) -> PreferencePair:
    if reason := unusable(row):
        raise MissingPrerequisite(
            f"a pair of {file} cannot be used: {reason}",
            fix="make the splits anew, without --trust-images",
        )
    return replace(pair_of(row, identity), id=str(identity))


def _check_space(source: Path, pairs: int, out: Path) -> None:
    size = sum(file.stat().st_size for file in source_files(source))
    needed = size * pairs / max(count_rows(source), 1) * _SPARE
    place = next(folder for folder in out.absolute().parents if folder.exists())
    free = shutil.disk_usage(place).free
    if needed > free:
        raise MissingPrerequisite(
            f"{out.name} would take about {needed / _GB:.1f} GB at {out.parent}, and "
            f"{free / _GB:.1f} GB are free",
            fix="set PPDBENCH_CACHE to a folder with more space, or make splits of fewer pairs: "
            "ppdbench data splits SOURCE --out DIR --max-pairs-per-user N",
        )
