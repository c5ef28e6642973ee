"""Stage C with random weights, and pairs of random latents: what speed is measured on.

Speed and memory do not depend on what weights and latents say. Sizes, dtypes, shapes of latents and
captions, settings of the training: those of the published model and of `pickapic`'s configurations.
Elsewhere: what is measured (`train_stage_c.py`).
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import Tensor

from trainers.config import TrainConfig
from trainers.config_file import CONFIGS, load_config
from trainers.encoded.latents import LatentCache
from trainers.encoded.sharded_tensor import ShardedTensor
from trainers.examples import Labels, one_hot, table
from trainers.shapes.tokenizer import write_tokenizer
from trainers.stable_cascade import sizes
from trainers.stable_cascade.adapter_shape import AdapterShape
from trainers.stable_cascade.decoder import Decoder
from trainers.stable_cascade.stage_c import Base
from trainers.training.job import Job
from trainers.training.policy import Policy
from trainers.training.progress import Silence
from trainers.training.reference_cache import ReferenceCache, Visits
from trainers.training.steps import PreferenceStep

USERS = ("clip", "aesthetic", "hps")
PAIRS = 256
TINY = "tiny"
STAGE_A: dict[str, Any] = {"scale_factor": sizes.STAGE_A_SCALE}
"""Beside diffusers' defaults, which are the published sizes."""
_TINY_WIDTH = 64


def stage_c_of(size: str) -> dict[str, Any]:
    """Arguments of Stage C: a published size, or one for a dry run."""
    if size != TINY:
        return sizes.stage_c(cast(sizes.StageCSize, size))
    full = sizes.stage_c("3.6b")
    layers = {"down_num_layers_per_block": (1, 2), "up_num_layers_per_block": (2, 1)}
    widths = {"conditioning_dim": _TINY_WIDTH, "block_out_channels": (_TINY_WIDTH, _TINY_WIDTH)}
    text = {"clip_text_in_channels": 16, "clip_text_pooled_in_channels": 16}
    return {**full, **layers, **widths, **text, "num_attention_heads": (1, 1)}


def stage_b_of(size: str) -> dict[str, Any]:
    """Arguments of the Stage B that goes with it."""
    if size != TINY:
        return sizes.stage_b("3b" if size == "3.6b" else "700m")
    return {
        **sizes.stage_b("3b"),
        "conditioning_dim": _TINY_WIDTH,
        "clip_text_pooled_in_channels": 16,
        "block_out_channels": (16, _TINY_WIDTH),
        "num_attention_heads": (-1, 1),
        "down_num_layers_per_block": (1, 1),
        "up_num_layers_per_block": (1, 1),
        "down_blocks_repeat_mappers": (1, 1),
        "up_blocks_repeat_mappers": (1, 1),
        "block_types_per_layer": (sizes.CONVOLVED, sizes.ATTENDING),
        "dropout": (0.0, 0.1),
    }


def captions_tokens(size: str) -> int:
    """Tokens of a caption."""
    return 8 if size == TINY else int(sizes.TEXT_ENCODER["max_position_embeddings"])


def random_base(size: str, device: str) -> Base:
    """A base whose Stage C has random weights in bfloat16; its other parts are tiny, and unused."""
    text = {
        "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
        "num_attention_heads": 1, "projection_dim": 16, "max_position_embeddings": 8,
    }  # fmt: skip
    side = 4 if size == TINY else sizes.LATENT_SIDE
    config = {"latent_side": side, "stage_c": stage_c_of(size), "text_encoder": text}
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as name:
        write_tokenizer([""], Path(name), context_length=8)
        with torch.device(device):
            base = Base(config, Path(name))
    base.unet.to(torch.bfloat16)
    return base.eval().requires_grad_(False)


def random_decoder(size: str, device: str) -> Decoder:
    """Stage B in bfloat16 and Stage A in float32, with random weights."""
    torch.manual_seed(1)
    with torch.device(device):
        decoder = Decoder(stage_b_of(size), STAGE_A)
    decoder.stage_b.to(torch.bfloat16)
    return decoder.eval().requires_grad_(False)


class _Rows:
    """A tensor on the host that gives rows as a `ShardedTensor` does."""

    def __init__(self, tensor: Tensor) -> None:
        self._tensor = tensor

    def rows(self, indices: NDArray[np.int64]) -> Tensor:
        return self._tensor[torch.from_numpy(indices)]


def random_pairs(base: Base, size: str) -> LatentCache:
    """Encoded pairs of random numbers, each with a caption of its own."""
    stage_c, tokens = base.config["stage_c"], captions_tokens(size)
    generator = torch.Generator().manual_seed(0)

    def rows(*shape: int) -> ShardedTensor:
        return cast(ShardedTensor, _Rows(torch.randn(shape, generator=generator)))

    return LatentCache(
        folder=Path(),
        pairs_sha256="",
        limit=None,
        captions=[f"caption {number}" for number in range(PAIRS)],
        label_margin=np.where(np.arange(PAIRS) % 2, 1.0, -1.0),
        caption=np.arange(PAIRS),
        image_0=rows(PAIRS, *base.latent_shape),
        image_1=rows(PAIRS, *base.latent_shape),
        hidden=rows(PAIRS + 1, tokens, stage_c["clip_text_in_channels"]),
        pooled=rows(PAIRS + 1, 1, stage_c["clip_text_pooled_in_channels"]),
    )


def settings(micro: int, batch: int, *overrides: str) -> TrainConfig:
    """PPD's own configuration at paper scale, with these batch sizes."""
    sizes_of_batch = [f"micro_batch={micro}", f"batch_size={batch}", "adapter.user_dim=3"]
    path = CONFIGS / "pickapic" / "ppd.yaml"
    return load_config(path, ["compile=false", *sizes_of_batch, *overrides])


def shape_of(config: TrainConfig) -> AdapterShape:
    """The adapter of a configuration."""
    tokens, width = config.adapter.tokens, config.adapter.token_dim
    return AdapterShape(user_dim=len(USERS), tokens=tokens, token_dim=width)


def make_job(size: str, device: str, config: TrainConfig, folder: Path, *, cached: bool) -> Job:
    """A training of PPD as the command makes it, on random weights and pairs.

    With `cached` all that the base would say of the pairs is known.
    """
    base = random_base(size, device)
    cache = random_pairs(base, size)
    labels = [Labels(name, cache.label_margin, one_hot(USERS, name, len(USERS))) for name in USERS]
    references = None
    if cached:
        references = ReferenceCache(folder, {}, PAIRS, main=True, events=Silence())
        pairs = np.arange(PAIRS)
        for visit in range(2):
            errors = np.random.default_rng(visit).uniform(0.5, 1.5, (PAIRS, 2)).astype(np.float32)
            visits = Visits(pairs, np.full(PAIRS, visit), np.zeros(PAIRS, np.int64))
            references.learn(visits, errors)
    return Job(
        config=config,
        policy=Policy(base, shape_of(config), seed=0),
        cache=cache,
        examples=table(labels),
        step=PreferenceStep(config.objective, int(np.prod(base.latent_shape))),
        output=folder,
        accelerator=Accelerator(cpu=device == "cpu", mixed_precision="bf16"),
        events=Silence(),
        identity={},
        references=references,
    )
