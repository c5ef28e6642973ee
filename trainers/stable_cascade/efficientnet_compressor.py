"""The published semantic compressor: EfficientNetV2-S features to Stage C's latents.

Keys are those of the original's file (Stability-AI/StableCascade `modules/effnet.py`):
`backbone.*`, `mapper.0.weight`, `mapper.1.running_mean`, ... Elsewhere: the tiny one that shapes
is drawn with (`compressor.py`).
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from trainers.stable_cascade.sizes import COMPRESSED

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's, by which pictures are normalised (`train/train_c.py`)."""
FEATURES = 1280


class EfficientNetCompressor(nn.Module):
    """Pictures (B, 3, 32 H, 32 W) to latents (B, C, H, W): 24 x 24 x 16 of 768 x 768."""

    def __init__(self, latent_channels: int = 16) -> None:
        super().__init__()
        from torchvision.models import efficientnet_v2_s

        self.latent_channels = latent_channels
        self.factor = COMPRESSED
        self.backbone: nn.Module = efficientnet_v2_s(weights=None).features
        self.mapper = nn.Sequential(
            nn.Conv2d(FEATURES, latent_channels, 1, bias=False),
            nn.BatchNorm2d(latent_channels, affine=False),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Latents (B, C, H / 32, W / 32) of images (B, 3, H, W) in [0, 1]."""
        mean, std = (images.new_tensor(each)[:, None, None] for each in (MEAN, STD))
        return cast(Tensor, self.mapper(self.backbone((images - mean) / std)))

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Latents of images in [0, 1], without gradients, in float32 under any autocast."""
        if self.training:
            raise RuntimeError("the compressor must be in eval mode to encode")
        with torch.autocast(images.device.type, enabled=False):
            return cast(Tensor, self(images.float()))
