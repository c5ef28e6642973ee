"""The model in training: a frozen base that hears users through an adapter.

One module, so that accelerate wraps what has gradients; the reference is the same module asked
without users.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from trainers.stable_cascade.adapter_shape import AdapterShape
from trainers.stable_cascade.stage_c import Base, TextConditioning
from trainers.stable_cascade.user_attention import UserAdapter, new_adapter


class Policy(nn.Module):
    """Predicts noise, for users or, with the adapter off, for nobody."""

    def __init__(self, base: Base, shape: AdapterShape, *, seed: int) -> None:
        super().__init__()
        base.requires_grad_(False).eval()
        self.base = base
        self.adapter: UserAdapter = new_adapter(base.unet, shape, seed=seed).to(base.device)

    def forward(
        self, latents: Tensor, timestep: Tensor, text: TextConditioning, users: Tensor | None
    ) -> Tensor:
        """Noise (B, C, H, W) in x_t (B, C, H, W) at timesteps (B,) for users (B, user_dim).

        None is nobody: the base alone.
        """
        with self.adapter.off() if users is None else self.adapter.tokens(users):
            return self.base.predict_noise(latents, timestep, text)

    @torch.no_grad()
    def reference(self, latents: Tensor, timestep: Tensor, text: TextConditioning) -> Tensor:
        """The same by the base alone, without gradients."""
        # Called as a module: a sharded policy gathers its weights on the way in.
        return cast(Tensor, self(latents, timestep, text, None))

    def train(self, mode: bool = True) -> Policy:
        """Dropout in the base would make its difference from itself noise: it stays in eval."""
        super().train(mode)
        self.base.eval()
        return self
