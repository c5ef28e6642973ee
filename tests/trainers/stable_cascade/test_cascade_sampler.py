"""The sampler: an oracle's noise gives x0 back, and each setting does what it says."""

from __future__ import annotations

from dataclasses import asdict

import pytest
import torch
from torch import Tensor

from ppdbench.protocols import SamplingSpec
from trainers.stable_cascade.sampler import (
    NoisePredictor,
    SamplerConfig,
    guided,
    sample,
    timesteps,
)
from trainers.stable_cascade.schedule import TIMESTEP_MIN, add_noise, alpha_sigma

SHAPE = (3, 4, 2, 2)


def normal(seed: int) -> Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))


def config(**changes: float | None) -> SamplerConfig:
    settings = {"steps": 12, "guidance_scale": 1.0} | changes
    return SamplerConfig(**settings)  # type: ignore[arg-type]


def oracle(x0: Tensor) -> NoisePredictor:
    """Knows the picture, hence the noise in every x_t."""

    def predict(x_t: Tensor, timestep: Tensor) -> tuple[Tensor, Tensor]:
        alpha, sigma = alpha_sigma(timestep)
        noise = (x_t - alpha * x0) / sigma
        return noise, noise

    return predict


def waver(x_t: Tensor, timestep: Tensor) -> tuple[Tensor, Tensor]:
    """A predictor with some life: nonlinear, other for the two branches."""
    scale = timestep[:, None, None, None]
    return torch.tanh(x_t) * scale + 0.1, torch.sin(x_t) * scale


@pytest.mark.parametrize("steps", [1, 2, 14, 30])
@pytest.mark.parametrize("shift", [1.0, 2.0])
@pytest.mark.parametrize("clip", [None, 6.0])
def test_an_oracles_picture_is_recovered(steps: int, shift: float, clip: float | None) -> None:
    x0 = normal(1)
    drawn = sample(oracle(x0), normal(2), config(steps=steps, shift=shift, clip_x0=clip))
    torch.testing.assert_close(drawn, x0, rtol=0, atol=1e-3)


def test_an_oracles_path_is_the_forward_process() -> None:
    """DDIM with the true noise stays on x_t = alpha x0 + sigma eps, with one eps all the way."""
    x0, noise, seen = normal(1), normal(2), []
    start = add_noise(x0, noise, torch.ones(len(x0)))

    def predict(x_t: Tensor, timestep: Tensor) -> tuple[Tensor, Tensor]:
        seen.append((x_t, timestep))
        return oracle(x0)(x_t, timestep)

    sample(predict, start, config(steps=7))
    assert len(seen) == 7
    for x_t, timestep in seen:
        assert timestep.shape == (len(x0),) and timestep.dtype == torch.float32
        torch.testing.assert_close(x_t, add_noise(x0, noise, timestep), rtol=0, atol=1e-4)


@pytest.mark.parametrize("shift", [1.0, 2.0])
def test_times_run_from_noise_to_almost_none(shift: float) -> None:
    times = timesteps(config(steps=14, shift=shift))
    assert times.shape == (15,) and (times.diff() < 0).all()
    assert times[0] > 0.98
    if shift == 1:
        assert times[0] == 1 and times[-1].item() == pytest.approx(TIMESTEP_MIN)


def test_shift_spends_more_steps_at_high_noise() -> None:
    plain, moved = (timesteps(config(steps=14, shift=shift)) for shift in (1.0, 2.0))
    assert (moved > 0.5).sum() > (plain > 0.5).sum()


@pytest.mark.parametrize("bound", [0.25, 1.0])
def test_clipping_bounds_what_is_drawn(bound: float) -> None:
    free = sample(waver, normal(3), config(guidance_scale=3.0))
    assert free.abs().max() > bound
    drawn = sample(waver, normal(3), config(guidance_scale=3.0, clip_x0=bound))
    assert drawn.abs().max() <= bound


def test_clipping_out_of_reach_changes_nothing() -> None:
    free, wide = (sample(waver, normal(3), config(clip_x0=clip)) for clip in (None, 1e6))
    torch.testing.assert_close(free, wide, rtol=1e-4, atol=1e-4)


def test_clipping_keeps_what_it_takes_from_x0_in_the_noise() -> None:
    """By hand: no noise predicted is an x0 of 100 x_t; clipped, the rest of x_t is its noise."""
    seen: list[Tensor] = []

    def predict(x_t: Tensor, _timestep: Tensor) -> tuple[Tensor, Tensor]:
        seen.append(x_t)
        return torch.zeros_like(x_t), torch.zeros_like(x_t)

    start, settings = normal(2), config(steps=2, clip_x0=0.5)
    sample(predict, start, settings)
    (now, then), rows = timesteps(settings)[:2].float(), len(start)
    alpha, sigma = alpha_sigma(now.expand(rows))
    x0 = (start / alpha).clamp(-0.5, 0.5)
    noise = (start - alpha * x0) / sigma
    torch.testing.assert_close(seen[1], add_noise(x0, noise, then.expand(rows)))


def test_guidance_of_one_is_the_conditional() -> None:
    conditional, unconditional = normal(1), normal(2)
    assert torch.equal(guided(conditional, unconditional, config()), conditional)
    rescaled = guided(conditional, unconditional, config(rescale=0.7))
    torch.testing.assert_close(rescaled, conditional)


def test_guidance_goes_past_the_conditional() -> None:
    conditional, unconditional = normal(1), normal(2)
    wanted = unconditional + 3 * (conditional - unconditional)
    got = guided(conditional, unconditional, config(guidance_scale=3.0))
    torch.testing.assert_close(got, wanted)
    none = guided(conditional, unconditional, config(guidance_scale=0.0))
    torch.testing.assert_close(none, unconditional)


def test_full_rescale_has_the_conditionals_deviation() -> None:
    conditional, unconditional = normal(1), normal(2)
    got = guided(conditional, unconditional, config(guidance_scale=5.0, rescale=1.0))
    torch.testing.assert_close(got.std((1, 2, 3)), conditional.std((1, 2, 3)))
    plain = guided(conditional, unconditional, config(guidance_scale=5.0))
    for row in range(len(got)):  # the same direction, a row at a time
        ratio = got[row] / plain[row]
        torch.testing.assert_close(ratio, ratio.mean().expand_as(ratio))
    half = guided(conditional, unconditional, config(guidance_scale=5.0, rescale=0.5))
    torch.testing.assert_close(half, (got + plain) / 2)


def test_sampling_twice_is_the_same_and_touches_no_global_state() -> None:
    noise, settings = normal(4), config(guidance_scale=2.0, clip_x0=3.0)
    kept, state = noise.clone(), torch.random.get_rng_state()
    first, second = (sample(waver, noise, settings) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(noise, kept) and torch.equal(torch.random.get_rng_state(), state)


def test_rows_do_not_mix() -> None:
    noise, settings = normal(4), config(guidance_scale=2.0, rescale=0.5, clip_x0=3.0)
    together = sample(waver, noise, settings)
    for row in range(len(noise)):
        alone = sample(waver, noise[row : row + 1], settings)
        torch.testing.assert_close(together[row : row + 1], alone)


def test_settings_come_from_the_suites_spec() -> None:
    spec = SamplingSpec(
        width=64, height=64, steps=9, guidance_scale=2.5, shift=2.0, rescale=0.3, clip_x0=3.5
    )
    said = asdict(spec)
    assert asdict(SamplerConfig.of(spec)) == {
        name: value for name, value in said.items() if name not in ("width", "height")
    }
