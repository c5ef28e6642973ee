"""The published previewer: Stage C's latents straight to small pictures, 24 x 24 to 192 x 192.

Keys are those of the original's file, `blocks.N.*` (Stability-AI/StableCascade
`modules/previewer.py`). Elsewhere: full pictures (`decoder.py`), the tiny one (`previewer.py`).
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn


class FullPreviewer(nn.Module):
    """Latents (B, C, H, W) to pictures (B, 3, 8 H, 8 W)."""

    def __init__(self, latent_channels: int = 16, width: int = 512) -> None:
        super().__init__()
        half, quarter = width // 2, width // 4
        # What each stage's convolutions are: inputs, outputs, and whether it doubles the side.
        stages = [
            (latent_channels, width, 1),
            (width, width, 3),
            (width, half, 2),
            (half, half, 3),
            (half, quarter, 2),
            (quarter, quarter, 3),
            (quarter, quarter, 2),
            (quarter, quarter, 3),
        ]
        layers: list[nn.Module] = []
        for inputs, outputs, kernel in stages:
            doubles = kernel == 2
            layers += [
                nn.ConvTranspose2d(inputs, outputs, 2, stride=2)
                if doubles
                else nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2),
                nn.GELU(),
                nn.BatchNorm2d(outputs),
            ]
        self.blocks = nn.Sequential(*layers, nn.Conv2d(quarter, 3, 1))

    def forward(self, latents: Tensor) -> Tensor:
        """Pictures (B, 3, 8 H, 8 W), near [0, 1] but not clipped, of latents (B, C, H, W)."""
        return cast(Tensor, self.blocks(latents))

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Pictures clipped to [0, 1], without gradients, in float32 under any autocast."""
        with torch.autocast(latents.device.type, enabled=False):
            return cast(Tensor, self(latents.float())).clamp(0, 1)
