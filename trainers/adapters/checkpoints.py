"""What a run leaves: the adapter, one safetensors file by block path, and the state to go on from.

`adapter.safetensors` says in its header which base it belongs to and what its user vector means;
`load_adapter` refuses another base and any missing or unknown tensor. `trainer_state.pt` is for
going on with a killed run and nothing else; both are written whole or not at all.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ppdbench.errors import FingerprintMismatch, MissingPrerequisite, one_line
from ppdbench.runs.atomic import write_atomic
from ppdbench.runs.fingerprint import differences, flat
from trainers.stable_cascade.stage_c import Base
from trainers.stable_cascade.user_attention import (
    AdapterShape,
    UnconditionalUser,
    UserAdapter,
    new_adapter,
)

ADAPTER_FILE = "adapter.safetensors"
STATE_FILE = "trainer_state.pt"
UserVector = Literal["reward_weights", "embedding", "null"]
"""What an adapter's user vector means: a weight for each reward, a person's normalised embedding,
or nothing (always zero)."""
FORMAT_VERSION = 2
"""Written; 1, without `AdapterHeader.embedding` and in float32, is read too."""
HEADER_KEY = "adapter"


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


def save_adapter(folder: Path, tensors: Mapping[str, Tensor], header: AdapterHeader) -> None:
    """Write adapter.safetensors in float16; `tensors` as `UserAdapter.tensors` gives them."""
    description: dict[str, Any] = {"format_version": FORMAT_VERSION} | asdict(header)
    if header.shape.user_rank is None:  # as before there was one: equal adapters, equal files
        del description["shape"]["user_rank"]
    # One entry, because safetensors writes several in no fixed order: equal adapters, equal files.
    metadata = {HEADER_KEY: json.dumps(description, sort_keys=True)}
    plain = {name: tensor.detach().half().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomic(folder / ADAPTER_FILE, save(plain, metadata=metadata))


def read_header(folder: Path) -> AdapterHeader:
    """The header of a folder's adapter, without its tensors.

    Raises:
        MissingPrerequisite: no adapter there, not readable, or of a later format.
    """
    path = folder / ADAPTER_FILE
    try:
        with safe_open(path, framework="pt") as opened:
            metadata = opened.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise MissingPrerequisite(f"no adapter can be read from {path}", fix=_TRAIN) from error
    try:
        description = json.loads(metadata[HEADER_KEY])
        version = description.pop("format_version")
    except (KeyError, ValueError, RecursionError, TypeError, AttributeError) as error:
        raise MissingPrerequisite(f"{path} has no header of an adapter", fix=_TRAIN) from error
    if version not in range(1, FORMAT_VERSION + 1):
        raise MissingPrerequisite(
            f"{path} has format version {version}, this ppdbench reads up to {FORMAT_VERSION}",
            fix=_TRAIN,
        )
    try:
        return _header_of(description)
    except (KeyError, TypeError) as error:
        raise MissingPrerequisite(
            f"the header of {path} is not one of an adapter: {one_line(error)}", fix=_TRAIN
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


def load_adapter(folder: Path, base: Base) -> UserAdapter:
    """The adapter of a folder, attached to `base` and off; frozen, in eval mode, in float32.

    Raises:
        MissingPrerequisite: no adapter there, it belongs to another base, or its tensors are not
            exactly those the base's blocks need.
    """
    header = read_header(folder)
    path = folder / ADAPTER_FILE
    check_base(folder, header, base.sha256)
    adapter = new_adapter(base.unet, header.shape, seed=0)
    try:
        with safe_open(path, framework="pt") as opened:
            adapter.load_tensors({name: opened.get_tensor(name) for name in opened.keys()})  # noqa: SIM118 - no mapping
    except KeyError as error:
        raise MissingPrerequisite(
            f"{path} does not fit the base: missing or unknown tensors {error.args[0]}", fix=_TRAIN
        ) from error
    except (ValueError, SafetensorError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise MissingPrerequisite(f"{path} does not fit the base: {reason}", fix=_TRAIN) from error
    return adapter.requires_grad_(False).eval().to(base.device)


def save_state(folder: Path, state: Mapping[str, Any]) -> None:
    """Write trainer_state.pt: tensors, numbers and strings in dicts and lists."""
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    write_atomic(folder / STATE_FILE, buffer.getvalue())


def load_state(
    folder: Path, identity: Mapping[str, Any], *, tolerate: Sequence[str] = ()
) -> dict[str, Any] | None:
    """The state of a run to go on with; None where there is none.

    Args:
        folder: the run's output.
        identity: what the state must have been made with, as the state's "identity" has it;
            nested dicts are compared by dotted key.
        tolerate: dotted keys that may differ.

    Raises:
        FingerprintMismatch: it was made with other settings; they are named.
        MissingPrerequisite: the file cannot be read.
    """
    path = folder / STATE_FILE
    if not path.is_file():
        return None
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
        if not isinstance(state["identity"], Mapping):
            raise TypeError("it says nothing of its settings")
    except Exception as error:  # whatever the unpickler stumbles over
        raise MissingPrerequisite(
            f"{path} cannot be read: {one_line(error).partition('. ')[0]}",
            fix=f"delete {path.name}; the run then starts anew",
        ) from error
    differing = [key for key in differences(state["identity"], identity) if key not in tolerate]
    if differing:
        then, now = dict(flat(state["identity"])), dict(flat(identity))
        changes = ", ".join(f"{key} ({then.get(key)} -> {now.get(key)})" for key in differing)
        raise FingerprintMismatch(
            f"{folder} holds a run with other settings: {changes}",
            fix="give another folder with --output, or delete this one",
        )
    return state


_TRAIN = (
    "copy it there again, or train it anew with ppdbench train-reference; if it came with "
    "ppdbench, reinstall that"
)
