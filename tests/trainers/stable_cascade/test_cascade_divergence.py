"""Divergence along the path: a slow twin from means and variances, zero where nothing differs."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tiny_cascade import CAPTIONS
from torch import Tensor

from trainers.stable_cascade.adapter_shape import AdapterShape
from trainers.stable_cascade.divergence import along_path, divergence, transition_divergence
from trainers.stable_cascade.pipeline import Audience, draw
from trainers.stable_cascade.sampler import (
    NoisePredictor,
    SamplerConfig,
    guided,
    sample,
    timesteps,
    walk,
)
from trainers.stable_cascade.schedule import alpha_sigma
from trainers.stable_cascade.stage_c import Base
from trainers.stable_cascade.user_attention import audience, new_adapter

CONFIG = SamplerConfig(steps=5, guidance_scale=2.0, shift=1.0, rescale=0.3, clip_x0=1.5)
SEEDS = [5, 2**62 + 1, 0]


def normal(seed: int, rows: int = 3) -> Tensor:
    return torch.randn((rows, 4, 2, 2), generator=torch.Generator().manual_seed(seed))


def policy(x_t: Tensor, timestep: Tensor) -> tuple[Tensor, Tensor]:
    scale = timestep[:, None, None, None]
    return torch.tanh(x_t) * scale + 0.1, torch.sin(x_t) * scale


def reference(x_t: Tensor, timestep: Tensor) -> tuple[Tensor, Tensor]:
    scale = timestep[:, None, None, None]
    return torch.tanh(1.2 * x_t) * scale, torch.sin(x_t) * scale + 0.05


# --- the slow twin: numpy in float64, every mean and variance written out -------------------------


def alpha_bar(t: float) -> float:
    start = math.cos(0.008 / 1.008 * math.pi / 2) ** 2
    curve = math.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2 / start
    return min(max(curve, 1e-4), 0.9999)


def clean(
    predict: NoisePredictor, x_t: NDArray[np.float64], t: float, config: SamplerConfig
) -> NDArray[np.float64]:
    alpha, sigma = math.sqrt(alpha_bar(t)), math.sqrt(1 - alpha_bar(t))
    tensor = torch.from_numpy(x_t)
    time = torch.full((len(x_t),), t, dtype=torch.float64)
    noise = guided(*predict(tensor, time), config).numpy()
    x0 = (x_t - sigma * noise) / alpha
    return x0 if config.clip_x0 is None else np.clip(x0, -config.clip_x0, config.clip_x0)


def posterior(
    x_t: NDArray[np.float64], x0: NDArray[np.float64], t: float, s: float
) -> tuple[NDArray[np.float64], float]:
    """Mean and variance of q(z_s | z_t, x0), by Bayes' rule on the two forward Gaussians."""
    forward = math.sqrt(alpha_bar(t) / alpha_bar(s))  # z_t = forward z_s + noise
    added = (1 - alpha_bar(t)) - forward**2 * (1 - alpha_bar(s))
    precision = 1 / (1 - alpha_bar(s)) + forward**2 / added
    mean = (math.sqrt(alpha_bar(s)) * x0 / (1 - alpha_bar(s)) + forward * x_t / added) / precision
    return mean, 1 / precision


def twin(noise: Tensor, config: SamplerConfig) -> NDArray[np.float64]:
    """Nats (B, steps): KL of Gaussians of one variance, at the states of DDIM by the policy."""
    x_t, rows = noise.double().numpy(), []
    for t, s in pairwise(timesteps(config).tolist()):
        x0, other = (clean(predict, x_t, t, config) for predict in (policy, reference))
        (ours, variance), (theirs, same) = (posterior(x_t, each, t, s) for each in (x0, other))
        assert variance == same
        rows.append(((ours - theirs) ** 2).sum((1, 2, 3)) / (2 * variance))
        eps = (x_t - math.sqrt(alpha_bar(t)) * x0) / math.sqrt(1 - alpha_bar(t))
        x_t = math.sqrt(alpha_bar(s)) * x0 + math.sqrt(1 - alpha_bar(s)) * eps
    return np.stack(rows, axis=1)


@pytest.mark.parametrize("clip", [None, 1.5, 0.3])
@pytest.mark.parametrize("shift", [1.0, 2.0])
@pytest.mark.parametrize("steps", [1, 2, 14])
def test_it_is_the_divergence_of_two_gaussians(
    clip: float | None, shift: float, steps: int
) -> None:
    config = replace(CONFIG, clip_x0=clip, shift=shift, steps=steps)
    found = along_path(policy, reference, normal(1), config)
    assert found.shape == (3, steps) and found.dtype == torch.float64
    assert (found >= 0).all() and found.sum() > 0
    np.testing.assert_allclose(found.numpy(), twin(normal(1), config), rtol=2e-3, atol=1e-6)


def test_by_hand() -> None:
    """alpha_bar 1/2 to 0.9: SNR 1 to 9; x0 differs by 1 in two places: 1/2 * 8 * 2 = 8 nats."""
    angle = math.acos(math.sqrt(0.5) * math.cos(0.008 / 1.008 * math.pi / 2))
    now = angle / (math.pi / 2) * 1.008 - 0.008
    angle = math.acos(math.sqrt(0.9) * math.cos(0.008 / 1.008 * math.pi / 2))
    then = angle / (math.pi / 2) * 1.008 - 0.008
    other = torch.zeros(1, 4, 2, 2)
    other[0, 0, 0, 0], other[0, 3, 1, 1] = 1, -1
    times = (torch.tensor([t], dtype=torch.float64) for t in (now, then))
    assert transition_divergence(torch.zeros(1, 4, 2, 2), other, *times).item() == pytest.approx(8)


