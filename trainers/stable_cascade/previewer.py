"""The tiny previewer: latents straight to pictures, in the role of Stable Cascade's Previewer.

The original decodes through Stage B and Stage A and offers a convolutional previewer for quick
looks; at this scale the previewer's pictures are the pictures.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn


class Previewer(nn.Module):
    """16 x 4 x 4 latents to 64 x 64 pictures."""

    def __init__(
        self, latent_channels: int = 16, widths: tuple[int, ...] = (128, 112, 64, 32, 24)
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(latent_channels, widths[0], 1)]
        layers += [_Block(widths[0]), _Block(widths[0])]
        for width, narrower in zip(widths, widths[1:], strict=False):
            layers += [nn.Conv2d(width, 4 * narrower, 1), nn.PixelShuffle(2), _Block(narrower)]
        layers += [nn.Conv2d(widths[-1], 3, 3, padding=1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, latents: Tensor) -> Tensor:
        """Pictures (B, 3, 16 H, 16 W), near [0, 1] but not clipped, of latents (B, 16, H, W)."""
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
            nn.GroupNorm(4 if width % 8 else 8, width),
            nn.GELU(),
            nn.Conv2d(width, width, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, x + self.layers(x))
