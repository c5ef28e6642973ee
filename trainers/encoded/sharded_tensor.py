"""One tensor in many safetensors files, memory-mapped; rows are gathered by index.

A row is copied from where it lies in its own shard: of a shuffled batch hardly two rows are in one,
so that gathering shard by shard costs more than it saves (768 latents of 18 KB in 1,024-row shards
take 3 ms so, and 8 ms sorted by shard).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ppdbench.errors import PpdbenchError, one_line


class ShardedTensor:
    """A tensor whose shards, but for the last, have equally many rows."""

    def __init__(self, files: Sequence[Path], name: str) -> None:
        """Map the files; no row is read.

        Raises:
            PpdbenchError: a file is damaged.
        """
        self._shards = [read_tensor(file, name) for file in files]
        self._shard_rows = max(1, len(self._shards[0])) if files else 1

    def __len__(self) -> int:
        return sum(len(shard) for shard in self._shards)

    @property
    def dtype(self) -> torch.dtype:
        """Of every shard."""
        return self._shards[0].dtype

    def rows(self, indices: NDArray[np.int64]) -> Tensor:
        """The rows at `indices` (B,), a tensor (B, ...) of its own."""
        where = [divmod(int(index), self._shard_rows) for index in indices]
        return torch.stack([self._shards[shard][row] for shard, row in where])


def read_tensor(file: Path, name: str) -> Tensor:
    """A tensor of a safetensors file, mapped.

    Raises:
        PpdbenchError: the file is damaged.
    """
    found = read_optional(file, name)
    if found is None:
        raise PpdbenchError(f"{file} holds no {name}", fix=AGAIN)
    return found


def read_optional(file: Path, name: str) -> Tensor | None:
    """As `read_tensor`, and None where the file has no such tensor.

    Raises:
        PpdbenchError: the file is damaged.
    """
    try:
        with safe_open(file, framework="pt") as opened:
            names = opened.keys()
            return opened.get_tensor(name) if name in names else None
    except (OSError, SafetensorError) as error:
        raise PpdbenchError(f"{file} is damaged: {one_line(error)}", fix=AGAIN) from error


AGAIN = "delete it and run the same command again: it is made anew"