def test_unclipped_it_is_that_of_the_noise_predictions() -> None:
    """1/2 (SNR(s) / SNR(t) - 1) |eps - eps_ref|^2."""
    config = replace(CONFIG, clip_x0=None)
    found = along_path(policy, reference, normal(2), config)
    for at, step in enumerate(walk(policy, normal(2), config)):
        eps, other = (guided(*each(step.latents, step.now), config) for each in (policy, reference))
        alphas = [alpha_sigma(t) for t in (step.then, step.now)]
        after, before = ((alpha / sigma).square().flatten() for alpha, sigma in alphas)
        wanted = (after / before - 1) / 2 * (eps - other).square().sum((1, 2, 3))
        torch.testing.assert_close(found[:, at].float(), wanted, rtol=5e-3, atol=1e-6)


def test_what_is_clipped_away_alike_does_not_differ() -> None:
    """By hand: where both predict an x0 beyond the same bound, the sampler goes the same way."""

    def far(x_t: Tensor, _: Tensor) -> tuple[Tensor, Tensor]:
        return x_t - 50, x_t - 50

    def farther(x_t: Tensor, _: Tensor) -> tuple[Tensor, Tensor]:
        return x_t - 90, x_t - 90

    config = replace(CONFIG, rescale=0.0)
    assert torch.equal(along_path(far, farther, normal(3), config), torch.zeros(3, 5).double())
    free = along_path(far, farther, normal(3), replace(config, clip_x0=None))
    assert (free > 0).all()


def test_no_difference_is_exactly_none() -> None:
    found = along_path(policy, policy, normal(4), CONFIG)
    assert torch.equal(found, torch.zeros_like(found))


def test_rows_do_not_mix() -> None:
    together = along_path(policy, reference, normal(4), CONFIG)
    for row in range(3):
        alone = along_path(policy, reference, normal(4)[row : row + 1], CONFIG)
        torch.testing.assert_close(together[row : row + 1], alone, rtol=1e-5, atol=1e-9)


# --- the walk that drawing and measuring share ----------------------------------------------------


def before(predict: NoisePredictor, noise: Tensor, config: SamplerConfig) -> Tensor:
    """`sample` written as one loop."""
    latents, x0 = noise, noise
    for now, then in pairwise(timesteps(config).float()):
        timestep = now.expand(len(noise))
        predicted = guided(*predict(latents, timestep), config)
        alpha, sigma = alpha_sigma(timestep)
        x0 = (latents - sigma * predicted) / alpha
        if config.clip_x0 is not None:
            x0 = x0.clamp(-config.clip_x0, config.clip_x0)
            predicted = (latents - alpha * x0) / sigma
        alpha, sigma = alpha_sigma(then.expand(len(noise)))
        latents = alpha * x0 + sigma * predicted
    return x0


@pytest.mark.parametrize("clip", [None, 1.5])
def test_a_walk_draws_what_the_loop_draws_to_the_last_bit(clip: float | None) -> None:
    config = replace(CONFIG, clip_x0=clip)
    assert torch.equal(sample(policy, normal(5), config), before(policy, normal(5), config))


def test_measuring_visits_the_states_that_drawing_visits() -> None:
    seen: list[Tensor] = []

    def watched(x_t: Tensor, timestep: Tensor) -> tuple[Tensor, Tensor]:
        seen.append(x_t)
        return policy(x_t, timestep)

    sample(watched, normal(6), CONFIG)
    drawn, seen = seen, []
    along_path(watched, reference, normal(6), CONFIG)
    assert len(seen) == len(drawn) == CONFIG.steps
    assert all(torch.equal(one, other) for one, other in zip(seen, drawn, strict=True))


# --- of a real model ------------------------------------------------------------------------------


def hearing(base: Base, *, trained: bool) -> Audience:
    adapter = new_adapter(base.unet, AdapterShape(user_dim=3, tokens=4, token_dim=8), seed=1)
    if trained:
        draws = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for name, tensor in adapter.tensors().items():
                if "to_v" in name:
                    tensor.copy_(torch.randn(tensor.shape, generator=draws))
    return audience(adapter, torch.eye(3), "null-user")


def test_the_base_and_an_untrained_adapter_diverge_from_nobody(tiny_base: Base) -> None:
    for user in (None, hearing(tiny_base, trained=False)):
        found = divergence(tiny_base, CAPTIONS, SEEDS, CONFIG, user=user)
        assert torch.equal(found, torch.zeros(3, CONFIG.steps).double())


@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_a_trained_adapter_diverges_in_any_batch_alike(tiny_base: Base, guidance: float) -> None:
    config = replace(CONFIG, guidance_scale=guidance)
    user = hearing(tiny_base, trained=True)
    together = divergence(tiny_base, CAPTIONS, SEEDS, config, user=user)
    assert (together.sum(1) > 0).all() and not together.requires_grad
    again = divergence(tiny_base, CAPTIONS[:1] * 3, SEEDS, config, user=user)
    torch.testing.assert_close(again[0], together[0], rtol=1e-3, atol=1e-6)


def test_measuring_leaves_drawing_as_it_is(tiny_base: Base) -> None:
    user = hearing(tiny_base, trained=True)
    drawn = draw(tiny_base, CAPTIONS, SEEDS, CONFIG, user=user)
    divergence(tiny_base, CAPTIONS, SEEDS, CONFIG, user=user)
    assert torch.equal(drawn, draw(tiny_base, CAPTIONS, SEEDS, CONFIG, user=user))
