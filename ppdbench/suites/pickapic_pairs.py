"""The pairs of the `pickapic` suite: split on first use, copied where copies are quicker.

All of it lies in the cache folder, under the sha256 of the source's files and the settings: the
splits; `people.parquet`, the pairs that evaluated and identified users are known by (some 13,000 of
Pick-a-Pic v2, 4.5 GB); and, once something is trained, `train.rows.parquet` and
`validation.rows.parquet`, which say where in the source these pairs lie. A folder of splits may
hold these two itself (`data prepare`). Elsewhere: how pairs are split (`data.splits`), what says
where they lie (`data.selection`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ppdbench.data.extract import extract_pairs
from ppdbench.data.people import SplitPeople
from ppdbench.data.selection import SUFFIX, is_selection, read_selection, selection_file
from ppdbench.data.source import check_pins, find_source, pin
from ppdbench.data.split_files import ABOUT, holds_splits, read_splits, source_of, split_files
from ppdbench.data.splits import Splits, SplitSettings, make_splits, split_key
from ppdbench.errors import MissingPrerequisite
from ppdbench.protocols import Events, Split
from ppdbench.rewards.file_hash import file_sha256
from ppdbench.runs.atomic import write_atomic
from ppdbench.runs.cache_folder import cache_folder
from ppdbench.suites.made_once import made_once

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FEW_ROWS = 16
"""A row group of the people's pairs: one pair is read with its group, of some MB."""


@dataclass(frozen=True)
class PickapicPairs:
    """What `--pairs` names: a Parquet file, a folder, a data set's name, or a folder of splits."""

    given: Path
    events: Events | None = None
    """Is told of progress where splits or copies are made."""

    @cached_property
    def people(self) -> SplitPeople:
        """The users; nothing is read before they are asked for."""
        return SplitPeople(
            splits=lambda: self.splits,
            shown=lambda: self._copy("people", self.people.shown_rows, FEW_ROWS),
            trained=lambda: self.pairs("train"),
        )

    def pairs(self, split: Split) -> Path:
        """A selection of the split's pairs.

        Raises:
            MissingPrerequisite: the split has none, or it is the test split.
        """
        if split == "test":
            raise MissingPrerequisite(
                "the test pairs of pickapic are its people's, shots and choices",
                fix="use train or validation",
            )
        rows = self.splits.assignment
        wanted = rows.of("train" if split == "train" else "validation-seen")
        if not len(wanted):
            raise MissingPrerequisite(
                f"{self.given} leaves no {split} pairs: no user has enough",
                fix="give pair data with more pairs a user",
            )
        return self._selected(split, wanted)

    @cached_property
    def splits(self) -> Splits:
        """The splits: those that were given, those of an earlier use, or made now.

        Raises:
            MissingPrerequisite: there is no such source, it is another one than the splits were
                made of, or the cache folder cannot be written.
            PpdbenchError: a file is damaged.
        """
        pinned = pin(self.source, sha256=file_sha256, events=self.events)
        if self._split_already:
            splits = read_splits(self.given)
            check_pins(splits.source, pinned, self.source)
            return splits
        folder = _folder(split_key(pinned, SplitSettings()))

        def make() -> None:
            made = make_splits(self.source, pinned=pinned, events=self.events)
            for name, content in split_files(made, folder=folder, source=self.source).items():
                write_atomic(folder / name, content)  # the one that is looked for comes last

        return read_splits(made_once(folder / ABOUT, make).parent)

    @cached_property
    def source(self) -> Path:
        """The Parquet file or folder.

        Raises:
            MissingPrerequisite: there is none, or splits lie elsewhere than when they were made.
        """
        if not self._split_already:
            return find_source(self.given)
        place = source_of(self.given).resolve()
        if not place.exists():
            raise MissingPrerequisite(
                f"the pairs that the splits in {self.given} were made of are not at {place}",
                fix=f"put them there, or say where they are: ppdbench data splits SOURCE --out "
                f"{self.given}, with the settings of then",
            )
        return find_source(place)

    @property
    def _split_already(self) -> bool:
        return holds_splits(self.given)

    def _selected(self, name: str, rows: NDArray[np.intp]) -> Path:
        """A selection of these rows of the assignment; made anew where the source lies elsewhere.

        It lies with splits that were given, if it lies there already, else in the cache folder.
        """
        splits = self.splits
        beside = self.given / f"{name}{SUFFIX}"
        if self._split_already and is_selection(beside):
            path = beside
        else:
            path = _folder(split_key(splits.source, splits.settings)) / beside.name
        if not path.exists() or read_selection(path).place != self.source.resolve():
            write_atomic(path, selected_rows(splits, rows, folder=path.parent, source=self.source))
        return path

    def _copy(self, name: str, rows: NDArray[np.intp], rows_per_group: int = 256) -> Path:
        """A file of these rows of the assignment."""
        splits = self.splits
        used = splits.assignment
        path = _folder(split_key(splits.source, splits.settings)) / f"{name}.parquet"

        def make() -> None:
            extract_pairs(
                self.source,
                used.row[rows],
                used.pair[rows],
                path,
                rows_per_group=rows_per_group,
                decode=name == "people" and splits.settings.images == "trust",
                events=self.events,
            )

        # What a killed process left of a copy is as large as a copy.
        return made_once(path, make, tmp=f".{path.name}.*.tmp")


def selected_rows(splits: Splits, rows: NDArray[np.intp], *, folder: Path, source: Path) -> bytes:
    """The content of a selection in `folder` of these rows of the assignment."""
    used = splits.assignment
    return selection_file(
        folder,
        source,
        splits.source,
        rows=used.row[rows],
        ids=used.pair[rows],
        users=used.user[rows],
    )


def _folder(key: str) -> Path:
    """The folder of splits in the cache, made where needed."""
    folder = cache_folder() / "pickapic" / key[:16]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MissingPrerequisite(
            f"{folder} cannot be made: {error.strerror or error}",
            fix="set PPDBENCH_CACHE to a writable folder",
        ) from error
    return folder
