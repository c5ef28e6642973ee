"""What an adapter's file says of itself; read without its tensors, and without torch.

Elsewhere: the tensors, and the state of a training (`checkpoints`), what an adapter hears
(`hearing`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from ppdbench.errors import MissingPrerequisite, one_line
from trainers.stable_cascade.adapter_shape import AdapterShape, UnconditionalUser

ADAPTER_FILE = "adapter.safetensors"
UserVector = Literal["reward_weights", "embedding", "null"]
"""What an adapter's user vector means: a weight for each reward, a person's normalised embedding,
or nothing (always zero)."""
FORMAT_VERSION = 2
"""Written; 1, without `AdapterHeader.embedding` and in float32, is read too."""
HEADER_KEY = "adapter"
FIX_ADAPTER = (
    "copy it there again, or train it anew with ppdbench train-reference; if it came with "
    "ppdbench, reinstall that"
)
"""The fix of an adapter that cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedding:
    """Which embeddings a user vector is made of, and how: (embedding - mean) / std."""

    encoder: str
    """Name of the user encoder."""
    revision: str
    """The encoder's, as `EncoderInfo.revision` has it."""
    mean: tuple[float, ...]
    """(dim,) over the training embeddings."""
    std: tuple[float, ...]
    """(dim,) the same; never near zero."""

    def normalised(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """User vectors (..., dim) of raw embeddings (..., dim)."""
        vectors: NDArray[np.float32] = (embeddings - np.array(self.mean)) / np.array(self.std)
        return vectors.astype(np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterHeader:
    """What an adapter's file says of itself."""

    method: str
    base_sha256: str
    shape: AdapterShape
    width: int
    """Channels of the base's widest attention block."""
    user_vector: UserVector
    """What the user vector is."""
    rewards: tuple[str, ...]
    """The rewards whose weights the user vector holds, in order; or would hold."""
    unconditional_user: UnconditionalUser
    """Who the empty-caption half of guidance is drawn for."""
    facts: Mapping[str, Any]
    """Training facts worth printing: steps, seed, beta_eff, ..."""
    embedding: Embedding | None = None
    """Of what the user vector is made, where it is an embedding."""


def read_header(folder: Path) -> AdapterHeader:
    """The header of a folder's adapter, without its tensors.

    Raises:
        MissingPrerequisite: no adapter there, not readable, or of a later format.
    """
    path = folder / ADAPTER_FILE
    try:
        with safe_open(path, framework="np") as opened:
            metadata = opened.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise MissingPrerequisite(f"no adapter can be read from {path}", fix=FIX_ADAPTER) from error
    try:
        description = json.loads(metadata[HEADER_KEY])
        version = description.pop("format_version")
    except (KeyError, ValueError, RecursionError, TypeError, AttributeError) as error:
        raise MissingPrerequisite(f"{path} has no header of an adapter", fix=FIX_ADAPTER) from error
    if version not in range(1, FORMAT_VERSION + 1):
        raise MissingPrerequisite(
            f"{path} has format version {version}, this ppdbench reads up to {FORMAT_VERSION}",
            fix=FIX_ADAPTER,
        )
    try:
        return _header_of(description)
    except (KeyError, TypeError) as error:
        raise MissingPrerequisite(
            f"the header of {path} is not one of an adapter: {one_line(error)}", fix=FIX_ADAPTER
        ) from error


def _header_of(description: dict[str, Any]) -> AdapterHeader:
    """The header that `save_adapter` described.

    Raises:
        KeyError, TypeError: something of it is missing or unknown.
    """
    given = description | {
        "shape": AdapterShape(**description["shape"]),
        "rewards": tuple(description["rewards"]),
    }
    if embedding := given.get("embedding"):
        lists = {name: tuple(embedding[name]) for name in ("mean", "std")}
        given["embedding"] = Embedding(**(embedding | lists))
    return AdapterHeader(**given)


def check_base(folder: Path, header: AdapterHeader, base_sha256: str) -> None:
    """See that a folder's adapter is of this base, before anything is loaded.

    Raises:
        MissingPrerequisite: it is of another one.
    """
    if header.base_sha256 != base_sha256:
        raise MissingPrerequisite(
            f"{folder / ADAPTER_FILE} was trained on another base (sha256 "
            f"{header.base_sha256[:12]}, {header.width} channels wide; this one is "
            f"{base_sha256[:12]})",
            fix="load the base it was trained on (the same files: another precision of the same "
            "weights is another base), or train it anew with ppdbench train-reference",
        )
