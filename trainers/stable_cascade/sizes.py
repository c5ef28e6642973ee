"""The published sizes of Stable Cascade, as arguments of the classes that hold their weights.

Stage C and B: Stability-AI/StableCascade `train/train_c.py`, `train/train_b.py` and the defaults of
`modules/stage_c.py`, `modules/stage_b.py`, in the words of diffusers' `StableCascadeUNet`. The text
encoder: CLIP ViT-bigG/14 (laion/CLIP-ViT-bigG-14-laion2B-39B-b160k). Elsewhere: the sizes that a
file of weights itself tells (`original_files.py`).
"""

from __future__ import annotations

from typing import Any, Literal

StageCSize = Literal["3.6b", "1b"]
StageBSize = Literal["3b", "700m"]
HEAD = 64
"""Channels of an attention head, at every size."""
LATENT_SIDE = 24
"""Of Stage C's latents, for a picture of 1024 x 1024: a factor of 42.67."""
COMPRESSED = 32
"""Pixels a side of a latent, as the semantic compressor makes them: 24 from 768."""
CONVOLVED = ("SDCascadeResBlock", "SDCascadeTimestepBlock")
ATTENDING = (*CONVOLVED, "SDCascadeAttnBlock")

_STAGE_C: dict[StageCSize, tuple[int, tuple[int, int]]] = {
    "3.6b": (2048, (8, 24)),
    "1b": (1536, (4, 12)),
}
_STAGE_B: dict[StageBSize, dict[str, Any]] = {
    "3b": {
        "block_out_channels": (320, 640, 1280, 1280),
        "num_attention_heads": (-1, -1, 20, 20),
        "down_num_layers_per_block": (2, 6, 28, 6),
        "up_num_layers_per_block": (6, 28, 6, 2),
        "up_blocks_repeat_mappers": (3, 3, 2, 2),
    },
    "700m": {
        "block_out_channels": (320, 576, 1152, 1152),
        "num_attention_heads": (-1, -1, 18, 18),
        "down_num_layers_per_block": (2, 4, 14, 4),
        "up_num_layers_per_block": (4, 14, 4, 2),
        "up_blocks_repeat_mappers": (2, 2, 2, 2),
    },
}
TEXT_ENCODER: dict[str, Any] = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "projection_dim": 1280,
    "max_position_embeddings": 77,
    "hidden_act": "gelu",
    "vocab_size": 49408,
    "bos_token_id": 49406,
    "eos_token_id": 49407,
    "pad_token_id": 49407,
}
STAGE_A_SCALE = 0.43
"""Stage A's latents over those that Stage B draws (`modules/stage_a.py`). diffusers' class has
0.3764 by default, an older model's; a config.json says its own."""


def stage_c(size: StageCSize) -> dict[str, Any]:
    """Arguments of Stage C of a published size."""
    width, layers = _STAGE_C[size]
    return {
        "in_channels": 16,
        "out_channels": 16,
        "timestep_ratio_embedding_dim": 64,
        "patch_size": 1,
        "conditioning_dim": width,
        "block_out_channels": (width, width),
        "num_attention_heads": (width // HEAD, width // HEAD),
        "down_num_layers_per_block": layers,
        "up_num_layers_per_block": layers[::-1],
        "down_blocks_repeat_mappers": (1, 1),
        "up_blocks_repeat_mappers": (1, 1),
        "block_types_per_layer": (ATTENDING, ATTENDING),
        "clip_text_in_channels": 1280,
        "clip_text_pooled_in_channels": 1280,
        "clip_image_in_channels": 768,
        "clip_seq": 4,
        "kernel_size": 3,
        "dropout": (0.1, 0.1),
        "self_attn": True,
        "timestep_conditioning_type": ("sca", "crp"),
        "switch_level": (False,),
    }


def stage_b(size: StageBSize) -> dict[str, Any]:
    """Arguments of Stage B of a published size."""
    return {
        "in_channels": 4,
        "out_channels": 4,
        "timestep_ratio_embedding_dim": 64,
        "patch_size": 2,
        "conditioning_dim": 1280,
        "down_blocks_repeat_mappers": (1, 1, 1, 1),
        "clip_text_pooled_in_channels": 1280,
        "clip_seq": 4,
        "block_types_per_layer": (CONVOLVED, CONVOLVED, ATTENDING, ATTENDING),
        "effnet_in_channels": 16,
        "pixel_mapper_in_channels": 3,
        "kernel_size": 3,
        "dropout": (0.0, 0.0, 0.1, 0.1),
        "self_attn": True,
        "timestep_conditioning_type": ("sca",),
        **_STAGE_B[size],
    }
