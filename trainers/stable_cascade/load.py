"""A base from its folder: our own layout, a config.json and a file a part, or the published one.

Elsewhere: its files (`base_files.py`), the base itself (`stage_c.py`), the published weights
(`published_base.py`), which folder (`trainers/bases.py`).
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import nn

from ppdbench.errors import MissingPrerequisite, one_line
from trainers.stable_cascade.base_files import FIX_FILES, FIX_FOLDER, read_config, recorded_hashes
from trainers.stable_cascade.published import is_published
from trainers.stable_cascade.published_base import load_published
from trainers.stable_cascade.stage_c import Base

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
            fix=FIX_FOLDER,
        )
    try:
        base = Base(config, folder / "tokenizer")
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise MissingPrerequisite(
            f"config.json or tokenizer/ in {folder} is damaged: {one_line(error)}", fix=FIX_FILES
        ) from error
    recorded = recorded_hashes(folder)
    digest = hashlib.sha256()
    for name, module in base.parts.items():
        path = folder / f"{name}.safetensors"
        if not path.is_file():
            raise MissingPrerequisite(f"{path} is missing", fix=FIX_FILES)
        try:
            data = path.read_bytes()  # once: the weights that are hashed are those that draw
            weights = {
                key: value.float() if value.is_floating_point() else value
                for key, value in load(data).items()
            }
            module.load_state_dict(weights, strict=True)
        except (OSError, RuntimeError, SafetensorError) as error:
            raise MissingPrerequisite(
                f"{path} cannot be read: {one_line(error)}", fix=FIX_FILES
            ) from error
        found = hashlib.sha256(data).hexdigest()
        if recorded.get(path.name, found) != found:
            raise MissingPrerequisite(
                f"{path} is not the one that its manifest.json lists: sha256 {found[:12]}, listed "
                f"is {recorded[path.name][:12]}",
                fix=FIX_FILES,
            )
        digest.update(found.encode())
    base.sha256 = digest.hexdigest()
    return base.eval().requires_grad_(False)
