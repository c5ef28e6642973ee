"""Compressor and previewer: shapes that fit, unit statistics, frozen when encoding."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from trainers.shapes.train_base import ARCHITECTURE
from trainers.stable_cascade.compressor import SemanticCompressor
from trainers.stable_cascade.previewer import Previewer

CHANNELS = 6


@pytest.fixture
def pictures() -> Tensor:
    return torch.rand(6, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def compressor() -> SemanticCompressor:
    torch.manual_seed(0)
    return SemanticCompressor(CHANNELS)


@pytest.fixture
def previewer() -> Previewer:
    torch.manual_seed(0)
    return Previewer(CHANNELS).eval()


@pytest.mark.parametrize("size", [(64, 64), (32, 48)])
def test_pictures_come_back_in_their_size(
    compressor: SemanticCompressor, previewer: Previewer, size: tuple[int, int]
) -> None:
    latents = compressor.eval().encode(torch.rand(2, 3, *size))
    assert latents.shape[:2] == (2, CHANNELS)
    assert latents.numel() < 2 * 3 * size[0] * size[1] / 8  # it compresses
    assert previewer.decode(latents).shape == (2, 3, *size)


def test_the_worlds_stage_c_fits_them() -> None:
    """Stage C's channels and side are those that the compressor makes of the suite's pictures."""
    channels, side = ARCHITECTURE["stage_c"]["in_channels"], ARCHITECTURE["latent_side"]
    latents = SemanticCompressor(channels).eval().encode(torch.zeros(1, 3, 64, 64))
    assert latents.shape == (1, channels, side, side)
    assert ARCHITECTURE["stage_c"]["out_channels"] == channels
    assert latents.shape == SemanticCompressor().eval().encode(torch.zeros(1, 3, 64, 64)).shape
    assert Previewer().decode(latents).shape == (1, 3, 64, 64)


def test_training_latents_have_unit_statistics_by_construction(
    compressor: SemanticCompressor, pictures: Tensor
) -> None:
    """Batch norm without affine parameters: what makes N(0, 1) noise fit the latents."""
    names = [name for name, _ in compressor.mapper.named_parameters()]
    assert names == ["0.weight", "0.bias"]
    # Untrained features are so flat that the norm's eps would show.
    compressor.state_dict()["mapper.0.weight"].mul_(100)
    latents = compressor.train()(pictures)
    torch.testing.assert_close(latents.mean((0, 2, 3)), torch.zeros(CHANNELS), rtol=0, atol=1e-4)
    variance = latents.var((0, 2, 3), unbiased=False)
    torch.testing.assert_close(variance, torch.ones(CHANNELS), rtol=0, atol=0.02)


def test_encoding_wants_the_frozen_statistics(
    compressor: SemanticCompressor, pictures: Tensor
) -> None:
    with pytest.raises(RuntimeError, match="eval mode"):
        compressor.train().encode(pictures)
    before = {name: buffer.clone() for name, buffer in compressor.named_buffers()}
    latents = compressor.eval().encode(pictures)
    assert not latents.requires_grad
    assert all(torch.equal(before[name], b) for name, b in compressor.named_buffers())


def test_a_pictures_latents_are_its_own(
    compressor: SemanticCompressor, previewer: Previewer, pictures: Tensor
) -> None:
    latents = compressor.eval().encode(pictures)
    alone = compressor.encode(pictures[2:3])
    torch.testing.assert_close(alone, latents[2:3], rtol=1e-4, atol=1e-5)
    decoded = previewer.decode(latents)
    torch.testing.assert_close(previewer.decode(alone), decoded[2:3], rtol=1e-4, atol=1e-5)


def test_decoded_pictures_are_clipped_only_when_decoded(previewer: Previewer) -> None:
    """Training needs the gradient of what is out of range; a picture must be in range."""
    *_, bias = previewer.parameters()
    with torch.no_grad():
        bias.copy_(torch.tensor([-9.0, 0.0, 9.0]))
    latents = torch.randn(2, CHANNELS, 4, 4)
    raw, decoded = previewer(latents), previewer.decode(latents)
    assert raw.min() < 0 and raw.max() > 1 and raw.requires_grad
    assert decoded.min() == 0 and decoded.max() == 1 and not decoded.requires_grad
    assert torch.equal(raw.detach().clamp(0, 1), decoded)
