"""The pairs of a file in shards: what is encoded or scored at a time, written at a time, shared.

Of a selection (`ppdbench.data.selection`) only the shards that are wanted are read; another file is
read through. Elsewhere: what is made of a shard (`encoding.py`, `relabel.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from ppdbench.data.pickapic import read_pairs
from ppdbench.data.selection import is_selection, read_selection
from ppdbench.protocols import PreferencePair
from ppdbench.rewards.file_hash import file_sha256 as remembered_sha256

SHARD_PAIRS = 1024


def batches(
    pairs: Path,
    limit: int | None,
    skip: frozenset[int] = frozenset(),
    *,
    wanted: Callable[[int], bool] = lambda _number: True,
) -> Iterator[tuple[int, Iterable[PreferencePair] | None]]:
    """The pairs of a file in shards of `SHARD_PAIRS`, each with its number.

    Args:
        pairs: file, folder or selection.
        limit: the first so many only; None is all.
        skip: numbers of pairs that are left out, `LatentCache.skipped`.
        wanted: by its number, whether a shard is, asked once when its turn comes; for the others
            there is None.
    """
    if is_selection(pairs):
        selection = read_selection(pairs)
        count = len(selection) if limit is None else min(len(selection), limit)
        kept = np.setdiff1d(np.arange(count), np.fromiter(skip, np.int64, len(skip)))
        for number, start in enumerate(range(0, count - len(skip), SHARD_PAIRS)):
            own = kept[start : start + SHARD_PAIRS]
            yield number, selection.pairs(own) if wanted(number) else None
        return
    left = (
        pair for number, pair in enumerate(islice(read_pairs(pairs), limit)) if number not in skip
    )
    for number, shard in enumerate(iter(lambda: list(islice(left, SHARD_PAIRS)), [])):
        yield number, shard if wanted(number) else None


def every_pair(
    pairs: Path, limit: int | None, skip: frozenset[int] = frozenset()
) -> Iterator[PreferencePair]:
    """The pairs of `batches`, one after the other."""
    for _, shard in batches(pairs, limit, skip):
        yield from shard or ()


def file_sha256(path: Path) -> str:
    """What pairs are known by.

    Of a file the sha256 of its bytes, of a folder that over those of its Parquet files in order of
    names, of a selection its digest. Large files are read once, then known again by place, size
    and time (`ppdbench.rewards.file_hash`).
    """
    if is_selection(path):
        return read_selection(path).digest
    if path.is_dir():
        files = sorted(path.glob("*.parquet"))
        return hashlib.sha256("".join(map(file_sha256, files)).encode()).hexdigest()
    return remembered_sha256(path)
