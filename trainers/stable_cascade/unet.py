"""Stage C and Stage B: diffusers' `StableCascadeUNet`, with times that no precision coarsens."""

from __future__ import annotations

from typing import Any

from diffusers.models.unets.unet_stable_cascade import StableCascadeUNet
from torch import Tensor


class CascadeUNet(StableCascadeUNet):
    """The same layers and keys; timesteps are embedded in float32 whatever the weights are in.

    The embedding is sines and cosines of 10,000 t. In bfloat16 such a number is known to 32 near
    its end, five turns of the fastest sine: diffusers, and whoever casts all inputs, feeds noise.
    """

    def get_timestep_ratio_embedding(
        self, timestep_ratio: Tensor, max_positions: int = 10000
    ) -> Tensor:
        """Embedding (B, d) of timesteps (B,), in the weights' precision."""
        embed: Any = super().get_timestep_ratio_embedding
        exact: Tensor = embed(timestep_ratio.float(), max_positions)
        return exact.to(self.clip_txt_pooled_mapper.weight.dtype)
