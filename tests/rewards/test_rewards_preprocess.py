"""Recipes, held against torchvision and against the traps they avoid."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from PIL import Image
from torchvision.transforms import functional as tvf
from torchvision.transforms import v2

from ppdbench.errors import PpdbenchError
from ppdbench.rewards.preprocess import (
    OPENAI_MEAN,
    OPENAI_STD,
    ClipRecipe,
    HpsRecipe,
    to_rgb,
)

SIZES = [(64, 64), (97, 64), (40, 131), (301, 200), (33, 33)]


def picture(width: int, height: int, seed: int = 0, channels: int = 3) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)
    return Image.fromarray(pixels)


@pytest.mark.parametrize("size", SIZES)
def test_clip_recipe_is_torchvisions(size: tuple[int, int]) -> None:
    image = picture(*size)
    reference = v2.Compose(
        [
            v2.Resize(64, v2.InterpolationMode.BICUBIC),
            v2.CenterCrop(64),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(OPENAI_MEAN, OPENAI_STD),
        ]
    )(image)
    torch.testing.assert_close(ClipRecipe(64)([image])[0], reference, atol=1e-6, rtol=0)


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("size", SIZES)
def test_hps_recipe_is_torchvisions(size: tuple[int, int], antialias: bool) -> None:
    image = picture(*size)
    tensor = tvf.to_tensor(image)
    height, width = tensor.shape[-2:]
    scale = 64 / max(height, width)
    new = [round(height * scale), round(width * scale)]
    tensor = tvf.resize(tensor, new, tvf.InterpolationMode.BICUBIC, antialias=antialias)
    below, right = 64 - new[0], 64 - new[1]
    pad = [right // 2, below // 2, right - right // 2, below - below // 2]
    reference = tvf.normalize(tvf.pad(tensor, pad), list(OPENAI_MEAN), list(OPENAI_STD))
    ours = HpsRecipe(64, antialias)([image])[0]
    torch.testing.assert_close(ours, reference, atol=1e-5, rtol=0)


def test_antialias_changes_pixels_and_identity() -> None:
    image = picture(256, 256)
    on, off = HpsRecipe(64, True), HpsRecipe(64, False)
    assert (on([image]) - off([image])).abs().max() > 0.1
    assert on.identity != off.identity
    assert len({on.identity, off.identity, ClipRecipe(64).identity, ClipRecipe(32).identity}) == 4


def test_hps_pads_with_black_before_normalising() -> None:
    padded = HpsRecipe(64, True)([Image.new("RGB", (64, 32), (255, 255, 255))])[0]
    black = -torch.tensor(OPENAI_MEAN) / torch.tensor(OPENAI_STD)
    torch.testing.assert_close(padded[:, 0, 0], black)
    torch.testing.assert_close(padded[:, 15, 0], black)
    assert (padded[:, 16, 0] > 1).all()


def test_a_thread_of_an_image_is_refused_before_it_is_enlarged() -> None:
    thread = Image.new("RGB", (1, 40_000))  # would be resized to 224 x 8,960,000
    with pytest.raises(PpdbenchError, match="too narrow"):
        ClipRecipe(224)([thread])
    assert HpsRecipe(224, antialias=True)([thread]).shape == (1, 3, 224, 224)


def test_a_batch_mixes_sizes() -> None:
    images = [picture(*size) for size in SIZES]
    for recipe in (ClipRecipe(64), HpsRecipe(64, True)):
        batch = recipe(images)
        assert batch.shape == (len(SIZES), 3, 64, 64)
        for row, image in zip(batch, images, strict=True):
            assert torch.equal(row, recipe([image])[0])


def test_palette_and_alpha_become_rgb_before_resizing() -> None:
    colour = picture(100, 80, seed=3)
    palette = colour.quantize(64)
    assert palette.mode == "P"
    plain = palette.convert("RGB")
    assert torch.equal(ClipRecipe(64)([palette]), ClipRecipe(64)([plain]))
    for key in (0, bytes(range(64))):  # a transparent colour, and alpha by palette entry
        palette.info["transparency"] = key
        assert_array_equal(np.array(to_rgb(palette)), np.array(plain))


def test_alpha_is_dropped_not_blended() -> None:
    rgba = picture(64, 64, channels=4)
    assert_array_equal(np.array(to_rgb(rgba)), np.array(rgba)[..., :3])
    for recipe in (ClipRecipe(64), HpsRecipe(64, True)):
        assert recipe([rgba]).shape == (1, 3, 64, 64)


def test_grey_has_three_equal_channels() -> None:
    grey = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8))
    rgb = np.array(to_rgb(grey))
    assert_array_equal(rgb[..., 0], rgb[..., 2])
