"""Drawing: a picture is its caption's and its seed's alone, whatever batch it travels in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_cascade import CAPTIONS
from torch import Tensor

from trainers.stable_cascade.pipeline import draw, initial_noise, to_images
from trainers.stable_cascade.sampler import SamplerConfig
from trainers.stable_cascade.stage_c import Base, TextConditioning

CONFIG = SamplerConfig(steps=3, guidance_scale=2.0, clip_x0=3.0)
SEEDS = [5, 2**62 + 1, 0]


def test_noise_is_the_seeds_own() -> None:
    together = initial_noise(SEEDS, (4, 2, 2))
    assert together.shape == (3, 4, 2, 2) and together.device.type == "cpu"
    for row, seed in enumerate(SEEDS):
        assert torch.equal(initial_noise([seed], (4, 2, 2))[0], together[row])
    assert torch.equal(initial_noise([5, 5], (4, 2, 2))[0], initial_noise([5], (4, 2, 2))[0])
    assert not torch.equal(together[0], together[1])


def test_noise_leaves_the_global_generator_alone() -> None:
    state = torch.random.get_rng_state()
    initial_noise(SEEDS, (4, 2, 2))
    assert torch.equal(torch.random.get_rng_state(), state)


def test_noise_is_frozen() -> None:
    """Golden: every system of every run starts from these numbers."""
    noise = initial_noise([1234], (1, 1, 4))[0, 0, 0]
    golden = torch.tensor([0.04613, 0.4024, -1.01153, 0.21674])
    torch.testing.assert_close(noise, golden, rtol=0, atol=1e-4)


def test_noise_is_normal() -> None:
    noise = initial_noise(range(500), (16, 4, 4))
    assert noise.mean().abs() < 0.01 and abs(noise.std() - 1) < 0.01


@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_a_picture_does_not_depend_on_its_batch(tiny_base: Base, guidance: float) -> None:
    config = replace(CONFIG, guidance_scale=guidance)
    together = draw(tiny_base, CAPTIONS, SEEDS, config)
    assert together.shape == (3, 3, 32, 32)
    assert together.min() >= 0 and together.max() <= 1
    for row in range(3):
        alone = draw(tiny_base, CAPTIONS[row : row + 1], SEEDS[row : row + 1], config)
        torch.testing.assert_close(together[row : row + 1], alone, rtol=0, atol=1e-4)
    turned = draw(tiny_base, CAPTIONS[::-1], SEEDS[::-1], config)
    torch.testing.assert_close(together, turned.flip(0), rtol=0, atol=1e-4)


def test_the_same_picture_twice(tiny_base: Base) -> None:
    first, second = (draw(tiny_base, CAPTIONS, SEEDS, CONFIG) for _ in range(2))
    assert torch.equal(first, second) and not first.requires_grad


def test_seed_and_caption_matter(tiny_base: Base) -> None:
    same = draw(tiny_base, [CAPTIONS[0]] * 2, [1, 2], CONFIG)
    assert (same[0] - same[1]).abs().max() > 1e-3
    other = draw(tiny_base, CAPTIONS[:2], [1, 1], CONFIG)
    assert (other[0] - other[1]).abs().max() > 1e-6


def test_without_guidance_the_empty_caption_is_not_asked(
    tiny_base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[int] = []
    predict = tiny_base.predict_noise

    def watched(latents: Tensor, timestep: Tensor, text: TextConditioning) -> Tensor:
        rows.append(len(latents))
        return predict(latents, timestep, text)

    monkeypatch.setattr(tiny_base, "predict_noise", watched)
    draw(tiny_base, CAPTIONS, SEEDS, replace(CONFIG, guidance_scale=1.0))
    draw(tiny_base, CAPTIONS, SEEDS, CONFIG)
    assert rows == [3] * 3 + [6] * 3


def test_guidance_starts_from_the_empty_caption(tiny_base: Base) -> None:
    """At scale 0 only the unconditional branch is left: the empty caption's picture."""
    none = draw(tiny_base, CAPTIONS, SEEDS, replace(CONFIG, guidance_scale=0.0))
    empty = draw(tiny_base, [""] * 3, SEEDS, replace(CONFIG, guidance_scale=1.0))
    torch.testing.assert_close(none, empty, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("guidance", "null_rows"), [(1.0, 0), (2.0, 3)])
def test_the_user_is_entered_around_each_forward(
    tiny_base: Base, guidance: float, null_rows: int
) -> None:
    told: list[int] = []

    @contextmanager
    def user(rows: int) -> Iterator[None]:
        told.append(rows)
        yield
        told.append(-1)

    draw(tiny_base, CAPTIONS, SEEDS, replace(CONFIG, guidance_scale=guidance), user=user)
    assert told == [null_rows, -1] * CONFIG.steps


def test_images_hold_the_pictures_levels() -> None:
    levels = torch.tensor([0.0, 0.5, 1.0, 1 / 255, 0.4999 / 255, 0.5001 / 255])
    (image,) = to_images(levels.view(1, 1, 2, 3).expand(1, 3, 2, 3))
    assert (image.mode, image.size) == ("RGB", (3, 2))
    assert np.asarray(image)[..., 1].ravel().tolist() == [0, 128, 255, 1, 0, 1]


def test_images_are_in_order() -> None:
    shades = torch.tensor([0.1, 0.9, 0.4])[:, None, None, None].expand(3, 3, 4, 4)
    assert [image.getpixel((0, 0)) for image in to_images(shades)] == [
        (26, 26, 26),
        (230, 230, 230),
        (102, 102, 102),
    ]
