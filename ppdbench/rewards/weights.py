"""Where a published checkpoint lies on this machine.

Looked for where the user says, in the weights folder, in the Hugging Face hub's cache. Nothing is
downloaded; what is missing is named with its sha256 and the place to put it.

Elsewhere: which files a reward is made of (its config.json, `folder`), reading them
(`checkpoint`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ppdbench.errors import MissingPrerequisite, PpdbenchError
from ppdbench.runs.cache_folder import cache_folder


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedFile:
    """One file as its authors published it."""

    repo: str
    """owner/name on the Hugging Face hub, or the address of another place."""
    file: str
    sha256: str | None = None
    """None where it is not known to us: then the file is taken as it is."""

    @property
    def on_hub(self) -> bool:
        """Whether `repo` is one of the hub's."""
        return ":" not in self.repo

    @property
    def folder(self) -> str:
        """The folder of the repo's files under the weights folder."""
        return self.repo.rstrip("/").rpartition("/")[2]

    def __str__(self) -> str:
        known = f"sha256 {self.sha256}" if self.sha256 else "its sha256 is not known to us"
        return f"{self.file} of {self.repo} ({known})"


@dataclass(frozen=True, slots=True)
class Found:
    """A weights file on this machine, and what it must hash to."""

    path: Path
    sha256: str | None


def weights_folder() -> Path:
    """`$PPDBENCH_WEIGHTS`, else `weights` in the cache folder."""
    given = os.environ.get("PPDBENCH_WEIGHTS")
    return Path(given) if given else cache_folder() / "weights"


def published_files(entries: object, *, where: Path) -> tuple[PublishedFile, ...]:
    """The files that a config.json lists, any one of which will do, the preferred one first.

    Raises:
        PpdbenchError: an entry is no {"repo", "file"}.
    """
    listed = entries if isinstance(entries, list) else [entries]
    try:
        if not listed:
            raise ValueError("the list is empty")
        return tuple(PublishedFile(**_strings(entry)) for entry in listed)
    except (TypeError, ValueError) as error:
        raise PpdbenchError(
            f"{where} lists weights that cannot be understood: {error}",
            fix='write each as {"repo": "owner/name", "file": "name", "sha256": "hex"}',
        ) from error


def find(files: Sequence[PublishedFile], given: Path | None, *, owner: str) -> Found:
    """The first of the files that is here.

    Args:
        files: any one of them will do.
        given: what the user named: the file itself, or a folder that holds it.
        owner: whom it belongs to, for the error ("reward 'hpsv2.1'").

    Raises:
        MissingPrerequisite: none of them is; the places looked at and the hashes are named.
    """
    if given is not None and given.is_file():
        return Found(given, _hash_of(files, given))
    if given is not None:
        return _required(files, given, owner)
    if (found := _in_folder(files, weights_folder())) is not None:
        return found
    for file in files:
        if (cached := _in_hub_cache(file)) is not None:
            return Found(cached, file.sha256)
    first = files[0]
    place = weights_folder() / first.folder / first.file
    fetch = f"`hf download {first.repo} {first.file}`, or " if first.on_hub else ""
    moved = bool(os.environ.get("PPDBENCH_WEIGHTS"))
    movable = "" if moved else " (PPDBENCH_WEIGHTS moves that folder)"
    raise MissingPrerequisite(
        f"the weights of {owner} are not here: {' or '.join(map(str, files))}",
        fix=f"{fetch}put the file at {place}{movable}",
    )


def _required(files: Sequence[PublishedFile], given: Path, owner: str) -> Found:
    """One of the files in the folder that the user named, and nowhere else."""
    if not given.exists():
        raise MissingPrerequisite(
            f"the weights of {owner} are not at {given}: no such file or folder",
            fix="mend the path",
        )
    found = _in_folder(files, given)
    if found is None:
        raise MissingPrerequisite(
            f"{given} holds no weights of {owner}: {' or '.join(map(str, files))}",
            fix="put the file there, or name the file itself",
        )
    return found


def _in_folder(files: Sequence[PublishedFile], folder: Path) -> Found | None:
    for file in files:
        for path in (folder / file.folder / file.file, folder / file.file):
            if path.is_file():
                return Found(path, file.sha256)
    return None


def _hash_of(files: Sequence[PublishedFile], given: Path) -> str | None:
    """What a file that the user named must hash to: its namesake's hash, else the only one."""
    named = [file for file in files if file.file == given.name] or list(files)
    hashes = {file.sha256 for file in named}
    return hashes.pop() if len(hashes) == 1 else None


def _in_hub_cache(file: PublishedFile) -> Path | None:
    if not file.on_hub:
        return None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(file.repo, file.file)
    return Path(found) if isinstance(found, str) else None


def _strings(entry: Any) -> dict[str, str]:
    if not isinstance(entry, dict) or not all(isinstance(value, str) for value in entry.values()):
        raise TypeError(f"{entry!r} is no object of texts")
    return {str(name): value for name, value in entry.items()}
