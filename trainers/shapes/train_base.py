"""Stage 3 of the embedded world: Stage C on the compressor's latents and the text encoder's states.

Both are frozen, as the original's are, and encoded once. Timesteps and weights lean to high noise,
where geometry is decided; the original leans there by P2 weighting. Captions with two objects are
harder, so they are drawn more often than the data has them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trainers.shapes.renders import Renders, as_unit
from trainers.shapes.stage import StageConfig, run_stage
from trainers.stable_cascade.schedule import TIMESTEP_MIN, add_noise, alpha_sigma
from trainers.stable_cascade.stage_c import Base, Compressor, TextConditioning

CONFIG = StageConfig(
    seed=12, steps=14000, batch_size=64, lr=1e-3, weight_decay=0.01, warmup=300, decay=0.25,
    ema=0.9995,
)  # fmt: skip
CAPTION_DROPOUT = 0.1
TWO_OBJECTS = 0.5
"""Share of a batch whose captions have two objects."""
TIMESTEP_LOGIT_MEAN, TIMESTEP_LOGIT_STD = 0.4, 1.2
WEIGHT_MAX = 5.0
"""The noise error is weighted by 1 / alpha^2, as a velocity target would weigh it, up to this."""

ARCHITECTURE: dict[str, Any] = {
    "latent_side": 8,
    "stage_c": {
        "in_channels": 8,
        "out_channels": 8,
        "timestep_ratio_embedding_dim": 32,
        "patch_size": 2,
        "conditioning_dim": 96,
        "block_out_channels": (128, 128),
        "num_attention_heads": (4, 4),
        "down_num_layers_per_block": (2, 2),
        "up_num_layers_per_block": (2, 2),
        "down_blocks_repeat_mappers": (1, 1),
        "up_blocks_repeat_mappers": (1, 1),
        "clip_text_in_channels": 96,
        "clip_text_pooled_in_channels": 96,
        "clip_image_in_channels": 96,
        "clip_seq": 2,
        "dropout": (0.0, 0.0),
        "self_attn": True,
        "switch_level": (False,),
    },
    "text_encoder": {
        "hidden_size": 96,
        "intermediate_size": 192,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "projection_dim": 96,
        "max_position_embeddings": 20,
        "hidden_act": "gelu",
    },
}


def build_base(tokenizer_folder: Path, seed: int) -> Base:
    """A base with fresh weights, its text config completed from the tokenizer."""
    from transformers import CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(str(tokenizer_folder))
    text = ARCHITECTURE["text_encoder"] | {
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    torch.manual_seed(seed)
    return Base(ARCHITECTURE | {"text_encoder": text}, tokenizer_folder)


def train_base(
    base: Base,
    renders: Renders,
    *,
    work: Path,
    report: Callable[[str], None],
    device: str = "cpu",
    config: StageConfig = CONFIG,
) -> dict[str, float]:
    """Train Stage C in place; the compressor and the text encoder are already trained."""
    base.to(device).eval()  # no dropout anywhere; batch norm's statistics stay as they are
    for part in (base.compressor, base.previewer, base.text_encoder):
        part.requires_grad_(False)
    latents = encode_all(base.compressor, renders.images, device)
    captions = [*sorted(set(renders.captions)), ""]
    row_of = {caption: row for row, caption in enumerate(captions)}
    caption_rows = torch.tensor([row_of[caption] for caption in renders.captions])
    texts = [base.encode_text(captions[i : i + 1024]) for i in range(0, len(captions), 1024)]
    hidden = torch.cat([text.hidden for text in texts])
    pooled = torch.cat([text.pooled for text in texts])
    two = torch.tensor([len(scene.things) > 1 for scene in renders.scenes])
    pools = (two.logical_not().nonzero()[:, 0], two.nonzero()[:, 0])

    def loss_of(_step: int, generator: torch.Generator) -> Tensor:
        size = config.batch_size
        from_two = round(TWO_OBJECTS * size)
        rows = torch.cat(
            [
                pool[torch.randint(len(pool), (count,), generator=generator)]
                for pool, count in zip(pools, (size - from_two, from_two), strict=True)
            ]
        )
        dropped = torch.rand(size, generator=generator) < CAPTION_DROPOUT
        chosen = torch.where(dropped, len(captions) - 1, caption_rows[rows]).to(device)
        normal = torch.randn(size, generator=generator)
        timestep = torch.sigmoid(TIMESTEP_LOGIT_STD * normal + TIMESTEP_LOGIT_MEAN)
        timestep = timestep.clamp(TIMESTEP_MIN, 1).to(device)
        clean = latents[rows].to(device)
        noise = torch.randn(clean.shape, generator=generator).to(device)
        text = TextConditioning(hidden[chosen], pooled[chosen])
        predicted = base.predict_noise(add_noise(clean, noise, timestep), timestep, text)
        alpha, _ = alpha_sigma(timestep)
        weight = (1 / alpha.square()).clamp(max=WEIGHT_MAX)
        return (weight * (predicted - noise).square()).mean()

    return run_stage(
        "base",
        {"stage_c": base.unet},
        loss_of,
        config,
        state_file=work / "base.state.pt",
        report=report,
        device=device,
    )


@torch.no_grad()
def encode_all(compressor: Compressor, images: Tensor, device: str) -> Tensor:
    """Latents (N, C, H, W) of uint8 pictures (N, 3, 64, 64), on the CPU."""
    blocks = torch.split(images, 512)
    parts = [compressor.encode(as_unit(block.to(device))).cpu() for block in blocks]
    return torch.cat(parts)
