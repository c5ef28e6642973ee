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

from ppdbench.data.images import can_decode
from ppdbench.data.pair_columns import IMAGES
from ppdbench.data.pickapic import count_rows, write_pairs
from ppdbench.data.pickapic_rows import pair_of, unusable
from ppdbench.data.row_checks import UNDECODABLE
from ppdbench.data.source import source_files
from ppdbench.data.source_rows import SourceRows
from ppdbench.errors import MissingPrerequisite
from ppdbench.protocols import Events, PreferencePair

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
    decode: bool = False,
    events: Events | None = None,
) -> int:
    """Write some pairs as one file in the Pick-a-Pic v2 schema; returns how many.

    Args:
        source: file or folder, as `find_source` returns it.
        rows: (N,) numbers of the pairs' rows; each row is written once, in the source's order.
        ids: (N,) the pairs' ids; they stand as `ranking_id` in the file.
        out: the file; it appears whole or not at all.
        rows_per_group: small where pairs are read here and there by id, as one is read with its
            group.
        decode: see that each image can be decoded.
        events: who is told of progress.

    Raises:
        MissingPrerequisite: no space is left for them, or a pair cannot be read or decoded.
        PpdbenchError: the file cannot be written.
    """
    import numpy as np

    wanted, first = np.unique(rows, return_index=True)
    _check_space(source, len(wanted), out)
    if events is not None:
        events.stage(f"copy pairs: {out.stem}", len(wanted))

    def pairs() -> Iterator[PreferencePair]:
        names = ids[first].tolist()
        found = SourceRows(source).read(wanted)
        for (_, row, file), identity in zip(found, names, strict=True):
            yield _pair(row, identity, file, decode=decode)
            if events is not None:
                events.advance(1)

    return write_pairs(out, pairs(), rows_per_group=rows_per_group)


def undecodable(
    source: Path, rows: NDArray[np.int64], *, events: Events | None = None
) -> NDArray[np.int64]:
    """Those of some rows that have an image which cannot be decoded, ascending.

    Args:
        source: file or folder, as `find_source` returns it.
        rows: (N,) numbers of rows.
        events: who is told of progress.

    Raises:
        MissingPrerequisite: a row cannot be read.
    """
    import numpy as np

    wanted, found = np.unique(rows), list[int]()
    if events is not None:
        events.stage("decode held-out images", len(wanted))
    for number, row, _ in SourceRows(source).read(wanted, IMAGES):
        if not _decodes(row):
            found.append(number)
        if events is not None:
            events.advance(1)
    return np.array(found, np.int64)


def _decodes(row: Mapping[str, Any]) -> bool:
    return all(row[name] and can_decode(row[name]) for name in IMAGES)


def _pair(row: Mapping[str, Any], identity: int, file: Path, *, decode: bool) -> PreferencePair:
    reason = unusable(row)
    if not reason and decode and not _decodes(row):
        reason = UNDECODABLE
    if reason:
        raise MissingPrerequisite(
            f"a pair of {file} cannot be used: {reason}",
            fix="make the splits anew, without --trust-images: ppdbench data splits SOURCE "
            "--out DIR; --check-images decodes every image",
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
