"""The tiny semantic compressor: pictures to the latents that Stage C draws in.

Built as the original's EfficientNetV2-S compressor is: a convolutional encoder, a 1 x 1
convolution to the latent channels, then a batch norm without affine parameters that makes the
latents' statistics those of unit noise (Stability-AI/StableCascade `modules/effnet.py`).
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn


class SemanticCompressor(nn.Module):
    """64 x 64 pictures to 8 x 8 x 8 latents."""

    def __init__(self, latent_channels: int = 8, widths: tuple[int, ...] = (32, 64, 128)) -> None:
        super().__init__()
        self.latent_channels = latent_channels
        self.factor = 2 ** len(widths)
        layers: list[nn.Module] = []
        channels = 3
        for width in widths:
            layers += [nn.Conv2d(channels, width, 4, stride=2, padding=1), nn.GELU()]
            layers += [_Residual(width)]
            channels = width
        self.backbone = nn.Sequential(*layers)
        self.mapper = nn.Sequential(
            nn.Conv2d(channels, latent_channels, 1),
            nn.BatchNorm2d(latent_channels, affine=False),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Latents (B, C, H/8, W/8) of images (B, 3, H, W) in [0, 1]."""
        return cast(Tensor, self.mapper(self.backbone(images * 2 - 1)))

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Latents of images in [0, 1], without gradients, with the frozen statistics."""
        if self.training:
            raise RuntimeError("the compressor must be in eval mode to encode")
        return cast(Tensor, self(images))


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, groups=width),
            nn.Conv2d(width, 2 * width, 1),
            nn.GELU(),
            nn.Conv2d(2 * width, width, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, x + self.block(x))
