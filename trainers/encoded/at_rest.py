"""Files of pairs that must stay as they are from when they are hashed until they were read.

What is made of pairs is kept under their hash, for good: made of files that were replaced or
written to in between, it would be another file's under this one's name. Elsewhere: the hash
(`pair_shards.py`), what is made (`encoding.py`, `relabel.py`, `embeddings.py`, `pictures.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ppdbench.data.selection import is_selection, read_selection
from ppdbench.errors import PpdbenchError

Stamp = tuple[str, int, int]
"""Path, size, nanosecond of the last change of content.

Not the inode: file systems in user space and over a network may give a file another one meanwhile.
"""


class AtRest:
    """The files of pairs as they are when this is made, which is before they are hashed."""

    def __init__(self, pairs: Path) -> None:
        """Look at the files; none is read but a selection.

        Args:
            pairs: file, folder or selection; what is not there is no error here.
        """
        self._pairs = pairs
        # Read once: where a selection's pairs lie changes with its own stamp only.
        self._places = [pairs, read_selection(pairs).place] if is_selection(pairs) else [pairs]
        self._stamps = _stamps(self._places)

    def require(self) -> None:
        """See that they still are; after they were read, before what was made of them is kept.

        Raises:
            PpdbenchError: they are not.
        """
        if _stamps(self._places) != self._stamps:
            raise PpdbenchError(
                f"the pairs of {self._pairs} were changed while they were read",
                fix="let nobody write to them, and run the same command again; what was made of "
                "the former ones stays theirs",
            )


def _stamps(places: Sequence[Path]) -> tuple[Stamp, ...]:
    found = []
    for file in (file for place in places for file in _files(place)):
        try:
            stat = file.stat()
        except OSError:  # whoever reads it says so
            continue
        found.append((str(file), stat.st_size, stat.st_mtime_ns))
    return tuple(found)


def _files(place: Path) -> list[Path]:
    return sorted(place.glob("*.parquet")) if place.is_dir() else [place]
