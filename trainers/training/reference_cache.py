"""The base's losses, kept: two numbers a pair and visit, read by every later run on the same pairs.

A preference loss compares with the base, which never changes. With `draws: pair` its timestep,
noise and dropped captions are a function of the pair and of how often it was met (`draws.py`), so
what the base makes of them is the same for every method, beta and batch. The first run fills the
file, the next ones read it; one that was stopped leaves what it had::

    <encoded pairs>/reference-<key[:16]>/
      key.json           what the losses depend on: base, its precision, latents, seed, timesteps
      visit-00000.npy    (N, 2) float32: error on image 0 and on image 1 of each pair; NaN: not yet

Every process knows the same: what one of them computed reaches all at the end of its step, and the
main process alone writes. Elsewhere: who computes them (`steps.py`).
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ppdbench.errors import from_os_error
from ppdbench.protocols import Events
from ppdbench.runs.atomic import open_locked, remove_dead, temporary, write_json
from trainers.config import TrainConfig
from trainers.encoded.latents import LatentCache
from trainers.stable_cascade.stage_c import Base

SCHEMA_VERSION = 1
KEY_FILE = "key.json"


@dataclass(frozen=True, slots=True)
class Visits:
    """Which losses of the base B examples need."""

    pair: NDArray[np.int64]
    """(B,) row of the pair in the latent cache."""
    visit: NDArray[np.int64]
    """(B,) how often the table was walked before."""
    winner: NDArray[np.int64]
    """(B,) 0 or 1."""


def reference_key(config: TrainConfig, base: Base, cache: LatentCache) -> dict[str, Any]:
    """All that the base's losses depend on: not the method, its beta, its batch or its labels."""
    timesteps = asdict(config.timesteps)
    return {
        "schema_version": SCHEMA_VERSION,
        "base": base.sha256,
        "base_precision": str(next(base.unet.parameters()).dtype).removeprefix("torch."),
        "precision": config.precision,
        "latents": {
            "pairs": cache.pairs_sha256,
            "count": len(cache),
            "shape": list(cache.latent_shape),
            "encoder": cache.base_sha256,
            "dtypes": list(cache.dtypes),
        },
        "seed": config.seed,
        "timesteps": {name: timesteps[name] for name in ("distribution", "mean", "std")},
        "share_noise": config.objective.share_noise,
        "caption_dropout": config.data.caption_dropout,
    }


