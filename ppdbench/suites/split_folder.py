"""A folder of splits of real users' pairs: made there, or found there and the same.

What `ppdbench data splits` writes, and `data prepare` adds to: which rows of the source training
and validation read, as two selections. Made again from the same pairs, what is there is kept; where
the pairs lie elsewhere by now, that is noted. Elsewhere: who is in which split (`data.splits`), the
files (`data.split_files`, `data.selection`), splits of the cache folder (`pickapic_pairs`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ppdbench.data.assignment import SplitName
from ppdbench.data.selection import SUFFIX
from ppdbench.data.source import check_pins, find_source, pin
from ppdbench.data.split_files import ABOUT, holds_splits, read_splits, source_of, split_files
from ppdbench.data.splits import Splits, SplitSettings, make_splits, split_key
from ppdbench.errors import FingerprintMismatch, MissingPrerequisite, UsageError, from_os_error
from ppdbench.protocols import Events
from ppdbench.rewards.file_hash import file_sha256
from ppdbench.runs.atomic import write_atomic
from ppdbench.suites.made_once import made_once
from ppdbench.suites.pickapic_pairs import selected_rows

SELECTED: tuple[tuple[str, SplitName], ...] = (
    ("validation", "validation-seen"),
    ("train", "train"),
)
"""Selections of a prepared folder, and the split that each is of; training's is written last."""


def made_splits(source: Path, settings: SplitSettings, out: Path, events: Events) -> Splits:
    """Splits in `out`: those that are there, where they are the same, or made now.

    Args:
        source: the pairs, as `data.source.find_source` takes them.
        settings: sizes and limits.
        out: a folder, made where needed.
        events: who is told of progress.

    Raises:
        UsageError: `source` holds splits, or the pairs lie in `out`.
        FingerprintMismatch: there are splits of other pairs or settings.
        MissingPrerequisite: there are no such pairs, no user has enough of them, or `out` cannot
            be written.
        PpdbenchError: a file is damaged.
    """
    if holds_splits(source):
        raise UsageError(
            f"{source} holds splits, not pairs",
            fix=f"name the pairs: {source_of(source).resolve()}",
        )
    path = find_source(source)
    beside = path.parent if path.is_file() else path
    if out.resolve() in {each.resolve() for each in (source, path, beside)}:
        # Later the splits' own Parquet file would be taken for one of the pairs'.
        raise UsageError(
            f"the pairs lie in {out}, and splits need a folder of their own",
            fix="choose another --out",
        )
    try:
        out.mkdir(parents=True, exist_ok=True)  # before the work, not after it
    except OSError as error:
        raise from_os_error(error, out) from error
    pinned = pin(path, sha256=file_sha256, events=events)
    if holds_splits(out):
        earlier = read_splits(out)
        if split_key(earlier.source, earlier.settings) != split_key(pinned, settings):
            raise FingerprintMismatch(
                f"{out} holds splits of other pairs or other settings",
                fix="choose another --out, or delete that folder",
            )
        events.note(f"{out} has these splits already")
        _note_place(earlier, path, out, events)
        return earlier
    made = make_splits(path, settings, pinned=pinned, events=events)
    _write(made, path, out)
    return made


def prepared_splits(source: Path, out: Path, events: Events) -> Splits:
    """Splits in `out` with their selections, made by the first process that comes.

    Args:
        source: pairs, or a folder of splits of them, which are then taken over.
        out: a folder, made where needed; splits that are there stay.
        events: who is told of progress.

    Raises:
        FingerprintMismatch: there are splits of other pairs.
        MissingPrerequisite, UsageError, PpdbenchError: as `made_splits`; or nobody is left to learn
            from.
    """
    last = out / f"{SELECTED[-1][0]}{SUFFIX}"
    if last.exists() and not holds_splits(out):  # they are written first, and were lost
        last.unlink(missing_ok=True)
    made_once(last, lambda: _make(source, out, events))
    wanted, there = _known(source), _known(out)
    fields = [
        name
        for name in ("source", "split")
        if wanted[name] is not None and wanted[name] != there[name]
    ]
    if fields:
        raise FingerprintMismatch(
            f"{out} was prepared with another {', '.join(fields)}",
            fix="give what it was begun with, or choose another --out",
        )
    splits = read_splits(out)
    if not holds_splits(source):
        _note_place(splits, find_source(source), out, events)
    return splits


def _make(source: Path, out: Path, events: Events) -> None:
    """Make or take over the splits, and write the selections."""
    if holds_splits(source):
        splits, path = read_splits(source), find_source(source_of(source))
        check_pins(splits.source, pin(path, sha256=file_sha256, events=events), path)
        if source.resolve() != out.resolve():
            _write(splits, path, out)
    elif holds_splits(out):
        splits, path = read_splits(out), find_source(source)
        events.note(f"{out} has splits already")
        pin(path, sha256=file_sha256, events=events)
    else:
        splits, path = made_splits(source, SplitSettings(), out, events), find_source(source)
    for name, split in SELECTED:
        rows = splits.assignment.of(split)
        if len(rows):
            content = selected_rows(splits, rows, folder=out, source=path)
            write_atomic(out / f"{name}{SUFFIX}", content)
        elif name == "train":
            raise MissingPrerequisite(
                f"{source} leaves no train pairs", fix="give pair data with more pairs a user"
            )


def _known(place: Path) -> dict[str, Any]:
    """The files' sha256 of pairs or of splits of them, and the splits' digest or None."""
    if holds_splits(place):
        splits = read_splits(place)
        return {"source": [file.sha256 for file in splits.source], "split": splits.digest}
    pinned = pin(find_source(place), sha256=file_sha256)
    return {"source": [file.sha256 for file in pinned], "split": None}


def _note_place(splits: Splits, path: Path, out: Path, events: Events) -> None:
    """Where the pairs lie elsewhere than when they were split, write that with the splits."""
    if source_of(out).resolve() != path.resolve():
        write_atomic(out / ABOUT, split_files(splits, folder=out, source=path)[ABOUT])
        events.note(f"noted that their pairs now lie at {path}")


def _write(splits: Splits, path: Path, out: Path) -> None:
    for name, content in split_files(splits, folder=out, source=path).items():
        write_atomic(out / name, content)
