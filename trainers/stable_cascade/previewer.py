"""The tiny previewer: latents straight to pictures, in the role of Stable Cascade's Previewer.

The original decodes through Stage B and Stage A and offers a convolutional previewer for quick
looks; at this scale the previewer's pictures are the pictures.
"""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn


class Previewer(nn.Module):
    """8 x 8 x 8 latents to 64 x 64 pictures."""

    def __init__(
        self, latent_channels: int = 8, widths: tuple[int, ...] = (112, 64, 32, 8)
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(latent_channels, widths[0], 1)]
        layers += [_Block(widths[0]), _Block(widths[0])]
        for width, narrower in pairwise(widths):
            layers += [nn.Conv2d(width, 4 * narrower, 1), nn.PixelShuffle(2), _Block(narrower)]
        layers += [nn.Conv2d(widths[-1], 3, 3, padding=1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, latents: Tensor) -> Tensor:
        """Pictures (B, 3, 8 H, 8 W), near [0, 1] but not clipped, of latents (B, C, H, W)."""
        return cast(Tensor, self.layers(latents) * 0.5 + 0.5)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Pictures clipped to [0, 1], without gradients."""
        return cast(Tensor, self(latents)).clamp(0, 1)


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            nn.GroupNorm(4, width),
            nn.GELU(),
            nn.Conv2d(width, width, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, x + self.layers(x))
