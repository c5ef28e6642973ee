"""The base model: Stage C, its text encoder, the semantic compressor and the previewer.

Stage C is diffusers' `StableCascadeUNet` and the text encoder transformers'
`CLIPTextModelWithProjection`: the classes that also load the published weights. Elsewhere: noise
(`schedule.py`), drawing (`sampler.py`, `pipeline.py`), users (`user_attention.py`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ppdbench.errors import MissingPrerequisite, one_line
from trainers.stable_cascade.compressor import SemanticCompressor
from trainers.stable_cascade.previewer import Previewer

if TYPE_CHECKING:
    from transformers import CLIPTextModelWithProjection, CLIPTokenizer

FILES = ("stage_c", "text_encoder", "compressor", "previewer")


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
                quick.load_state_dict(child.state_dict())
                setattr(parent, name, quick)


class Base(nn.Module):
    """A Stable Cascade with everything that a caption needs to become a picture.

    Always in eval mode: diffusers' config has dropout 0.1, which would turn the difference
    between a tuned model and its reference into noise.
    """

    def __init__(self, config: dict[str, Any], tokenizer_folder: Path) -> None:
        super().__init__()
        from diffusers.models.unets.unet_stable_cascade import StableCascadeUNet
        from transformers import CLIPTextConfig, CLIPTextModelWithProjection, CLIPTokenizer

        self.config = config
        self.unet: nn.Module = StableCascadeUNet(**config["stage_c"])
        quicken_norms(self.unet)
        self.text_encoder: CLIPTextModelWithProjection = CLIPTextModelWithProjection(
            CLIPTextConfig(**config["text_encoder"])
        )
        self.compressor = SemanticCompressor(config["stage_c"]["in_channels"])
        self.previewer = Previewer(config["stage_c"]["in_channels"])
        self.tokenizer: CLIPTokenizer = CLIPTokenizer.from_pretrained(str(tokenizer_folder))
        self.sha256 = ""

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
        output = self.text_encoder(input_ids=tokens.to(self.device), output_hidden_states=True)
        return TextConditioning(output.hidden_states[-1], output.text_embeds[:, None])

    @torch.no_grad()
    def encode_text(self, captions: Sequence[str]) -> TextConditioning:
        """Conditioning of captions, without gradients; the empty caption is the unconditional."""
        return self.encode_tokens(self.tokenize(captions))

    def predict_noise(self, latents: Tensor, timestep: Tensor, text: TextConditioning) -> Tensor:
        """Stage C's estimate of the noise in x_t (B, C, H, W) at timesteps (B,).

        The image embedding is zeros, as in text-to-image sampling with the original: leaving it
        out would silently drop the text tokens too (diffusers' `get_clip_embeddings`).
        """
        width = self.config["stage_c"]["clip_image_in_channels"]
        no_image = text.hidden.new_zeros(len(latents), 1, width)
        output = self.unet(
            latents,
            timestep_ratio=timestep,
            clip_text_pooled=text.pooled,
            clip_text=text.hidden,
            clip_img=no_image,
        )
        return cast(Tensor, output.sample)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device


def load_base(folder: Path, device: str = "cpu") -> Base:
    """Load a base folder: config.json, tokenizer/, one safetensors file a part.

    Raises:
        MissingPrerequisite: a file is missing, cut short, or has other keys than the model.
    """
    config = read_config(folder)
    try:
        base = Base(config, folder / "tokenizer")
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise MissingPrerequisite(
            f"config.json or tokenizer/ in {folder} is damaged: {one_line(error)}", fix=_REPAIR
        ) from error
    for name, module in base.parts.items():
        path = folder / f"{name}.safetensors"
        if not path.is_file():
            raise MissingPrerequisite(f"{path} is missing", fix=_REPAIR)
        try:
            weights = {
                key: value.float() if value.is_floating_point() else value
                for key, value in load_file(path).items()
            }
            module.load_state_dict(weights, strict=True)
        except (OSError, RuntimeError, SafetensorError) as error:
            raise MissingPrerequisite(
                f"{path} cannot be read: {one_line(error)}", fix=_REPAIR
            ) from error
    base.sha256 = base_sha256(folder)
    return base.eval().requires_grad_(False).to(device)


def read_config(folder: Path) -> dict[str, Any]:
    """The base's config.json.

    Raises:
        MissingPrerequisite: there is no base in the folder, or its config is damaged.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise MissingPrerequisite(f"no base model in {folder}", fix=_REPAIR)
    return _json(path)


def base_sha256(folder: Path) -> str:
    """One hash over the base's parts, from its manifest where it has one, else from the files.

    Raises:
        MissingPrerequisite: the manifest is damaged.
        OSError: no manifest, and a file is missing.
    """
    digest = hashlib.sha256()
    manifest = folder / "manifest.json"
    recorded = _json(manifest).get("sha256") if manifest.is_file() else {}
    if not isinstance(recorded, dict):
        raise MissingPrerequisite(f"{manifest} is damaged: it has no hashes", fix=_REPAIR)
    for name in FILES:
        file = f"{name}.safetensors"
        known = recorded.get(file)
        digest.update((known or hashlib.sha256((folder / file).read_bytes()).hexdigest()).encode())
    return digest.hexdigest()


def _json(path: Path) -> dict[str, Any]:
    try:
        read = json.loads(path.read_text())
    except ValueError as error:
        raise MissingPrerequisite(f"{path} is damaged: {one_line(error)}", fix=_REPAIR) from error
    if not isinstance(read, dict):
        raise MissingPrerequisite(f"{path} is damaged: it holds no object", fix=_REPAIR)
    return read


_REPAIR = "reinstall ppdbench, or rebuild the world with `python -m trainers.shapes`"
