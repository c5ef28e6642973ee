"""What must not pass: the originals' own pipelines with one step done wrong.

Each function takes what an original built (its model, its preprocessing) and returns it with one
mistake that people make. Elsewhere: which side can make which (`original_*`), by how much scores
move (`compare`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torchvision import transforms
from torchvision.transforms import functional

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

ACTIVATION = "wrong-activation"
NO_ANTIALIAS = "no-antialias"
SQUASHED = "squashed-not-cropped"
CORNER_PADDING = "corner-padding"
LATE_PADDING = "padding-after-normalise"
CROPPED = "cropped-not-padded"

SHORTEST_SIDE_ERRORS = (ACTIVATION, NO_ANTIALIAS, SQUASHED)
"""For recipes that shrink the shortest side with Pillow and crop."""
LONGEST_SIDE_ERRORS = (ACTIVATION, CORNER_PADDING, LATE_PADDING, CROPPED)
"""For HPSv2's, which shrinks the longest side and pads; its antialias is compared as a mode."""


# Kept before a side puts ours in their place.
_torchvision_resize, _torchvision_pad = functional.resize, functional.pad


class QuickGELU(nn.Module):
    """x * sigmoid(1.702 x): OpenAI's activation."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply it."""
        return x * torch.sigmoid(1.702 * x)


def swap_activation(model: nn.Module) -> None:
    """Put GELU where QuickGELU is and the reverse, whoever's class it is.

    Raises:
        RuntimeError: the model has neither.
    """
    wrong = {"GELU": QuickGELU, "GELUActivation": QuickGELU}
    wrong |= {"QuickGELU": nn.GELU, "QuickGELUActivation": nn.GELU}  # type: ignore[dict-item]
    found = 0
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if make := wrong.get(type(child).__name__):
                setattr(module, name, make())
                found += 1
    if not found:
        raise RuntimeError("no activation to swap")


def shortest_side_transform(error: str, mean: Sequence[float], std: Sequence[float]) -> Any:
    """CLIP's preprocessing at 224 with one error; CLIP's own for an error elsewhere."""
    bicubic = transforms.InterpolationMode.BICUBIC
    resize = transforms.Resize((224, 224) if error == SQUASHED else 224, interpolation=bicubic)
    steps = [to_rgb, resize, transforms.CenterCrop(224), transforms.ToTensor()]
    if error == NO_ANTIALIAS:  # only tensors can be resized so; on Pillow's the flag does nothing
        resize = transforms.Resize(224, interpolation=bicubic, antialias=False)
        steps = [to_rgb, transforms.ToTensor(), resize, transforms.CenterCrop(224)]
    return transforms.Compose([*steps, transforms.Normalize(mean, std)])


def to_rgb(image: Image) -> Image:
    """Convert a picture to RGB."""
    return image.convert("RGB")


def resize_without_antialias(
    image: Tensor, size: list[int], interpolation: Any, antialias: bool = False
) -> Tensor:
    """Torchvision's resize of tensors as it was before 0.17, when nothing is said of antialias."""
    resized: Tensor = _torchvision_resize(image, size, interpolation, antialias=antialias)
    return resized


def pad_corner(image: Tensor, padding: list[int], fill: float = 0) -> Tensor:
    """Pad right and below by all that should be on four sides."""
    left, top, right, bottom = padding
    padded: Tensor = _torchvision_pad(image, [0, 0, left + right, top + bottom], fill=fill)
    return padded
