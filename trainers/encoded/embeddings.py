"""Embeddings of people by groups of their pairs, made once and kept beside the pairs' latents.

The pairs are read once and in their order, whatever the file's size. Elsewhere: which groups, and
what is learnt under their embeddings (`people.py`); encoding itself (`ppdbench.users.encode`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save

from ppdbench.protocols import Events, PreferencePair, UserContext, UserEncoder
from ppdbench.runs.atomic import write_atomic
from ppdbench.runs.file_names import file_name
from ppdbench.runs.fingerprint import fingerprint
from ppdbench.users.contexts import shot_of
from ppdbench.users.encode import embed
from trainers.encoded.latents import LatentCache
from trainers.encoded.pair_shards import every_pair
from trainers.encoded.sharded_tensor import read_tensor


@dataclass(frozen=True, slots=True)
class ShotGroup:
    """What one embedding is made of: a user, and some of the user's pairs or none."""

    user: str
    rows: tuple[int, ...]
    """The pairs' rows in the latent cache; none for an encoder that reads the user's id alone."""


def embed_groups(
    groups: Sequence[ShotGroup],
    pairs: Path,
    cache: LatentCache,
    encoder: UserEncoder,
    *,
    events: Events,
    main: bool = True,
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Raw embeddings (N, dim) of N groups, and which of them have one, (N,).

    Who has none once has none again: a training that goes on meets the people it began with.

    Args:
        groups: no pair is in two of them.
        pairs: the file that `cache` is of.
        cache: in whose folder the embeddings are kept.
        encoder: makes them; several processes share the work, and all of them must call.
        events: told of the progress.
        main: whether this process writes for all.

    Raises:
        PpdbenchError: the encoder cannot work at all, or the pairs were changed meanwhile.
    """
    made_of = {
        "encoder": encoder.info.revision,
        "groups": [[group.user, *group.rows] for group in groups],
    }
    name = file_name(encoder.info.name)  # options follow it after a colon
    file = cache.folder / f"users-{name}-{fingerprint(made_of)}.safetensors"
    if not file.is_file():
        # By their last pairs, so that one reading of the file completes one after the other.
        order = sorted(range(len(groups)), key=lambda number: max(groups[number].rows, default=-1))
        ordered = [groups[number] for number in order]
        contexts = _Contexts(ordered, pairs, cache.limit, cache.skipped)
        codes = embed(encoder, contexts, events=events)
        embeddings = np.zeros((len(groups), encoder.info.dim), np.float32)
        known = np.zeros(len(groups), bool)
        for number, code in zip(order, codes, strict=True):
            if code is not None:
                embeddings[number], known[number] = code.embedding, True
        if not main:
            return embeddings, known
        cache.require_pairs_at_rest()
        tensors = {"embedding": torch.from_numpy(embeddings), "known": torch.from_numpy(known)}
        write_atomic(file, save(tensors))
    return read_tensor(file, "embedding").numpy(), read_tensor(file, "known").numpy()


class _Contexts(Sequence[UserContext]):
    """Groups as an encoder is shown them, decoded when asked for; quick from first to last.

    Pairs have rows here, and a file has no index: where `UserContexts` asks for pairs by id, this
    reads on. Encoded images are in memory from a group's first pair to the asking for its last.
    """

    def __init__(
        self,
        groups: Sequence[ShotGroup],
        pairs: Path,
        limit: int | None,
        skip: frozenset[int] = frozenset(),
    ) -> None:
        self._groups, self._pairs, self._limit, self._skip = groups, pairs, limit, skip
        self._number_of = {row: number for number, g in enumerate(groups) for row in g.rows}
        self._passed = 0
        self._held: dict[int, PreferencePair] = {}
        self._reading = self._read()

    def __len__(self) -> int:
        return len(self._groups)

    @overload
    def __getitem__(self, index: int) -> UserContext: ...
    @overload
    def __getitem__(self, index: slice) -> list[UserContext]: ...
    def __getitem__(self, index: int | slice) -> UserContext | list[UserContext]:
        numbers = range(len(self))[index]
        if isinstance(numbers, int):
            return self[numbers : numbers + 1][0]
        if not numbers:
            return []
        if min(numbers) < self._passed:
            self._held, self._reading = {}, self._read()
        self._passed = min(numbers)
        self._held = {
            row: pair for row, pair in self._held.items() if self._number_of[row] >= self._passed
        }
        wanted = {row for number in numbers for row in self._groups[number].rows}
        missing = len(wanted - self._held.keys())
        while missing:
            row, pair = next(self._reading)
            if self._number_of.get(row, -1) >= self._passed:
                self._held[row] = pair
                missing -= row in wanted
        return [
            UserContext(id=group.user, shots=tuple(shot_of(self._held[row]) for row in group.rows))
            for group in (self._groups[number] for number in numbers)
        ]

    def _read(self) -> Iterator[tuple[int, PreferencePair]]:
        return enumerate(every_pair(self._pairs, self._limit, self._skip))
