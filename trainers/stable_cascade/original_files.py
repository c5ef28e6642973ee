"""The original's single files, `stage_c*.safetensors` and its siblings, for diffusers' classes.

They hold tensors alone: keys are renamed, and the sizes of the model are read from the tensors'
shapes, so that whatever was trained with the original code loads, not two sizes only. What shapes
cannot tell is the original's own: heads of 64 channels, dropout, which the base never uses.

Elsewhere: finding files (`published.py`), reading them (`weights.py`), the sizes (`sizes.py`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from trainers.stable_cascade.sizes import ATTENDING, CONVOLVED, HEAD, STAGE_A_SCALE

Shapes = Mapping[str, tuple[int, ...]]
"""Tensors by name, by their shapes alone."""
QUERY = "attention.to_q.weight"


def unet_tensors(original: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of Stage C or B by diffusers' names: attention's one projection becomes three."""
    from diffusers.loaders import single_file_utils

    convert: Any = single_file_utils.convert_stable_cascade_unet_single_file_to_diffusers
    renamed: dict[str, Tensor] = convert(original)
    return renamed


def stage_a_tensors(original: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of Stage A by diffusers' names: its codebook is called otherwise."""
    names = {"vquantizer.codebook.weight": "vquantizer.embedding.weight"}
    return {names.get(name, name): tensor for name, tensor in original.items()}


def stage_c_sizes(shapes: Shapes) -> dict[str, Any]:
    """Arguments of Stage C for tensors of these shapes, by diffusers' names.

    Raises:
        KeyError: a tensor that tells a size is not there.
    """
    width = shapes["clip_txt_mapper.weight"][0]
    image = shapes["clip_img_mapper.weight"]
    return {
        "in_channels": shapes["embedding.1.weight"][1],
        "out_channels": shapes["clf.1.weight"][0],
        "patch_size": 1,
        "clip_text_in_channels": shapes["clip_txt_mapper.weight"][1],
        "clip_image_in_channels": image[1],
        "timestep_conditioning_type": ("sca", "crp"),
        "switch_level": (False,),
        "dropout": (0.1,) * len(_levels(shapes, "down_blocks")),
        **_common(shapes, width),
    }


def stage_b_sizes(shapes: Shapes) -> dict[str, Any]:
    """Arguments of Stage B for tensors of these shapes, by diffusers' names.

    Raises:
        KeyError: a tensor that tells a size is not there.
    """
    patch = 2
    keys = _key_inputs(shapes)
    return {
        "in_channels": shapes["embedding.1.weight"][1] // patch**2,
        "out_channels": shapes["clf.1.weight"][0] // patch**2,
        "patch_size": patch,
        "effnet_in_channels": shapes["effnet_mapper.0.weight"][1],
        "pixel_mapper_in_channels": shapes["pixels_mapper.0.weight"][1],
        "timestep_conditioning_type": ("sca",),
        "dropout": tuple(0.1 if attends else 0.0 for attends in _attending(shapes, "down_blocks")),
        **_common(shapes, keys),
    }


def stage_a_sizes(shapes: Shapes) -> dict[str, Any]:
    """Arguments of Stage A, `PaellaVQModel`, for tensors of these shapes, by diffusers' names.

    Raises:
        KeyError: a tensor that tells a size is not there.
    """
    last = max(
        (int(key.split(".")[1]) for key in shapes if key.startswith("up_blocks.")), default=0
    )
    return {
        "embed_dim": shapes["up_blocks.0.0.weight"][0],
        "latent_channels": shapes["up_blocks.0.0.weight"][1],
        "num_vq_embeddings": shapes["vquantizer.embedding.weight"][0],
        "bottleneck_blocks": last - 2,  # before the second level's transposed convolution and block
        "scale_factor": STAGE_A_SCALE,
    }


def _common(shapes: Shapes, conditioning: int) -> dict[str, Any]:
    """What both stages' shapes tell in the same way."""
    down, up = _levels(shapes, "down_blocks"), _levels(shapes, "up_blocks")
    widths = tuple(
        shapes[f"down_blocks.{level}.0.channelwise.4.weight"][0] for level in range(len(down))
    )
    attends = _attending(shapes, "down_blocks")
    blocks = [len(ATTENDING) if each else len(CONVOLVED) for each in attends]
    return {
        "timestep_ratio_embedding_dim": shapes["down_blocks.0.1.mapper.weight"][1],
        "conditioning_dim": conditioning,
        "block_out_channels": widths,
        "num_attention_heads": tuple(
            width // HEAD if each else -1 for width, each in zip(widths, attends, strict=True)
        ),
        "down_num_layers_per_block": tuple(
            count // each for count, each in zip(down, blocks, strict=True)
        ),
        "up_num_layers_per_block": tuple(
            count // each for count, each in zip(up, blocks[::-1], strict=True)
        ),
        "down_blocks_repeat_mappers": _repeats(shapes, "down_repeat_mappers", len(down)),
        "up_blocks_repeat_mappers": _repeats(shapes, "up_repeat_mappers", len(up)),
        "block_types_per_layer": tuple(ATTENDING if each else CONVOLVED for each in attends),
        "clip_text_pooled_in_channels": shapes["clip_txt_pooled_mapper.weight"][1],
        "clip_seq": shapes["clip_txt_pooled_mapper.weight"][0] // conditioning,
        "kernel_size": shapes["down_blocks.0.0.depthwise.weight"][-1],
        "self_attn": True,
    }


def _levels(shapes: Shapes, name: str) -> list[int]:
    """How many blocks each level has."""
    found = {
        (int(match[1]), int(match[2]))
        for key in shapes
        if (match := re.match(rf"{name}\.(\d+)\.(\d+)\.", key))
    }
    return [
        sum(level == one for level, _ in found) for one in range(len({one for one, _ in found}))
    ]


def _attending(shapes: Shapes, name: str) -> list[bool]:
    """Whether each level's layers end with attention."""
    return [f"{name}.{level}.2.{QUERY}" in shapes for level in range(len(_levels(shapes, name)))]


def _repeats(shapes: Shapes, name: str, levels: int) -> tuple[int, ...]:
    """How often each level is walked: one more than it has convolutions between."""
    return tuple(
        1 + sum(key.startswith(f"{name}.{level}.") and key.endswith(".weight") for key in shapes)
        for level in range(levels)
    )


def _key_inputs(shapes: Shapes) -> int:
    """Channels that attention's keys of the caption are made from."""
    for key, shape in shapes.items():
        if key.endswith("kv_mapper.1.weight"):
            return shape[1]
    raise KeyError("kv_mapper.1.weight")
