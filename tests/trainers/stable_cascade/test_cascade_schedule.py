"""The noise schedule against diffusers' own, and the shift against its definition."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from trainers.stable_cascade.schedule import (
    ALPHA_BAR_MAX,
    ALPHA_BAR_MIN,
    TIMESTEP_MIN,
    add_noise,
    alpha_bar,
    alpha_sigma,
    network_time,
    shifted,
)


def diffusers_own() -> Any:
    from diffusers.schedulers.scheduling_ddpm_wuerstchen import DDPMWuerstchenScheduler

    scheduler: Any = DDPMWuerstchenScheduler
    return scheduler()


def logsnr(timestep: Tensor) -> Tensor:
    squared = alpha_bar(timestep)
    return torch.log(squared / (1 - squared))


def test_noise_is_added_as_diffusers_adds_it() -> None:
    generator = torch.Generator().manual_seed(0)
    times = torch.cat([torch.tensor([0.0, TIMESTEP_MIN, 0.5, 0.999, 1.0]), torch.rand(59)])
    latents, noise = (torch.randn(64, 16, 4, 4, generator=generator) for _ in range(2))
    wanted = diffusers_own().add_noise(latents, noise, times)
    # Equal but for float32's rounding of 1 - alpha_bar where that is near nothing.
    torch.testing.assert_close(add_noise(latents, noise, times), wanted, rtol=0, atol=2e-5)


def test_the_curve_is_diffusers_own() -> None:
    """In float64, where rounding cannot hide a difference."""
    times = torch.linspace(0, 1, 1001, dtype=torch.float64)
    wanted = diffusers_own()._alpha_cumprod(times, torch.device("cpu"))
    torch.testing.assert_close(alpha_bar(times), wanted, rtol=1e-6, atol=1e-8)


def test_scales_have_a_row_each_and_unit_power() -> None:
    alpha, sigma = alpha_sigma(torch.linspace(0, 1, 50))
    assert alpha.shape == sigma.shape == (50, 1, 1, 1)
    torch.testing.assert_close(alpha**2 + sigma**2, torch.ones_like(alpha))


def test_signal_falls_from_nearly_all_to_nearly_none() -> None:
    squared = alpha_bar(torch.linspace(0, 1, 200, dtype=torch.float64))
    assert (squared.diff() <= 0).all()
    assert squared[0] == ALPHA_BAR_MAX and squared[-1] == ALPHA_BAR_MIN
    alpha, _ = alpha_sigma(torch.ones(1))
    assert alpha.item() == pytest.approx(0.01)


@pytest.mark.parametrize(("time", "value"), [(0.25, 0.8468), (0.5, 0.4938), (0.75, 0.1438)])
def test_alpha_bar_by_hand(time: float, value: float) -> None:
    """cos^2((t + 0.008) / 1.008 * 90 degrees) / cos^2(0.008 / 1.008 * 90 degrees)."""
    by_hand = (
        math.cos(math.radians((time + 0.008) / 1.008 * 90)) ** 2
        / math.cos(math.radians(0.008 / 1.008 * 90)) ** 2
    )
    assert alpha_bar(torch.tensor(time)).item() == pytest.approx(by_hand, abs=1e-6)
    assert by_hand == pytest.approx(value, abs=1e-3)


@pytest.mark.parametrize("shift", [0.5, 1.5, 2.0, 4.0])
def test_shift_lowers_logsnr(shift: float) -> None:
    times = torch.linspace(0.1, 0.9, 33, dtype=torch.float64)
    wanted = logsnr(times) - 2 * math.log(shift)
    within = (wanted > logsnr(torch.tensor(0.99).double())) & (wanted < 8)
    torch.testing.assert_close(logsnr(shifted(times, shift))[within], wanted[within])
    moved = shifted(times, shift) - times
    assert (moved > 0).all() if shift > 1 else (moved < 0).all()


@pytest.mark.parametrize("shift", [0.5, 1.0, 2.0, 8.0])
def test_shifted_times_stay_ordered_within_bounds(shift: float) -> None:
    times = shifted(torch.linspace(1, TIMESTEP_MIN, 31, dtype=torch.float64), shift)
    assert times.dtype == torch.float64
    assert (times.diff() <= 0).all() and times.min() >= 0 and times.max() <= 1


def test_no_shift_changes_nothing() -> None:
    times = torch.rand(9)
    assert torch.equal(shifted(times, 1), times)


def test_published_networks_are_told_the_time_of_the_clamped_logsnr() -> None:
    """As GDF recovers it: unchanged but beyond the clamp, where the curve stands still."""
    times = torch.linspace(0, 1, 1001, dtype=torch.float64)
    told = network_time(times)
    assert told[0] == pytest.approx(0.0023, abs=1e-4)
    assert told[-1] == pytest.approx(0.9936, abs=1e-4)
    inside = (times > 0.0024) & (times < 0.9935)
    assert torch.equal(told[inside], times[inside])
    torch.testing.assert_close(alpha_bar(told), alpha_bar(times), rtol=1e-9, atol=0)
    assert torch.equal(network_time(told), told)
