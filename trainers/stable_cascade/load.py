"""A base from its folder: our own layout, a config.json and a file a part, or the published one.

Elsewhere: the base itself (`stage_c.py`), the published weights (`published_base.py`), which folder
(`trainers/bases.py`).
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import nn

from ppdbench.errors import MissingPrerequisite, one_line
from ppdbench.runs.json_file import read_object
from trainers.stable_cascade.published import is_published
from trainers.stable_cascade.published_base import load_published, published_sha256
from trainers.stable_cascade.stage_c import Base

FILES = ("stage_c", "text_encoder", "compressor", "previewer")
CONFIG = ("stage_c", "text_encoder", "latent_side")
"""What our own layout's config.json says."""


def load_base(
    folder: Path,
    device: str = "cpu",
    *,
    dtype: torch.dtype | None = None,
    decoder: bool = False,
) -> Base:
    """Load a base, frozen and in eval mode.

    Args:
        folder: of our own layout, config.json, tokenizer/ and one safetensors file a part; or a
            published one, as `published.find_published` takes it.
        device: where it goes.
        dtype: of Stage C, Stage B and the text encoder; None is bfloat16 for a published base and
            float32 for our own. Compressor, previewer and Stage A are always in float32.
        decoder: whether pictures are to be drawn by Stage B and Stage A, where the base is a
            published one; else, and by our own, they are the previewer's.

    Raises:
        MissingPrerequisite: a file is missing, cut short, or has other keys than the model.
    """
    if is_published(folder):
        return load_published(folder, device, dtype=dtype or torch.bfloat16, decoder=decoder)
    base = _load_own(folder).to(device)
    for part in (base.unet, base.text_encoder):
        # Past the class's own `to`, which warns of layers to be kept in float32 where it has none.
        nn.Module.to(part, dtype or torch.float32)
    return base


def _load_own(folder: Path) -> Base:
    config = read_config(folder)
    if missing := [key for key in CONFIG if key not in config]:
        raise MissingPrerequisite(
            f"{folder / 'config.json'} is not that of a base model: it lacks {', '.join(missing)}",
            fix=_NAME,
        )
    try:
        base = Base(config, folder / "tokenizer")
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise MissingPrerequisite(
            f"config.json or tokenizer/ in {folder} is damaged: {one_line(error)}", fix=_REPAIR
        ) from error
    recorded = _recorded(folder)
    digest = hashlib.sha256()
    for name, module in base.parts.items():
        path = folder / f"{name}.safetensors"
        if not path.is_file():
            raise MissingPrerequisite(f"{path} is missing", fix=_REPAIR)
        try:
            data = path.read_bytes()  # once: the weights that are hashed are those that draw
            weights = {
                key: value.float() if value.is_floating_point() else value
                for key, value in load(data).items()
            }
            module.load_state_dict(weights, strict=True)
        except (OSError, RuntimeError, SafetensorError) as error:
            raise MissingPrerequisite(
                f"{path} cannot be read: {one_line(error)}", fix=_REPAIR
            ) from error
        found = hashlib.sha256(data).hexdigest()
        if recorded.get(path.name, found) != found:
            raise MissingPrerequisite(
                f"{path} is not the one that its manifest.json lists: sha256 {found[:12]}, listed "
                f"is {recorded[path.name][:12]}",
                fix=_REPAIR,
            )
        digest.update(found.encode())
    base.sha256 = digest.hexdigest()
    return base.eval().requires_grad_(False)


def read_config(folder: Path) -> dict[str, Any]:
    """The base's config.json.

    Raises:
        MissingPrerequisite: there is no base in the folder, or its config is damaged.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise MissingPrerequisite(f"no base model in {folder}", fix=_NAME)
    return read_object(path, fix=_REPAIR, error=MissingPrerequisite)


def base_sha256(folder: Path) -> str:
    """One hash over the base's parts, from its manifest where it has one, else from the files.

    Raises:
        MissingPrerequisite: the manifest is damaged, or a part of a published base is missing.
        OSError: no manifest, and a file is missing.
    """
    if is_published(folder):
        return published_sha256(folder)
    digest = hashlib.sha256()
    recorded = _recorded(folder)
    for name in FILES:
        file = f"{name}.safetensors"
        known = recorded.get(file)
        digest.update((known or hashlib.sha256((folder / file).read_bytes()).hexdigest()).encode())
    return digest.hexdigest()


def _recorded(folder: Path) -> dict[str, str]:
    """File -> sha256 by the folder's manifest; empty where there is none.

    Raises:
        MissingPrerequisite: the manifest is damaged.
    """
    manifest = folder / "manifest.json"
    recorded: Any = {}
    if manifest.is_file():
        told = read_object(manifest, fix=_REPAIR, error=MissingPrerequisite)
        recorded = told.get("sha256")
    if not isinstance(recorded, dict):
        raise MissingPrerequisite(f"{manifest} is damaged: it has no hashes", fix=_REPAIR)
    return recorded


_REPAIR = "reinstall ppdbench, or rebuild the world with `python -m trainers.shapes`"
_NAME = (
    "name the folder of a Stable Cascade (docs/model.md says which files it needs); if it is that "
    f"of shapes, {_REPAIR}"
)
