"""Latents to pictures in the published relations: Stage B with guidance, Stage A, previews."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from published_layout import PIXELS, SIDE
from tiny_cascade import CAPTIONS
from torch import Tensor

from trainers.stable_cascade import decoder as decoding
from trainers.stable_cascade.decoder import DECODING, Decoder, second_seed
from trainers.stable_cascade.full_previewer import FullPreviewer
from trainers.stable_cascade.load import load_base
from trainers.stable_cascade.pipeline import captioned, draw, initial_noise
from trainers.stable_cascade.sampler import SamplerConfig
from trainers.stable_cascade.schedule import TIMESTEP_MIN, alpha_sigma, network_time
from trainers.stable_cascade.stage_c import Base, TextConditioning

pytestmark = pytest.mark.usefixtures("small_side")
SEEDS = [5, 2**62 + 1]
FACTOR = 4
"""Side of a picture over that of Stage B's latents: what Stage A upsamples by."""
CONFIG = SamplerConfig(steps=2, guidance_scale=2.0, shift=2.0, rescale=0.7)


@pytest.fixture
def base(published_hub: Path) -> Base:
    return load_base(published_hub, dtype=torch.float32, decoder=True)


@pytest.fixture
def decoder(base: Base) -> Decoder:
    assert base.decoder is not None
    return base.decoder


@pytest.fixture
def given(base: Base) -> tuple[Tensor, TextConditioning]:
    """Latents of two pictures and the conditioning of their captions."""
    return initial_noise(SEEDS, base.latent_shape), captioned(base, CAPTIONS[:2])


def test_sides_are_those_of_1024_pixels(decoder: Decoder) -> None:
    """24 x 24 latents, 256 x 256 of Stage B, 1024 x 1024: Stage B's factor is 42.67 / 4."""
    assert decoder.side(torch.empty(1, 16, 24, 24)) == 256 and 256 * FACTOR == 1024
    assert decoder.side(torch.empty(1, 4, SIDE, SIDE)) * FACTOR == PIXELS
    assert decoder.picture(torch.zeros(2, 4, 6, 6)).shape == (2, 3, 24, 24)


def test_a_picture_is_its_latents_captions_and_seeds(
    decoder: Decoder, given: tuple[Tensor, TextConditioning]
) -> None:
    latents, text = given
    pictures = decoder.decode(latents, text.pooled, SEEDS)
    assert pictures.shape == (2, 3, PIXELS, PIXELS) and pictures.dtype == torch.float32
    assert pictures.min() >= 0 and pictures.max() <= 1
    assert torch.equal(pictures, decoder.decode(latents, text.pooled, SEEDS))
    others = {
        "latents": decoder.decode(latents.flip(0), text.pooled, SEEDS),
        "captions": decoder.decode(latents, text.pooled[[1, 0, 2, 3]], SEEDS),
        "seeds": decoder.decode(latents, text.pooled, SEEDS[::-1]),
        "the empty caption": decoder.decode(latents, text.pooled[[0, 1, 0, 1]], SEEDS),
        "steps": decoder.decode(latents, text.pooled, SEEDS, replace(DECODING, steps=3)),
    }
    for name, other in others.items():
        assert (other - pictures).abs().max() > 1e-5, f"{name} change nothing"


def test_a_picture_does_not_depend_on_its_batch(
    decoder: Decoder, given: tuple[Tensor, TextConditioning], monkeypatch: pytest.MonkeyPatch
) -> None:
    latents, text = given
    together = decoder.decode(latents, text.pooled, SEEDS)
    for row in range(2):
        alone = decoder.decode(
            latents[row : row + 1], text.pooled[[row, 2 + row]], SEEDS[row : row + 1]
        )
        torch.testing.assert_close(together[row : row + 1], alone, rtol=0, atol=2e-3)
    sizes: list[int] = []
    codes = decoder.codes

    def counted(latents: Tensor, *others: Any) -> Tensor:
        sizes.append(len(latents))
        return codes(latents, *others)

    monkeypatch.setattr(decoder, "codes", counted)
    monkeypatch.setattr(decoding, "TOGETHER", 1)
    apart = decoder.decode(latents, text.pooled, SEEDS)
    torch.testing.assert_close(together, apart, rtol=0, atol=2e-3)
    assert sizes == [1, 1]


