"""The base model: Stage C, its text encoder, the semantic compressor and the previewer.

Stage C is diffusers' `StableCascadeUNet` and the text encoder transformers'
`CLIPTextModelWithProjection`, tiny or as published. Elsewhere: reading one (`load.py`), noise
(`schedule.py`), drawing (`sampler.py`, `pipeline.py`), users (`user_attention.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from trainers.stable_cascade.compressor import SemanticCompressor
from trainers.stable_cascade.efficientnet_compressor import EfficientNetCompressor
from trainers.stable_cascade.full_previewer import FullPreviewer
from trainers.stable_cascade.previewer import Previewer
from trainers.stable_cascade.schedule import network_time

if TYPE_CHECKING:
    from transformers import CLIPTextModelWithProjection, CLIPTokenizer

    from trainers.stable_cascade.decoder import Decoder

Compressor = SemanticCompressor | EfficientNetCompressor


@dataclass(frozen=True, slots=True)
class TextConditioning:
    """What Stage C is told of a caption."""

    hidden: Tensor
    """(B, L, c): the last hidden state before the final layer norm."""
    pooled: Tensor
    """(B, 1, c): the projected pooled embedding."""

    def __getitem__(self, rows: slice | Tensor) -> TextConditioning:
        return TextConditioning(self.hidden[rows], self.pooled[rows])


class QuickResponseNorm(nn.Module):
    """diffusers' `GlobalResponseNorm` without `torch.norm`.

    Over two axes that is a fifth of a training step on a CPU; this is twice as fast and differs by
    rounding.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1, 1, 1, channels))
        self.beta = nn.Parameter(torch.zeros(1, 1, 1, channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normed (B, H, W, C), and x itself added."""
        # The tiny summand keeps the root's gradient finite where a channel is zero everywhere.
        size = (x.square().sum((1, 2), keepdim=True) + 1e-20).sqrt()
        scale = size / (size.mean(-1, keepdim=True) + 1e-6)
        return self.gamma * (x * scale) + self.beta + x


def quicken_norms(unet: nn.Module) -> None:
    """Put `QuickResponseNorm`, with the same weights, in place of each response norm."""
    from diffusers.models.unets.unet_stable_cascade import GlobalResponseNorm

    for parent in list(unet.modules()):
        for name, child in parent.named_children():
            if isinstance(child, GlobalResponseNorm):
                quick = QuickResponseNorm(child.gamma.shape[-1])
                quick.gamma, quick.beta = child.gamma, child.beta
                setattr(parent, name, quick)


class Base(nn.Module):
    """A Stable Cascade with everything that a caption needs to become a picture.

    Always in eval mode: diffusers' config has dropout 0.1, which would turn the difference
    between a tuned model and its reference into noise.
    """

    compressor: Compressor
    previewer: Previewer | FullPreviewer
    decoder: Decoder | None
    """Stage B and Stage A, where pictures are drawn by them; None: the previewer's are the
    pictures."""

    def __init__(self, config: dict[str, Any], tokenizer_folder: Path) -> None:
        """Make the modules, with weights that mean nothing.

        Args:
            config: `stage_c` and `text_encoder`, the classes' arguments, and `latent_side`. With
                `previewer_width` it is one of the published kind, whose compressor and previewer
                are the original's and whose text encoder sees no padding.
            tokenizer_folder: as transformers reads it.
        """
        super().__init__()
        from transformers import CLIPTextConfig, CLIPTextModelWithProjection, CLIPTokenizer

        from trainers.stable_cascade.unet import CascadeUNet

        self.config = config
        self.unet: nn.Module = CascadeUNet(**config["stage_c"])
        quicken_norms(self.unet)
        self.text_encoder: CLIPTextModelWithProjection = CLIPTextModelWithProjection(
            CLIPTextConfig(**config["text_encoder"])
        )
        channels = config["stage_c"]["in_channels"]
        if self.published:
            self.compressor = EfficientNetCompressor(channels)
            self.previewer = FullPreviewer(channels, config["previewer_width"])
        else:
            self.compressor = SemanticCompressor(channels)
            self.previewer = Previewer(channels)
        self.decoder = None
        self.tokenizer: CLIPTokenizer = CLIPTokenizer.from_pretrained(str(tokenizer_folder))
        self.sha256 = ""

    @property
    def published(self) -> bool:
        """Whether the parts are the published ones, at whatever size."""
        return "previewer_width" in self.config

    @property
    def parts(self) -> dict[str, nn.Module]:
        """The modules by the names of their files."""
        return {
            "stage_c": self.unet,
            "text_encoder": self.text_encoder,
            "compressor": self.compressor,
            "previewer": self.previewer,
        }

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of one picture's latents."""
        channels, side = self.config["stage_c"]["in_channels"], self.config["latent_side"]
        return channels, side, side

    @property
    def image_size(self) -> int:
        """Side in pixels of the pictures that the compressor is fed with to get such latents."""
        return int(self.config["latent_side"]) * self.compressor.factor

    def pictures(self, latents: Tensor, text: TextConditioning, seeds: Sequence[int]) -> Tensor:
        """Pictures (B, 3, H, W) in [0, 1] of latents (B, C, h, w), by the decoder if there is one.

        Args:
            latents: of Stage C.
            text: 2 B rows, as `pipeline.captioned` gives them; the previewer needs none.
            seeds: the pictures' own; the decoder's noise follows from them.
        """
        if self.decoder is None:
            return self.previewer.decode(latents)
        return self.decoder.decode(latents, text.pooled, seeds)

    def tokenize(self, captions: Sequence[str]) -> Tensor:
        """Token ids (B, L), padded and cut to the encoder's length."""
        length = self.config["text_encoder"]["max_position_embeddings"]
        tokens = self.tokenizer(
            list(captions),
            padding="max_length",
            max_length=length,
            truncation=True,
            return_tensors="pt",
        )
        return cast(Tensor, tokens.input_ids)

    def encode_tokens(self, tokens: Tensor) -> TextConditioning:
        """Conditioning of token ids (B, L), with gradients."""
        tokens = tokens.to(self.device)
        # Stable Cascade learnt its captions with the padding masked (`train/base.py`), and reads
        # the padded places too; our own was trained without a mask.
        mask = self._mask(tokens) if self.published else None
        output = self.text_encoder(input_ids=tokens, attention_mask=mask, output_hidden_states=True)
        return TextConditioning(output.hidden_states[-1], output.text_embeds[:, None])

    @torch.no_grad()
    def encode_text(self, captions: Sequence[str]) -> TextConditioning:
        """Conditioning of captions, without gradients; the empty caption is the unconditional."""
        return self.encode_tokens(self.tokenize(captions))

    def _mask(self, tokens: Tensor) -> Tensor:
        """1 for what a caption's tokens (B, L) say, its first end included; 0 for padding."""
        # The tokenizer's: old configs of CLIP call its end 2, which it is not.
        ends = tokens == self.tokenizer.eos_token_id
        said: Tensor = ends.cumsum(1) - ends.long() == 0
        return said.long()

    def predict_noise(self, latents: Tensor, timestep: Tensor, text: TextConditioning) -> Tensor:
        """Stage C's estimate of the noise in x_t (B, C, H, W) at timesteps (B,).

        A published Stage C is told the time as it learnt it, `schedule.network_time`.
        Latents and text may be of another precision than Stage C; the answer is in the latents'.
        The image embedding is zeros, as in text-to-image sampling with the original: leaving it
        out would silently drop the text tokens too (diffusers' `get_clip_embeddings`).
        """
        width = self.config["stage_c"]["clip_image_in_channels"]
        dtype = self.dtype
        hidden = text.hidden.to(dtype)
        no_image = hidden.new_zeros(len(latents), 1, width)
        output = self.unet(
            latents.to(dtype),
            timestep_ratio=network_time(timestep) if self.published else timestep,
            clip_text_pooled=text.pooled.to(dtype),
            clip_text=hidden,
            clip_img=no_image,
        )
        return cast(Tensor, output.sample.to(latents.dtype))

    @property
    def dtype(self) -> torch.dtype:
        """What Stage C's weights are in."""
        return next(self.unet.parameters()).dtype

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device
