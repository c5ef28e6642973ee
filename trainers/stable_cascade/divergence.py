"""How far a policy's sampling diverges from the reference's, in nats, along the policy's own path.

For clean latents x the diffusion's transition from time t down to s is Gaussian (VDM, Kingma et
al. 2021, arXiv 2107.00630, Eq. 13 and appendix A), with SNR = alpha^2 / sigma^2 and
sigma_ts^2 = sigma_t^2 - (alpha_t / alpha_s)^2 sigma_s^2::

    q(z_s | z_t, x) = N(mean, variance)
    mean     = (alpha_t / alpha_s)(sigma_s^2 / sigma_t^2) z_t + alpha_s (sigma_ts^2 / sigma_t^2) x
    variance = sigma_ts^2 sigma_s^2 / sigma_t^2

A model puts its prediction in the place of x. At one z_t the policy's and the reference's
transitions differ in x alone, so that their divergence is
1/2 (alpha_s sigma_ts^2 / sigma_t^2)^2 / variance |x - x_ref|^2, and because
alpha_s^2 sigma_ts^2 / (sigma_s^2 sigma_t^2) = alpha_s^2 / sigma_s^2 - alpha_t^2 / sigma_t^2::

    KL(policy || reference) = 1/2 (SNR(s) - SNR(t)) |x - x_ref|^2
                            = 1/2 (SNR(s) / SNR(t) - 1) |eps - eps_ref|^2

the second line where x0 is not clipped: then x - x_ref is -(sigma_t / alpha_t)(eps - eps_ref).
Where it is clipped, the clipped predictions are what the sampler goes by, and are what is compared.

The sampler (`sampler.walk`) is deterministic, DDIM. The figure is the divergence of the stochastic
sampler of the same predictions and times, of which each step's transition is q above; its
expectation over states is estimated at the states of the deterministic path, one path a picture.
The last step goes to `TIMESTEP_MIN`, where the SNR is finite by the schedule's clamp; the sampler
takes that step's x0 and draws nothing, so that its nats say more of the clamp than of the picture:
hence one number a step. Elsewhere: what is made of them (`docs/tradeoff.md`).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from trainers.stable_cascade.pipeline import Audience, captioned, initial_noise, noise_predictor
from trainers.stable_cascade.sampler import NoisePredictor, SamplerConfig, predicted_x0, walk
from trainers.stable_cascade.schedule import alpha_bar
from trainers.stable_cascade.stage_c import Base


@torch.no_grad()
def divergence(
    base: Base,
    captions: Sequence[str],
    seeds: Sequence[int],
    config: SamplerConfig,
    *,
    user: Audience | None,
) -> Tensor:
    """Nats (B, steps), in float64, of pictures as `pipeline.draw` draws them from the same words.

    The reference is the base with no adapter, under the same guidance, rescale and clipping.
    """
    noise = initial_noise(seeds, base.latent_shape).to(base.device)
    text = captioned(base, captions)
    policy = noise_predictor(base, text, config, user=user)
    return along_path(policy, noise_predictor(base, text, config), noise, config)


def along_path(
    policy: NoisePredictor, reference: NoisePredictor, noise: Tensor, config: SamplerConfig
) -> Tensor:
    """Nats (B, steps) from noise (B, C, H, W), at the states that the policy's sampler visits."""
    return torch.stack(
        [
            transition_divergence(
                step.x0,
                predicted_x0(reference, step.latents, step.now, config)[0],
                step.now,
                step.then,
            )
            for step in walk(policy, noise, config)
        ],
        dim=1,
    )


def transition_divergence(x0: Tensor, reference: Tensor, now: Tensor, then: Tensor) -> Tensor:
    """KL (B,), in float64 nats, of transitions with clean latents (B, C, H, W) in their means.

    1/2 (SNR(then) - SNR(now)) |x0 - reference|^2 for times (B,), then <= now; 0 where both lie
    within the schedule's clamp.
    """
    gained = _snr(then) - _snr(now)
    return gained / 2 * (x0.double() - reference.double()).square().sum((1, 2, 3))


def _snr(timestep: Tensor) -> Tensor:
    """Signal-to-noise ratio (B,) at timesteps (B,), in float64."""
    squared = alpha_bar(timestep.double())
    return squared / (1 - squared)
