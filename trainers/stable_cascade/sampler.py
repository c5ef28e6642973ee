"""Deterministic sampling from Stage C: DDIM steps with guidance, shift, rescale and x0 clipping.

DDIM (arXiv 2010.02502, eta = 0); classifier-free guidance (arXiv 2207.12598); rescale of the
guided prediction to the conditional one's scale (arXiv 2305.08891, Eq. 15-16). No global random
state: the caller brings the initial noise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from ppdbench.protocols import SamplingSpec
from trainers.stable_cascade.schedule import TIMESTEP_MIN, alpha_sigma, shifted

NoisePredictor = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""(x_t (B, C, H, W), t (B,)) -> conditional and unconditional noise, each (B, C, H, W)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplerConfig:
    """All that changes a picture beside model, caption, user and seed; recorded with it."""

    steps: int
    guidance_scale: float
    shift: float = 1.0
    rescale: float = 0.0
    clip_x0: float | None = None
    """The predicted x0 is clipped to +-this. Early steps divide by alpha = 0.01, so that a small
    error in the predicted noise becomes a huge x0; the data's own range mends it."""

    @classmethod
    def of(cls, sampling: SamplingSpec) -> SamplerConfig:
        """The settings as a suite has them."""
        return cls(
            steps=sampling.steps,
            guidance_scale=sampling.guidance_scale,
            shift=sampling.shift,
            rescale=sampling.rescale,
            clip_x0=sampling.clip_x0,
        )


ORIGINAL = SamplerConfig(steps=20, guidance_scale=4.0, shift=2.0, rescale=0.7)
"""How the original code's text-to-image notebook samples Stage C, but for its noise at each step;
PPD takes 30 steps, and so does the suite that has its setting."""


def timesteps(config: SamplerConfig) -> Tensor:
    """The steps + 1 times walked, from 1 (noise) down, (steps + 1,) in float64."""
    even = torch.linspace(1, TIMESTEP_MIN, config.steps + 1, dtype=torch.float64)
    return shifted(even, config.shift)


def guided(conditional: Tensor, unconditional: Tensor, config: SamplerConfig) -> Tensor:
    """Classifier-free guidance: u + g (c - u), rescaled towards c's standard deviation."""
    noise = torch.lerp(unconditional, conditional, config.guidance_scale)
    if config.rescale:
        axes = (1, 2, 3)
        ratio = conditional.std(axes, keepdim=True) / noise.std(axes, keepdim=True)
        noise = config.rescale * (noise * ratio) + (1 - config.rescale) * noise
    return noise


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a walk: where it starts, and the clean latents that it aims at."""

    latents: Tensor
    """x_t (B, C, H, W)."""
    now: Tensor
    """t (B,)."""
    then: Tensor
    """(B,), the time that it goes to."""
    x0: Tensor
    """(B, C, H, W) predicted from x_t, as the step uses it: guided and clipped."""


def predicted_x0(
    predict: NoisePredictor, latents: Tensor, timestep: Tensor, config: SamplerConfig
) -> tuple[Tensor, Tensor]:
    """The x0 that a step at x_t (B, C, H, W), t (B,) aims at, and the noise that goes with it."""
    predicted = guided(*predict(latents, timestep), config)
    alpha, sigma = alpha_sigma(timestep)
    x0 = (latents - sigma * predicted) / alpha
    if config.clip_x0 is not None:
        x0 = x0.clamp(-config.clip_x0, config.clip_x0)
        # The noise that goes with the clipped x0, so that x_t stays where it is.
        predicted = (latents - alpha * x0) / sigma
    return x0, predicted


def walk(predict: NoisePredictor, noise: Tensor, config: SamplerConfig) -> Iterator[Step]:
    """The steps from noise (B, C, H, W) to latents, which are the last step's x0."""
    times = timesteps(config).float().to(noise.device)
    latents = noise
    for now, then in pairwise(times.unbind()):
        at, to = now.expand(len(noise)), then.expand(len(noise))
        x0, predicted = predicted_x0(predict, latents, at, config)
        yield Step(latents, at, to, x0)
        alpha, sigma = alpha_sigma(to)
        latents = alpha * x0 + sigma * predicted


def sample(predict: NoisePredictor, noise: Tensor, config: SamplerConfig) -> Tensor:
    """Walk from noise (B, C, H, W) to latents of the same shape."""
    for step in walk(predict, noise, config):
        x0 = step.x0
    return x0
