"""Stage B and Stage A: Stage C's latents to full pictures, 24 x 24 to 1024 x 1024.

Stage B is a second diffusion model, conditioned on Stage C's latents and the caption's pooled
embedding; Stage A decodes what it draws. Guidance goes from no latents and the empty caption, as
in the original's sampling (10 steps, guidance 1.1, no shift); steps are our sampler's,
deterministic, where the original's and diffusers' draw noise at each.

Elsewhere: quick looks (`full_previewer.py`), the sampler (`sampler.py`).
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from ppdbench.errors import MissingPrerequisite
from trainers.stable_cascade.sampler import SamplerConfig, sample
from trainers.stable_cascade.schedule import network_time

DECODING = SamplerConfig(steps=10, guidance_scale=1.1)
SCALE = 10.67
"""Side of Stage B's latents over that of Stage C's (diffusers' `latent_dim_scale`): 256 of 24."""
TOGETHER = 8
"""Pictures a walk of Stage B, at most; Stage A decodes them one by one."""


class Decoder(nn.Module):
    """Stage B and Stage A, always in eval mode."""

    def __init__(self, stage_b: dict[str, Any], stage_a: dict[str, Any]) -> None:
        """`stage_b`, `stage_a`: arguments of `StableCascadeUNet` and of `PaellaVQModel`."""
        super().__init__()
        from trainers.stable_cascade.unet import CascadeUNet

        self.stage_b: Any = CascadeUNet(**stage_b)
        self.stage_a: Any = paella()(**stage_a)

    def side(self, latents: Tensor) -> int:
        """Side of Stage B's latents for Stage C's (B, C, H, H)."""
        return int(latents.shape[-1] * SCALE)

    @torch.no_grad()
    def decode(
        self,
        latents: Tensor,
        pooled: Tensor,
        seeds: Sequence[int],
        config: SamplerConfig = DECODING,
    ) -> Tensor:
        """Pictures (B, 3, H, W) in [0, 1], each from its own seed whatever its batch.

        Args:
            latents: of Stage C, (B, C, h, w).
            pooled: of the captions, then as often of the empty one, (2 B, 1, c).
            seeds: the pictures'; Stage B's noise is another function of them than Stage C's.
            config: how Stage B is sampled.
        """
        parts = []
        captions, empty = pooled.chunk(2)
        for start in range(0, len(latents), TOGETHER):
            some = slice(start, start + TOGETHER)
            noise = self.noise(latents[some], seeds[some])
            text = torch.cat([captions[some], empty[some]])
            codes = self.codes(latents[some], text, noise, config)
            parts += [self.picture(code[None]) for code in codes]
        return torch.cat(parts)

    def noise(self, latents: Tensor, seeds: Sequence[int]) -> Tensor:
        """What Stage B starts from, (B, 4, H, H), drawn on the CPU from the pictures' seeds."""
        side = self.side(latents)
        shape = (self.stage_b.config.in_channels, side, side)
        return torch.stack(
            [
                torch.randn(shape, generator=torch.Generator().manual_seed(second_seed(seed)))
                for seed in seeds
            ]
        ).to(latents.device)

    def codes(
        self, latents: Tensor, pooled: Tensor, noise: Tensor, config: SamplerConfig
    ) -> Tensor:
        """Stage A's latents (B, 4, H, W) drawn from noise of that shape; else as `decode`."""
        weight = self.stage_b.clip_txt_pooled_mapper.weight
        count, guidance = len(latents), config.guidance_scale != 1
        # Rows of the empty caption come last and see no latents.
        seen = torch.cat([latents, torch.zeros_like(latents)]).to(weight.dtype)
        pooled = pooled.to(weight.dtype)
        rows = slice(0, 2 * count if guidance else count)

        def predict(codes: Tensor, timestep: Tensor) -> tuple[Tensor, Tensor]:
            if guidance:
                codes, timestep = codes.repeat(2, 1, 1, 1), timestep.repeat(2)
            noise = self.stage_b(
                codes.to(weight.dtype),
                timestep_ratio=network_time(timestep),
                clip_text_pooled=pooled[rows],
                effnet=seen[rows],
            ).sample.to(codes.dtype)
            conditional, unconditional = noise.chunk(2) if guidance else (noise, noise)
            return conditional, unconditional

        return sample(predict, noise, config)

    def picture(self, codes: Tensor) -> Tensor:
        """Pictures (B, 3, 4 H, 4 W) in [0, 1] of Stage A's latents (B, 4, H, W)."""
        scaled = codes.float() * self.stage_a.config.scale_factor
        return cast(Tensor, self.stage_a.decode(scaled).sample).clamp(0, 1)


def second_seed(seed: int) -> int:
    """The seed of a picture's noise in Stage B."""
    digest = hashlib.sha256(f"stage-b/{seed}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def paella() -> Any:
    """Diffusers' class of Stage A, which moved when its pipelines were deprecated.

    Raises:
        MissingPrerequisite: the diffusers that is installed has none.
    """
    for place in ("deprecated.wuerstchen", "wuerstchen"):
        name = f"diffusers.pipelines.{place}.modeling_paella_vq_model"
        try:
            return importlib.import_module(name).PaellaVQModel
        except ModuleNotFoundError as error:
            if error.name is None or not name.startswith(error.name):
                raise  # installed but broken: its own traceback is the useful one
    raise MissingPrerequisite(
        "this diffusers has no PaellaVQModel, the class of Stage A",
        fix='pip install "diffusers==0.42.*"',
    )
