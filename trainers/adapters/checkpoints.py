"""What a run leaves: the adapter, one safetensors file by block path, and the state to go on from.

`adapter.safetensors` says in its header which base it belongs to and what its user vector means;
`load_adapter` refuses another base and any missing or unknown tensor. `trainer_state.pt` is for
going on with a killed run and nothing else; both are written whole or not at all. Elsewhere: the
header (`header`).
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ppdbench.errors import FingerprintMismatch, MissingPrerequisite, one_line
from ppdbench.runs.atomic import write_atomic
from ppdbench.runs.fingerprint import differences, flat
from trainers.adapters.header import (
    ADAPTER_FILE,
    FIX_ADAPTER,
    FORMAT_VERSION,
    HEADER_KEY,
    AdapterHeader,
    check_base,
    read_header,
)
from trainers.stable_cascade.stage_c import Base
from trainers.stable_cascade.user_attention import UserAdapter, new_adapter

STATE_FILE = "trainer_state.pt"


def save_adapter(folder: Path, tensors: Mapping[str, Tensor], header: AdapterHeader) -> None:
    """Write adapter.safetensors in float16; `tensors` as `UserAdapter.tensors` gives them."""
    description: dict[str, Any] = {"format_version": FORMAT_VERSION} | asdict(header)
    if header.shape.user_rank is None:  # as before there was one: equal adapters, equal files
        del description["shape"]["user_rank"]
    # One entry, because safetensors writes several in no fixed order: equal adapters, equal files.
    metadata = {HEADER_KEY: json.dumps(description, sort_keys=True)}
    plain = {name: tensor.detach().half().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomic(folder / ADAPTER_FILE, save(plain, metadata=metadata))


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
            f"{path} does not fit the base: missing or unknown tensors {error.args[0]}",
            fix=FIX_ADAPTER,
        ) from error
    except (ValueError, SafetensorError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise MissingPrerequisite(
            f"{path} does not fit the base: {reason}", fix=FIX_ADAPTER
        ) from error
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
