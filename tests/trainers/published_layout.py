"""Stable Cascade's published layouts on disk, tiny: real classes, files and keys, random weights.

`write_hub` lays out folders as the hub's two repositories have them, `write_original` the
original's single files, both with the same numbers. Only widths and depths are small;
EfficientNetV2-S is itself. Latents are 3 x 3 with `sizes.LATENT_SIDE` patched to `SIDE`.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers.models.unets.unet_stable_cascade import StableCascadeUNet
from safetensors.torch import save_file
from tiny_cascade import CAPTIONS
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModelWithProjection

from trainers.shapes.tokenizer import write_tokenizer
from trainers.stable_cascade.decoder import paella
from trainers.stable_cascade.efficientnet_compressor import EfficientNetCompressor
from trainers.stable_cascade.full_previewer import FullPreviewer

SIDE = 3
"""Of Stage C's latents: pictures of 96 px in, of 128 px out."""
PIXELS = 128
CONVOLVED = ("SDCascadeResBlock", "SDCascadeTimestepBlock")
ATTENDING = (*CONVOLVED, "SDCascadeAttnBlock")
STAGE_C: dict[str, Any] = {
    "in_channels": 4,
    "out_channels": 4,
    "timestep_ratio_embedding_dim": 16,
    "patch_size": 1,
    "conditioning_dim": 64,
    "block_out_channels": (64, 64),
    "num_attention_heads": (1, 1),
    "down_num_layers_per_block": (1, 2),
    "up_num_layers_per_block": (2, 1),
    "down_blocks_repeat_mappers": (1, 1),
    "up_blocks_repeat_mappers": (1, 1),
    "block_types_per_layer": (ATTENDING, ATTENDING),
    "clip_text_in_channels": 16,
    "clip_text_pooled_in_channels": 16,
    "clip_image_in_channels": 8,
    "clip_seq": 2,
    "kernel_size": 3,
    "dropout": (0.1, 0.1),
    "self_attn": True,
    "timestep_conditioning_type": ("sca", "crp"),
    "switch_level": (False,),
}
STAGE_B: dict[str, Any] = {
    "in_channels": 4,
    "out_channels": 4,
    "timestep_ratio_embedding_dim": 16,
    "patch_size": 2,
    "conditioning_dim": 64,
    "block_out_channels": (16, 64),
    "num_attention_heads": (-1, 1),
    "down_num_layers_per_block": (1, 2),
    "up_num_layers_per_block": (2, 1),
    "down_blocks_repeat_mappers": (1, 1),
    "up_blocks_repeat_mappers": (3, 2),
    "block_types_per_layer": (CONVOLVED, ATTENDING),
    "clip_text_pooled_in_channels": 16,
    "clip_seq": 2,
    "effnet_in_channels": 4,
    "pixel_mapper_in_channels": 3,
    "kernel_size": 3,
    "dropout": (0.0, 0.1),
    "self_attn": True,
    "timestep_conditioning_type": ("sca",),
}
STAGE_A: dict[str, Any] = {
    "bottleneck_blocks": 1,
    "embed_dim": 16,
    "num_vq_embeddings": 32,
    "scale_factor": 0.43,
}
LENGTH = 8


def parts(seed: int = 0) -> dict[str, Any]:
    """Every part, with random weights; norms that start as nothing are given something to do."""
    torch.manual_seed(seed)
    ends = 512 + _merges()
    text = CLIPTextConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        projection_dim=16,
        max_position_embeddings=LENGTH,
        vocab_size=ends + 2,
        bos_token_id=ends,
        eos_token_id=ends + 1,
        pad_token_id=ends + 1,
    )
    made: dict[str, Any] = {
        "prior": StableCascadeUNet(**STAGE_C),
        "decoder": StableCascadeUNet(**STAGE_B),
        "vqgan": paella()(**STAGE_A),
        "text_encoder": CLIPTextModelWithProjection(text),
        "effnet_encoder": EfficientNetCompressor(4),
        "previewer": FullPreviewer(4, 16),
    }
    with torch.no_grad():
        for part in made.values():
            for name, tensor in part.named_parameters():
                if name.rpartition(".")[2] in ("gamma", "beta", "gammas"):
                    tensor.normal_(std=0.1)
        last: Any = made["vqgan"].get_submodule("out_block.0")
        last.weight.mul_(0.02)  # greys, not black and white
        last.bias.fill_(0.5)
    _learn_statistics(made["effnet_encoder"], torch.rand(8, 3, 32 * SIDE, 32 * SIDE))
    _learn_statistics(made["previewer"], torch.randn(8, 4, SIDE, SIDE))
    return {name: part.eval() for name, part in made.items()}


