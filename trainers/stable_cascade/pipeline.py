"""Captions and seeds to pictures: one batch through text encoder, sampler and decoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from trainers.stable_cascade.sampler import NoisePredictor, SamplerConfig, sample
from trainers.stable_cascade.stage_c import Base, TextConditioning

if TYPE_CHECKING:
    from PIL.Image import Image

Audience = Callable[[int], AbstractContextManager[object]]


def initial_noise(seeds: Sequence[int], shape: tuple[int, int, int]) -> Tensor:
    """Noise (B, C, H, W), each picture's from its own seed: batches cannot change a picture.

    Always drawn on the CPU, so that every device starts from the same numbers.
    """
    return torch.stack(
        [torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    )


@torch.no_grad()
def draw(
    base: Base,
    captions: Sequence[str],
    seeds: Sequence[int],
    config: SamplerConfig,
    *,
    user: Audience | None = None,
) -> Tensor:
    """Pictures (B, 3, H, W) in [0, 1] of captions with seeds; `user` as for `noise_predictor`."""
    noise = initial_noise(seeds, base.latent_shape).to(base.device)
    text = captioned(base, captions)
    predict = noise_predictor(base, text, config, user=user)
    return base.pictures(sample(predict, noise, config), text, seeds)


def captioned(base: Base, captions: Sequence[str]) -> TextConditioning:
    """Conditioning of 2 B rows: captions, then as often the empty one that guidance starts from."""
    count = len(captions)
    text = base.encode_text([*captions, ""])
    empty = text[slice(count, count + 1)]
    return TextConditioning(
        torch.cat([text.hidden[:count], empty.hidden.expand(count, -1, -1)]),
        torch.cat([text.pooled[:count], empty.pooled.expand(count, -1, -1)]),
    )


def noise_predictor(
    base: Base, text: TextConditioning, config: SamplerConfig, *, user: Audience | None = None
) -> NoisePredictor:
    """What the sampler asks for noise, of B pictures.

    Args:
        base: the model.
        text: 2 B rows, as `captioned` gives them.
        config: says whether there is guidance.
        user: `user(rows)` is entered around each forward; its argument tells how many rows at the
            end of the batch are unconditional (empty caption) and belong to the null user. None
            is the base alone.
    """
    count = len(text.hidden) // 2
    guidance = config.guidance_scale != 1

    def predict(latents: Tensor, timestep: Tensor) -> tuple[Tensor, Tensor]:
        context = user(count if guidance else 0) if user else nullcontext()
        with context:
            if not guidance:
                noise = base.predict_noise(latents, timestep, text[slice(0, count)])
                return noise, noise
            conditional, unconditional = base.predict_noise(
                latents.repeat(2, 1, 1, 1), timestep.repeat(2), text
            ).chunk(2)
            return conditional, unconditional

    return predict


def to_images(pictures: Tensor) -> list[Image]:
    """RGB images of pictures (B, 3, H, W) in [0, 1]."""
    from PIL import Image as PilImage

    pixels = (pictures.permute(0, 2, 3, 1) * 255).round().to(torch.uint8).cpu().numpy()
    return [PilImage.fromarray(np.ascontiguousarray(picture)) for picture in pixels]
