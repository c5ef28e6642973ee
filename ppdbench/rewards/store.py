"""What rewards keep in one SQLite file: embeddings, scores, hashes of large files.

Elsewhere: how it is kept (`runs.store`), under which keys (`loader`, `work`, `file_hash`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from ppdbench.runs.cache_folder import cache_folder
from ppdbench.runs.store import KeyStore, key_of

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Kind", "Store", "Vector", "default_path", "from_vector", "key_of", "to_vector"]

Kind = Literal["text", "image", "score", "pixels", "file"]
"""text, image: embeddings, float32; score: float64; pixels: a file's pixel hash; file: a hash."""

Vector = bytes
"""An embedding as it is kept: little-endian float32."""


class Store(KeyStore[Kind]):
    """Keys to bytes, by kind."""

    called: ClassVar[str] = "score cache"


def default_path() -> Path:
    """The store that all commands share."""
    return cache_folder() / "rewards.sqlite"


def to_vector(embedding: Tensor) -> Vector:
    """A tensor (D,) as it is kept."""
    return bytes(embedding.detach().cpu().numpy().astype("<f4").tobytes())


def from_vector(vector: Vector) -> Tensor:
    """A kept embedding as a tensor (D,)."""
    import numpy as np
    import torch

    return torch.from_numpy(np.frombuffer(vector, "<f4").copy())