@torch.no_grad()
def _learn_statistics(part: nn.Module, inputs: Tensor) -> None:
    """Batch norms know what they see: else, nothing of a picture gets through."""
    for module in part.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the mean over all batches, here of one
    part.train()
    part(inputs)


def write_hub(folder: Path, *, variant: str = "", seed: int = 0) -> Path:
    """`stable-cascade-prior/` and `stable-cascade/` under a folder, as the hub has them."""
    made = parts(seed)
    prior, cascade = folder / "stable-cascade-prior", folder / "stable-cascade"
    write_tokenizer([*CAPTIONS, ""], prior / "tokenizer", context_length=LENGTH)
    for name, root in (("prior", prior), ("decoder", cascade), ("vqgan", cascade)):
        made[name].save_config(root / name)
        save(made[name], root / name / f"diffusion_pytorch_model{variant}.safetensors")
    text = made["text_encoder"]
    (prior / "text_encoder").mkdir()
    (prior / "text_encoder" / "config.json").write_text(text.config.to_json_string())
    save(text, prior / "text_encoder" / f"model{variant}.safetensors")
    (prior / "model_index.json").write_text("{}")
    for name in ("effnet_encoder", "previewer"):
        save(made[name], cascade / f"{name}.safetensors")
    return folder


def write_original(folder: Path, hub: Path) -> Path:
    """The original's files with the numbers of a hub's, beside its text encoder and tokenizer."""
    folder.mkdir(parents=True)
    for name in ("text_encoder", "tokenizer"):
        shutil.copytree(hub / "stable-cascade-prior" / name, folder / name)
    for name in ("effnet_encoder", "previewer"):
        file = f"{name}.safetensors"
        os.link(hub / "stable-cascade" / file, folder / file)
    made = parts()
    for stage, name in (("stage_c", "stage_c_bf16"), ("stage_b", "stage_b_bf16")):
        save_tensors(original_tensors(stage, made), folder / f"{name}.safetensors")
    save_tensors(original_tensors("stage_a", made), folder / "stage_a.safetensors")
    return folder


def original_tensors(stage: str, made: Mapping[str, nn.Module] | None = None) -> dict[str, Tensor]:
    """A stage's tensors by the original's names."""
    part = {"stage_c": "prior", "stage_b": "decoder", "stage_a": "vqgan"}[stage]
    tensors: dict[str, Tensor] = dict((made or parts())[part].state_dict())
    if stage == "stage_a":
        tensors["vquantizer.codebook.weight"] = tensors.pop("vquantizer.embedding.weight")
        return tensors
    return original_unet(tensors, clip="clip_mapper" if stage == "stage_b" else None)


def original_unet(tensors: Mapping[str, Tensor], *, clip: str | None = None) -> dict[str, Tensor]:
    """diffusers' tensors as torch's own `MultiheadAttention`, which the original uses, has them.

    `clip` is what the original calls the mapper of pooled text, where it is not diffusers' name.
    """
    given = dict(tensors)
    for name in [name for name in given if ".to_q." in name]:
        kind = name.rpartition(".")[2]
        joined = [given.pop(name.replace("to_q", each)) for each in ("to_q", "to_k", "to_v")]
        given[name.replace(f"to_q.{kind}", f"attn.in_proj_{kind}")] = torch.cat(joined)
    mapper = "clip_txt_pooled_mapper"
    return {
        name.replace("to_out.0", "attn.out_proj").replace(mapper, clip or mapper): given[name]
        for name in given
    }


def save(part: nn.Module, file: Path) -> None:
    save_tensors(part.state_dict(), file)


def save_tensors(tensors: Mapping[str, Tensor], file: Path) -> None:
    """In bfloat16, as published; the compressor too, to spare the disk."""
    save_file(
        {
            key: (value.bfloat16() if value.is_floating_point() else value).contiguous()
            for key, value in tensors.items()
        },
        file,
    )


def shard(file: Path) -> None:
    """Two files and an index in the place of one, as diffusers cuts large ones."""
    from safetensors.torch import load_file

    tensors = load_file(file)
    names = sorted(tensors)
    stem, variant = file.name.removesuffix(".safetensors").partition(".")[::2]
    where: dict[str, str] = {}
    for number, some in enumerate((names[::2], names[1::2]), start=1):
        name = f"{stem}-{number:05}-of-00002{'.' if variant else ''}{variant}.safetensors"
        save_file({key: tensors[key] for key in some}, file.parent / name)
        where |= dict.fromkeys(some, name)
    index = f"{stem}.safetensors.index{'.' if variant else ''}{variant}.json"
    (file.parent / index).write_text(json.dumps({"weight_map": where}))
    file.unlink()


def _merges() -> int:
    from trainers.shapes.tokenizer import build_merges

    return len(build_merges([*CAPTIONS, ""]))