class ReferenceCache:
    """The losses of one key; what this process learns is written by the main one alone."""

    def __init__(
        self, folder: Path, key: Mapping[str, Any], pairs: int, *, main: bool, events: Events
    ) -> None:
        """Open what is there.

        Args:
            folder: that holds the encoded pairs.
            key: `reference_key`.
            pairs: how many there are.
            main: whether this process writes.
            events: told of files that are made anew.

        Raises:
            PpdbenchError: the folder cannot be written.
        """
        digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
        self.folder = folder / f"reference-{digest[:16]}"
        self._pairs, self._main, self._events = pairs, main, events
        self._visits: dict[int, NDArray[np.float32]] = {}
        if main and self._read_key() != dict(key):
            self._begin(key)

    def known(self, visits: Visits) -> NDArray[np.float32]:
        """Errors (B, 2) on winner and loser; NaN where they are not known."""
        found = np.empty((len(visits.pair), 2), np.float32)
        for number, rows in _by_visit(visits.visit):
            table = self._table(number)[visits.pair[rows]]
            swapped = visits.winner[rows, None] == 1
            found[rows] = np.where(swapped, table[:, ::-1], table)
        return found

    def learn(self, visits: Visits, errors: NDArray[np.float32]) -> None:
        """Take in errors (B, 2) on winner and loser; NaN, and what is known, changes nothing.

        Of a pair that is there twice, each of which may have rounded otherwise, the first counts.
        """
        by_image = np.where(visits.winner[:, None] == 1, errors[:, ::-1], errors)
        for number, rows in _by_visit(visits.visit):
            table, pair, found = self._table(number), visits.pair[rows], by_image[rows]
            for image in (0, 1):
                new = np.flatnonzero(np.isnan(table[pair, image]) & ~np.isnan(found[:, image]))
                # No number is written twice: whoever reads meanwhile never sees another.
                first = new[np.unique(pair[new], return_index=True)[1]]
                table[pair[first], image] = found[first, image]

    def flush(self) -> None:
        """Wait until the disk has what the main process learnt."""
        for table in self._visits.values():
            if self._main and isinstance(table, np.memmap):
                table.flush()

    def _table(self, number: int) -> NDArray[np.float32]:
        """(N, 2) errors of a visit: the file itself on the main process, elsewhere a copy of it."""
        if number not in self._visits:
            path = self.folder / f"visit-{number:05}.npy"
            opened = self._open(path)
            if opened is None:
                fresh = np.full((self._pairs, 2), np.nan, np.float32)
                opened = self._make(path, fresh) if self._main else fresh
            self._visits[number] = opened
        return self._visits[number]

    def _open(self, path: Path) -> NDArray[np.float32] | None:
        # Read first: for writing, numpy would fill a file that was cut short up with zeros.
        if self._readable(path) is not None:
            # Others copy it: 8 bytes a pair, which another run's writing shall not change.
            opened: NDArray[np.float32] = np.load(path, mmap_mode="r+" if self._main else None)
            return opened
        if path.exists():
            self._events.note(f"{path.name} of {self.folder.name} is damaged: it is made anew")
        return None

    def _readable(self, path: Path) -> NDArray[np.float32] | None:
        try:
            table: NDArray[np.float32] = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        return table if table.shape == (self._pairs, 2) and table.dtype == np.float32 else None

    def _make(self, path: Path, fresh: NDArray[np.float32]) -> NDArray[np.float32]:
        # Written whole before it is mapped: on a full disk a mapping would end in SIGBUS.
        tmp = temporary(path)
        # By way of memory: to a file, numpy says neither that a disk is full nor why it stopped.
        whole = io.BytesIO()
        np.save(whole, fresh)
        remove_dead(path)
        try:
            with open_locked(tmp) as file:
                file.write(whole.getbuffer())
                file.flush()
                os.fsync(file.fileno())
                self._place(tmp, path)
        except OSError as error:
            raise from_os_error(error, path) from error
        finally:
            tmp.unlink(missing_ok=True)
        made: NDArray[np.float32] = np.load(path, mmap_mode="r+")
        return made

    def _place(self, tmp: Path, path: Path) -> None:
        """Give a new file its name, unless another run on the same pairs was first: both fill it.

        Replaced, the other's file would have no name, and what it goes on to learn would be lost.
        """
        try:
            path.hardlink_to(tmp)
        except FileExistsError:
            if self._readable(path) is None:
                tmp.replace(path)  # damaged, as was noted
        except OSError:
            tmp.replace(path)  # a file system without links

    def _read_key(self) -> dict[str, Any] | None:
        try:
            read: dict[str, Any] = json.loads((self.folder / KEY_FILE).read_text())
        except (OSError, ValueError, RecursionError):
            return None
        return read

    def _begin(self, key: Mapping[str, Any]) -> None:
        old = sorted(self.folder.glob("visit-*.npy"))
        for path in old:
            path.unlink()
        if old:
            self._events.note(f"{self.folder.name} was made with another key: it is made anew")
        write_json(self.folder / KEY_FILE, dict(key))


def as_known(errors: NDArray[np.float32]) -> torch.Tensor:
    """Errors (B, 2) as a tensor of its own."""
    return torch.from_numpy(errors.copy())


def _by_visit(visit: NDArray[np.int64]) -> list[tuple[int, NDArray[np.int64]]]:
    return [(int(number), np.flatnonzero(visit == number)) for number in np.unique(visit)]
