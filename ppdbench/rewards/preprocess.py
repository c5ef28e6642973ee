"""From a picture to a model's input: the recipes, each with an identity that stands by its scores.

Every recipe converts to RGB first; open_clip's own does so after resizing, which interpolates
palette indices and alpha. Elsewhere: who shares which recipe's output (`engine`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from ppdbench.data.images import MOST_PIXELS
from ppdbench.errors import PpdbenchError

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

OPENAI_MEAN = (0.48145466, 0.4578275, 0.40821073)
OPENAI_STD = (0.26862954, 0.26130258, 0.27577711)

Channels = tuple[float, float, float]


class Recipe(Protocol):
    """Pictures to one batch of a model's input; equal recipes compare equal."""

    @property
    def identity(self) -> str:
        """All that changes a pixel, in words; recorded with every score."""
        ...

    def __call__(self, images: Sequence[Image]) -> Tensor:
        """Return float32 of shape (N, 3, size, size), normalised."""
        ...


def to_rgb(image: Image) -> Image:
    """Convert palette, grey and alpha pictures to RGB; alpha is dropped, not blended."""
    if image.mode == "RGB":
        return image
    if "transparency" in image.info:  # straight to RGB, Pillow warns and may drop the palette's
        image = image.convert("RGBA")
    return image.convert("RGB")


@dataclass(frozen=True, slots=True)
class ClipRecipe:
    """CLIP's: shortest side to `size` (PIL bicubic, 8 bit), centre crop, scale, normalise.

    `crop` is where half a pixel goes when an odd number of them is cut off: to the even side as
    torchvision rounds (open_clip), or down as transformers' CLIP processor does (PickScore).
    """

    size: int
    mean: Channels = OPENAI_MEAN
    std: Channels = OPENAI_STD
    crop: Literal["round", "floor"] = "round"

    @property
    def identity(self) -> str:
        """As recorded with a score."""
        how = "" if self.crop == "round" else f"-{self.crop}"
        crop = f"rgb>shortest{self.size}-pil-bicubic>centre-crop{how}"
        return f"clip:{crop}>{_normalise_identity(self.mean, self.std)}"

    def __call__(self, images: Sequence[Image]) -> Tensor:
        """Return float32 of shape (N, 3, size, size), normalised."""
        import torch

        batch = torch.stack([_as_tensor(self._resize_crop(to_rgb(image))) for image in images])
        return _normalise(batch, self.mean, self.std)

    def _resize_crop(self, image: Image) -> Image:
        from PIL import Image as PilImage

        width, height = image.size
        short = min(width, height)
        if short != self.size:
            # torchvision truncates the long side and rounds the crop's corner; so does this.
            width = self.size if width == short else int(self.size * width / short)
            height = self.size if height == short else int(self.size * height / short)
            if width * height > MOST_PIXELS:
                raise PpdbenchError(
                    f"an image of {image.width} x {image.height} is too narrow: it would be "
                    f"resized to {width} x {height}",
                    fix="crop it",
                )
            image = image.resize((width, height), PilImage.Resampling.BICUBIC)
        left, top = self._corner(width), self._corner(height)
        return image.crop((left, top, left + self.size, top + self.size))

    def _corner(self, side: int) -> int:
        cut = side - self.size
        return round(cut / 2) if self.crop == "round" else cut // 2


@dataclass(frozen=True, slots=True)
class HpsRecipe:
    """HPSv2's: longest side to `size` (bicubic on floats), centre zero padding, then normalise.

    `antialias` must be said: the original leaves it to torchvision, whose default for tensors
    changed from off to on with 0.17, and scores with it (by several percent).
    Values are not clamped after resizing, as in the original.
    """

    size: int
    antialias: bool
    mean: Channels = OPENAI_MEAN
    std: Channels = OPENAI_STD

    @property
    def identity(self) -> str:
        """As recorded with a score."""
        resize = f"longest{self.size}-float-bicubic-antialias-{'on' if self.antialias else 'off'}"
        return f"hps:rgb>{resize}>pad0>{_normalise_identity(self.mean, self.std)}"

    def __call__(self, images: Sequence[Image]) -> Tensor:
        """Return float32 of shape (N, 3, size, size), normalised."""
        import torch

        batch = torch.stack([self._resize_pad(_as_tensor(to_rgb(image))) for image in images])
        return _normalise(batch, self.mean, self.std)

    def _resize_pad(self, image: Tensor) -> Tensor:
        from torch.nn import functional

        height, width = image.shape[-2:]
        scale = self.size / max(height, width)
        if scale != 1.0:
            height, width = max(1, round(height * scale)), max(1, round(width * scale))
            image = functional.interpolate(
                image[None],
                size=(height, width),
                mode="bicubic",
                align_corners=False,
                antialias=self.antialias,
            )[0]
        below, right = self.size - height, self.size - width
        top, left = below // 2, right // 2
        return functional.pad(image, (left, right - left, top, below - top))


def _as_tensor(image: Image) -> Tensor:
    """Return float32 of shape (3, H, W) in [0, 1]."""
    import numpy as np
    import torch

    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().float().div_(255)


def _normalise(batch: Tensor, mean: Channels, std: Channels) -> Tensor:
    shift, scale = (batch.new_tensor(values).view(1, 3, 1, 1) for values in (mean, std))
    return batch.sub_(shift).div_(scale)


def _normalise_identity(mean: Channels, std: Channels) -> str:
    if all(map(math.isclose, (*mean, *std), (*OPENAI_MEAN, *OPENAI_STD))):
        return "openai-mean-std"
    return f"mean{list(mean)}-std{list(std)}".replace(" ", "")
