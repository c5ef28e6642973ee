"""A base from the published weights: the same `Base`, its parts of the size that the files have.

Modules are made on the meta device and take the files' tensors (`weights.py`). Sizes come from a
part's config.json, or for the original's files from the tensors. Elsewhere: which files
(`published.py`), what they cannot tell (`original_files.py`, `sizes.py`).
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from ppdbench.errors import MissingPrerequisite, one_line
from ppdbench.rewards.file_hash import file_sha256
from ppdbench.runs.json_file import read_object
from trainers.stable_cascade import sizes
from trainers.stable_cascade.decoder import Decoder, paella
from trainers.stable_cascade.original_files import (
    Shapes,
    stage_a_sizes,
    stage_a_tensors,
    stage_b_sizes,
    stage_c_sizes,
    unet_tensors,
)
from trainers.stable_cascade.published import AGAIN, DECODER, Part, PublishedFiles, find_published
from trainers.stable_cascade.stage_c import Base
from trainers.stable_cascade.weights import read_part, take_weights

Made = TypeVar("Made")
TEXT = (*sizes.TEXT_ENCODER, "layer_norm_eps")
"""What of a text encoder's config is its architecture."""


def load_published(folder: Path, device: str, *, dtype: torch.dtype, decoder: bool) -> Base:
    """Load a published base; arguments and errors as `load.load_base` has them."""
    files = find_published(folder)
    unet, stage_c = _unet(files.stage_c, stage_c_sizes)
    if not stage_c.get("clip_text_in_channels"):
        raise MissingPrerequisite(
            f"{files.stage_c} is not one: it reads no text, as Stage B does not",
            fix="name the folder that holds prior/, or one of Stage C (docs/model.md)",
        )
    preview = read_part(files.previewer)
    config = {
        "latent_side": sizes.LATENT_SIDE,
        "stage_c": stage_c,
        "text_encoder": _text_config(files.text_encoder),
        "previewer_width": len(preview.get("blocks.0.bias", ())) or 512,
    }
    with torch.device("meta"):
        base = _made(lambda: Base(config, files.tokenizer), files.stage_c)
    take_weights(base.unet, unet, files.stage_c, device=device, dtype=dtype)
    text = read_part(files.text_encoder)
    take_weights(base.text_encoder, text, files.text_encoder, device=device, dtype=dtype)
    compressor = read_part(files.compressor)
    single = torch.float32
    take_weights(base.compressor, compressor, files.compressor, device=device, dtype=single)
    take_weights(base.previewer, preview, files.previewer, device=device, dtype=single)
    if decoder:
        base.decoder = _load_decoder(files, folder, device, dtype)
    base.sha256 = _sha256(files)
    return base.eval().requires_grad_(False)


def published_sha256(folder: Path) -> str:
    """One hash over Stage C, text encoder, compressor and previewer, as their files hold them.

    Over the files' bytes, each read once and then known by its size and time: the same weights in
    another precision, in shards, or in the original's file are another base.

    Raises:
        MissingPrerequisite: a part is missing.
    """
    return _sha256(find_published(folder))


def decoder_sha256(folder: Path) -> str:
    """The same over Stage B and Stage A.

    Raises:
        MissingPrerequisite: they are missing.
    """
    return _digest(*_decoder_parts(find_published(folder), folder))


def _sha256(files: PublishedFiles) -> str:
    return _digest(files.stage_c, files.text_encoder, files.compressor, files.previewer)


def _digest(*parts: Part) -> str:
    digest = hashlib.sha256()
    for part in parts:
        for file in part.files:
            try:
                digest.update(file_sha256(file).encode())
            except OSError as error:
                raise MissingPrerequisite(
                    f"{file} cannot be read: {one_line(error)}", fix=AGAIN
                ) from error
    return digest.hexdigest()


def _load_decoder(files: PublishedFiles, folder: Path, device: str, dtype: torch.dtype) -> Decoder:
    b, a = _decoder_parts(files, folder)
    tensors, stage_b = _unet(b, stage_b_sizes)
    codes, stage_a = _model(a, paella(), stage_a_tensors, stage_a_sizes)
    with torch.device("meta"):
        decoder = _made(lambda: Decoder(stage_b, stage_a), b)
    take_weights(decoder.stage_b, tensors, b, device=device, dtype=dtype)
    take_weights(decoder.stage_a, codes, a, device=device, dtype=torch.float32)
    return decoder


def _decoder_parts(files: PublishedFiles, folder: Path) -> tuple[Part, Part]:
    if files.stage_b is None or files.stage_a is None:
        lacks = [
            name
            for name, part in (("Stage B", files.stage_b), ("Stage A", files.stage_a))
            if part is None
        ]
        raise MissingPrerequisite(
            f"{folder} lacks {' and '.join(lacks)}, which draw the pictures",
            fix=f"put decoder/ and vqgan/ of {DECODER} there, or stage_b_bf16.safetensors and "
            "stage_a.safetensors (docs/model.md has the commands)",
        )
    return files.stage_b, files.stage_a


def _unet(
    part: Part, sizes_of: Callable[[Shapes], dict[str, Any]]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    from diffusers.models.unets.unet_stable_cascade import StableCascadeUNet

    return _model(part, StableCascadeUNet, unet_tensors, sizes_of)


def _model(
    part: Part,
    kind: Any,
    rename: Callable[[Mapping[str, Tensor]], dict[str, Tensor]],
    sizes_of: Callable[[Shapes], dict[str, Any]],
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors of a stage by the names of its class in diffusers, and the class's arguments."""
    tensors = read_part(part)
    if part.config is not None:
        return tensors, _arguments(part.config, kind)
    tensors = rename(tensors)
    try:
        return tensors, sizes_of({name: tuple(each.shape) for name, each in tensors.items()})
    except (KeyError, IndexError, ZeroDivisionError) as error:
        raise MissingPrerequisite(
            f"{part} is not what the original's code saves: keys are missing: {one_line(error)}",
            fix=AGAIN,
        ) from error


def _arguments(config: Path, kind: Any) -> dict[str, Any]:
    """What a config.json says to a diffusers class; keys that begin with _ say who wrote it.

    Raises:
        MissingPrerequisite: it is damaged, or has keys that the class does not know.
    """
    read = read_object(config, fix=AGAIN, error=MissingPrerequisite)
    told = {key: value for key, value in read.items() if not key.startswith("_")}
    known = inspect.signature(kind.__init__).parameters
    if unknown := sorted(set(told) - set(known)):
        raise MissingPrerequisite(
            f"{config} has keys that {kind.__name__} does not know: {', '.join(unknown)}", fix=AGAIN
        )
    return told


def _text_config(part: Part) -> dict[str, Any]:
    """The text encoder's architecture.

    Raises:
        MissingPrerequisite: its config is damaged, or does not tell it.
    """
    if part.config is None:
        raise ValueError("a text encoder lies beside its config.json")
    told = read_object(part.config, fix=AGAIN, error=MissingPrerequisite)
    if missing := [key for key in ("hidden_size", "num_hidden_layers") if key not in told]:
        raise MissingPrerequisite(f"{part.config} lacks {', '.join(missing)}", fix=AGAIN)
    length = sizes.TEXT_ENCODER["max_position_embeddings"]
    return {"max_position_embeddings": length} | {key: told[key] for key in TEXT if key in told}


def _made(make: Callable[[], Made], part: Part) -> Made:
    """What is made; a damaged tokenizer or config is named."""
    try:
        return make()
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise MissingPrerequisite(
            f"the tokenizer, or a config.json beside {part}, is damaged: {one_line(error)}",
            fix=AGAIN,
        ) from error
