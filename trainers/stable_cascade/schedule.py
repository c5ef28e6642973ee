"""Stable Cascade's cosine noise schedule in continuous time, and its shift.

Source: Stability-AI/StableCascade `gdf/schedulers.py`; equal to diffusers'
`DDPMWuerstchenScheduler.add_noise`, against which a test holds it. The loop that walks the
schedule is `sampler.py`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

OFFSET = 0.008
ALPHA_BAR_MIN, ALPHA_BAR_MAX = 1e-4, 0.9999
TIMESTEP_MIN = 1e-3


def alpha_bar(timestep: Tensor) -> Tensor:
    """Cumulative signal variance at `timestep` in [0, 1], 1 = noise; same shape as given.

    alpha_bar(t) = cos^2((t + s)/(1 + s) * pi/2) / cos^2(s/(1 + s) * pi/2), clamped.
    """
    start = math.cos(OFFSET / (1 + OFFSET) * math.pi / 2) ** 2
    curve = torch.cos((timestep + OFFSET) / (1 + OFFSET) * math.pi / 2) ** 2 / start
    return curve.clamp(ALPHA_BAR_MIN, ALPHA_BAR_MAX)


def alpha_sigma(timestep: Tensor) -> tuple[Tensor, Tensor]:
    """Signal and noise scale for timesteps (B,), each (B, 1, 1, 1): x_t = alpha x_0 + sigma eps."""
    squared = alpha_bar(timestep.float())[:, None, None, None]
    return squared.sqrt(), (1 - squared).sqrt()


def add_noise(latents: Tensor, noise: Tensor, timestep: Tensor) -> Tensor:
    """x_t for latents and noise (B, C, H, W) and timesteps (B,)."""
    alpha, sigma = alpha_sigma(timestep)
    return alpha * latents + sigma * noise


def network_time(timestep: Tensor) -> Tensor:
    """The time that the published networks are told of at `timestep`; same shape.

    They were trained on the time that is recovered from the clamped logSNR
    (Stability-AI/StableCascade `gdf/noise_conditions.py`), so that beyond the clamp, above 0.9936
    and below 0.0023, they never saw another. Diffusers tells them the raw time.
    """
    return timestep.clamp(_time_of(ALPHA_BAR_MAX), _time_of(ALPHA_BAR_MIN))


def _time_of(squared: float) -> float:
    """Where the curve, before it is clamped, has this alpha_bar."""
    start = math.cos(OFFSET / (1 + OFFSET) * math.pi / 2)
    angle = math.acos(math.sqrt(squared) * start)
    return angle / (math.pi / 2) * (1 + OFFSET) - OFFSET


def shifted(timestep: Tensor, shift: float) -> Tensor:
    """The timestep whose logSNR is that of `timestep` lowered by 2 ln(shift).

    Stable Cascade samples 24 x 24 latents with shift 2: more steps at high noise, where
    composition is decided. Solves alpha_bar(t') = sigmoid(logSNR(t) - 2 ln shift) for t'.
    """
    if shift == 1:
        return timestep
    squared = alpha_bar(timestep.double())
    logsnr = torch.log(squared / (1 - squared)) - 2 * math.log(shift)
    target = torch.sigmoid(logsnr).clamp(ALPHA_BAR_MIN, ALPHA_BAR_MAX)
    start = math.cos(OFFSET / (1 + OFFSET) * math.pi / 2) ** 2
    angle = torch.acos((target * start).sqrt())
    return (angle / (math.pi / 2) * (1 + OFFSET) - OFFSET).clamp(0, 1).to(timestep.dtype)
