"""Where preference pairs lie, and what they are held by: one sha256 a file.

A source is a Parquet file, a folder of them, or the name of a data set on the Hugging Face hub
that lies in this machine's cache of it; nothing is downloaded. Elsewhere: the schema
(`pickapic_rows`), the pairs themselves (`pickapic`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ppdbench.data.pair_columns import check_types
from ppdbench.data.pickapic_rows import check_columns, parquet_files, row_count
from ppdbench.errors import MissingPrerequisite, PpdbenchError
from ppdbench.protocols import Events

PUBLIC = "yuvalkirstain/pickapic_v2"
"""Where Pick-a-Pic v2 was; gone from the hub since April 2025 (PickScore issue 36)."""
_ON_HUB = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")

Hash = Callable[[Path], str]
"""The sha256 of a file, in hex; one that remembers saves reading hundreds of GB again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedFile:
    """One file of a source, as it was when splits were made of it."""

    name: str
    sha256: str
    bytes: int
    rows: int


def find_source(source: Path | str) -> Path:
    """The Parquet file, or the folder that holds `*.parquet` itself, that a user means.

    Args:
        source: a file; a folder of Parquet files, or one whose `data` is; or `owner/name`, a data
            set in the hub's cache, where no such folder exists.

    Raises:
        MissingPrerequisite: there is nothing; of a data set, what to put where.
    """
    path = Path(source)
    if not path.exists() and _ON_HUB.fullmatch(str(source)) and path.suffix != ".parquet":
        path = _in_hub_cache(str(source))
    if path.is_dir() and not any(path.glob("*.parquet")) and any(path.glob("data/*.parquet")):
        return path / "data"
    if path.is_file() or (path.is_dir() and any(path.glob("*.parquet"))):
        return path
    raise MissingPrerequisite(
        f"there is no pair data at {path}",
        fix="give a Parquet file, or a folder of *.parquet, in the Pick-a-Pic v2 schema",
    )


def source_files(path: Path) -> list[Path]:
    """The files of what `find_source` returned, in the order in which they are read.

    Raises:
        MissingPrerequisite: no such file, or a required column is absent.
        PpdbenchError: one is not Parquet, is cut short, or has a column of another type.
    """
    files = parquet_files(path)
    for file in files:
        check_columns(file)
        check_types(file)
    return files


def read_sha256(path: Path) -> str:
    """A file's sha256, in hex, by reading all of it; `rewards.file_hash` remembers large ones.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def pin(
    path: Path, *, sha256: Hash = read_sha256, events: Events | None = None
) -> tuple[PinnedFile, ...]:
    """Name, sha256 and size of each file of a source, in the order in which they are read.

    Raises:
        MissingPrerequisite, PpdbenchError: as `source_files`; or a file cannot be read.
    """
    files = source_files(path)
    if events is not None:
        events.stage("hash files", len(files))
    pinned = []
    for file in files:
        try:
            pinned.append(
                PinnedFile(
                    name=file.name,
                    sha256=sha256(file),
                    bytes=file.stat().st_size,
                    rows=row_count(file),
                )
            )
        except OSError as error:
            raise PpdbenchError(
                f"{file} cannot be read: {error.strerror or error}",
                fix="check path and permissions",
            ) from error
        if events is not None:
            events.advance(1)
    return tuple(pinned)


def check_pins(pinned: Sequence[PinnedFile], found: Sequence[PinnedFile], path: Path) -> None:
    """Hold the files that are there against those that splits were made of, in their order.

    Raises:
        MissingPrerequisite: a file differs, is missing, or is one too many.
    """
    fix = "give the pairs that the splits were made of, or make the splits anew"
    if len(pinned) != len(found):
        raise MissingPrerequisite(
            f"the splits were made of {len(pinned)} Parquet files, and {path} has {len(found)}",
            fix=fix,
        )
    for then, now in zip(pinned, found, strict=True):
        if then.sha256 != now.sha256:
            raise MissingPrerequisite(
                f"{now.name} of {path} is not the {then.name} that the splits were made of: its "
                f"sha256 is {now.sha256[:12]}, not {then.sha256[:12]}",
                fix=fix,
            )


def _in_hub_cache(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.constants import HF_HUB_CACHE
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, repo_type="dataset", local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError) as error:
        gone = " (the public copy has been gone from the hub since 2025)" * (name == PUBLIC)
        raise MissingPrerequisite(
            f"there is no folder {name}, and the data set {name}{gone} is not in the hub's cache "
            f"at {HF_HUB_CACHE}",
            fix="name a folder that holds its Parquet files (train-*.parquet, ...); a local copy, "
            "held by its files' sha256, is the normal case",
        ) from error
