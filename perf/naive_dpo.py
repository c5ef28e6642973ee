"""The script that a careful user would write for the same training from what is published.

The recipe is Diffusion-DPO's (SalesforceAIResearch/DiffusionDPO, `train.py`): a second UNet is the
frozen reference, timestep and noise are shared by a pair, errors are means. Only an adapter is
trained, so the rest is as in diffusers' LoRA examples: both UNets frozen and in bfloat16, trained
layers in float32, autocast, AdamW as torch has it, gradients accumulated. The model is diffusers'
`StableCascadeUNet` as it comes; the adapter is ours, so that both sides train the same. Latents and
text states are ready on the device, the reference runs without gradients, everything is in eval
mode: nothing is made slow on purpose.

Winner and loser take two forwards, or, with `joined`, one, as the published script has it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from diffusers.models.unets.unet_stable_cascade import StableCascadeUNet
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from trainers.stable_cascade.adapter_shape import AdapterShape
from trainers.stable_cascade.schedule import add_noise
from trainers.stable_cascade.user_attention import UserAdapter, new_adapter


@dataclass(frozen=True, slots=True)
class Pairs:
    """B pairs on the device."""

    winner: Tensor
    loser: Tensor
    hidden: Tensor
    pooled: Tensor
    users: Tensor

    @classmethod
    def random(cls, size: int, stage_c: dict[str, Any], side: int, tokens: int, at: str) -> Pairs:
        """Random numbers; `side` of a latent, `tokens` of a caption."""
        latents = (size, stage_c["in_channels"], side, side)
        return cls(
            winner=torch.randn(latents, device=at),
            loser=torch.randn(latents, device=at),
            hidden=torch.randn(size, tokens, stage_c["clip_text_in_channels"], device=at),
            pooled=torch.randn(size, 1, stage_c["clip_text_pooled_in_channels"], device=at),
            users=torch.eye(3, device=at).repeat(-(-size // 3), 1)[:size],
        )


class NaiveDpo:
    """Model, reference and optimizer; `micro_step` and `optimizer_step` make a training."""

    def __init__(
        self,
        stage_c: dict[str, Any],
        shape: AdapterShape,
        *,
        device: str,
        lr: float,
        beta: float,
        joined: bool = False,
    ) -> None:
        """`beta` is `beta_dpo` of the published script."""
        torch.manual_seed(0)
        with torch.device(device):
            self.unet: nn.Module = StableCascadeUNet(**stage_c).to(torch.bfloat16)
            self.ref_unet: nn.Module = StableCascadeUNet(**stage_c).to(torch.bfloat16)
        self.ref_unet.load_state_dict(self.unet.state_dict())
        self.ref_unet.requires_grad_(False).eval()
        self.adapter: UserAdapter = new_adapter(self.unet, shape, seed=0).to(device)
        self.parameters = list(self.adapter.parameters())
        self.optimizer = torch.optim.AdamW(self.parameters, lr=lr, weight_decay=0.01)
        self.device, self.beta, self.joined = torch.device(device), beta, joined
        self.image_width = stage_c["clip_image_in_channels"]

    def micro_step(self, pairs: Pairs, *, parts: int) -> Tensor:
        """Add the gradients of one of `parts` micro-batches; its loss."""
        noise = torch.randn_like(pairs.winner)
        timestep = torch.rand(len(noise), device=self.device).clamp(0.001, 1)
        sides = [pairs.winner, pairs.loser]
        if self.joined:
            errors = self._errors(
                torch.cat(sides), noise.repeat(2, 1, 1, 1), timestep.repeat(2), pairs
            )
            error_w, error_l = errors[0].chunk(2)
            ref_w, ref_l = errors[1].chunk(2)
        else:
            (error_w, ref_w), (error_l, ref_l) = (
                self._errors(side, noise, timestep, pairs) for side in sides
            )
        inside = -0.5 * self.beta * ((error_w - error_l) - (ref_w - ref_l))
        loss = -logsigmoid(inside).mean()
        torch.autograd.backward(loss / parts)
        return loss.detach()

    def optimizer_step(self) -> Tensor:
        """Clip, step, and let the gradients go; their norm."""
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return norm

    def _errors(
        self, latents: Tensor, noise: Tensor, timestep: Tensor, pairs: Pairs
    ) -> tuple[Tensor, Tensor]:
        """Mean squared errors (B,) of the policy and of the reference."""
        noisy = add_noise(latents, noise, timestep)
        again = len(latents) // len(pairs.users)
        users, hidden = pairs.users.repeat(again, 1), pairs.hidden.repeat(again, 1, 1)
        inputs = {
            "sample": noisy.to(torch.bfloat16),
            "timestep_ratio": timestep,
            "clip_text_pooled": pairs.pooled.repeat(again, 1, 1).to(torch.bfloat16),
            "clip_text": hidden.to(torch.bfloat16),
            "clip_img": torch.zeros(
                len(noisy), 1, self.image_width, device=self.device, dtype=torch.bfloat16
            ),
        }
        with torch.autocast(self.device.type, torch.bfloat16):
            with self.adapter.tokens(users):
                predicted = self.unet(**inputs).sample
            with torch.no_grad():
                reference = self.ref_unet(**inputs).sample
        axes = (1, 2, 3)
        error = (predicted.float() - noise).square().mean(axes)
        return error, (reference.float() - noise).square().mean(axes)