@torch.no_grad()
def test_guidance_goes_from_no_latents_and_the_empty_caption(
    decoder: Decoder, given: tuple[Tensor, TextConditioning]
) -> None:
    """One step by hand: u + g (c - u) where c sees latents and caption, u zeros and "" alone."""
    latents, text = given
    noise = decoder.noise(latents, SEEDS)
    one = replace(DECODING, steps=1)
    found = decoder.codes(latents, text.pooled, noise, one)

    def predicted(effnet: Tensor, pooled: Tensor) -> Any:
        return decoder.stage_b(
            noise,
            timestep_ratio=network_time(torch.ones(2)),
            clip_text_pooled=pooled,
            effnet=effnet,
        ).sample

    conditional = predicted(latents, text.pooled[:2])
    unconditional = predicted(torch.zeros_like(latents), text.pooled[2:])
    guided = unconditional + DECODING.guidance_scale * (conditional - unconditional)
    alpha, sigma = alpha_sigma(torch.ones(2))
    by_hand = (noise - sigma * guided) / alpha
    torch.testing.assert_close(found, by_hand, rtol=1e-3, atol=1e-2)
    alone = decoder.codes(latents, text.pooled, noise, replace(one, guidance_scale=1.0))
    torch.testing.assert_close(alone, (noise - sigma * conditional) / alpha, rtol=1e-3, atol=1e-2)


def test_stage_b_is_walked_ten_times_from_noise_to_the_picture(
    decoder: Decoder, given: tuple[Tensor, TextConditioning]
) -> None:
    times: list[float] = []

    def seen(_module: Any, _args: Any, options: dict[str, Any]) -> None:
        times.append(float(options["timestep_ratio"][0]))

    decoder.stage_b.register_forward_pre_hook(seen, with_kwargs=True)
    latents, text = given
    decoder.decode(latents, text.pooled, SEEDS)
    assert len(times) == 10 and times[0] == pytest.approx(0.99363, abs=1e-4)
    assert all(a > b > TIMESTEP_MIN for a, b in pairwise(times))


def test_stage_bs_noise_is_the_seeds_own_and_not_stage_cs(decoder: Decoder) -> None:
    latents = torch.zeros(2, 4, SIDE, SIDE)
    noise = decoder.noise(latents, SEEDS)
    assert noise.shape == (2, 4, PIXELS // FACTOR, PIXELS // FACTOR)
    assert torch.equal(decoder.noise(latents[:1], SEEDS[1:])[0], noise[1])
    assert abs(noise.std() - 1) < 0.05 and not torch.equal(noise[0], noise[1])
    assert len({*SEEDS, *map(second_seed, SEEDS)}) == 4
    assert second_seed(5) == 5720426546922879833  # frozen: every picture starts from it


def test_drawing_goes_through_both_stages(base: Base) -> None:
    pictures = draw(base, CAPTIONS[:2], SEEDS, CONFIG)
    assert pictures.shape == (2, 3, PIXELS, PIXELS)
    assert (pictures[0] - pictures[1]).abs().max() > 0.01
    base.decoder = None
    assert draw(base, CAPTIONS[:2], SEEDS, CONFIG).shape == (2, 3, 8 * SIDE, 8 * SIDE)


def test_half_precision_decodes_too(published_hub: Path) -> None:
    base = load_base(published_hub, decoder=True)
    pictures = draw(base, CAPTIONS[:1], SEEDS[:1], CONFIG)
    assert pictures.dtype == torch.float32 and torch.isfinite(pictures).all()


def test_the_full_previewer_makes_192_pixels_of_24() -> None:
    previewer = FullPreviewer().eval()
    latents = 3 * torch.randn(1, 16, 24, 24, generator=torch.Generator().manual_seed(0))
    picture = previewer.decode(latents)
    assert picture.shape == (1, 3, 192, 192)
    assert picture.min() >= 0 and picture.max() <= 1
    with torch.autocast("cpu", torch.bfloat16):
        rough = latents.bfloat16()
        assert torch.equal(previewer.decode(rough), previewer.decode(rough.float()))
