"""Full-size random weights from seeds, scaled so that the recipe shows in the score.

No published weights are at hand, and parity does not need them: the same numbers through the same
architecture must give the same score. But a wrong recipe must not, and with weights as they are
initialised for training it hardly moves some scores: attention is flat, so the class token sees
the mean of 256 patches, and the MLPs add little. Here every matrix keeps the variance of what it
is given, except two: queries and keys are `SHARPNESS` times larger, the MLPs' output `MLP_GAIN`
times.

Chosen by measuring (ViT-H/14, four oblong pictures of 480 to 2048 pixels shrunk by HPSv2's recipe,
both towers, 1 unit = 1e-5 in cosine, medians): the noise of fp32 is batch 1 against batch 4.

    SHARPNESS MLP_GAIN   antialias off   corner padding   activation   noise (largest)
    as open_clip starts             26               62           49             0.006
    1.0       1.0                   65              323           12             0.007
    1.5       1.0                  721              403            9             0.003
    2.0       1.0                 2169             1428           20             0.010
    2.5       1.0                 3356             3345          283             0.059
    2.0       2.0                  355              654          100             0.011
    2.0       4.0                  492              311           73             0.012

So (2, 2): every error moves scores by far more than ten units, and the network is not chaotic:
fp32 noise stays two orders below one unit. Beyond sharpness 2 it grows sixfold a step.
Elsewhere: the files (`checkpoints`).
"""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

SHARPNESS = 2.0
MLP_GAIN = 2.0

HEAD_WIDTHS = (768, 1024, 128, 64, 16, 1)
HEAD_NAMES = (0, 2, 4, 6, 7)
"""Places of the linear layers in the published head's nn.Sequential; dropout has the others."""
HEAD_NORM = 18.0
"""Length of the one vector that the head folds into: that of the published head, rounded."""


def draw_state(shapes: dict[str, torch.Size], seed: int) -> dict[str, Tensor]:
    """A CLIP's weights, fp32, for the names of open_clip or of transformers."""
    return {name: draw_tensor(name, shape, seed) for name, shape in shapes.items()}


def draw_tensor(name: str, shape: torch.Size, seed: int) -> Tensor:
    """One weight: what it is follows from its name, its numbers from name, shape and seed."""
    if name == "logit_scale":
        return torch.full(shape, math.log(100))
    noise = torch.randn(shape, generator=_generator(name, seed))
    if "ln_" in name or "norm" in name or "layrnorm" in name:  # transformers spells it so
        return noise.mul_(0.1).add_(1.0 if name.endswith("weight") else 0.0)
    if name.endswith("bias"):
        return noise.mul_(0.1)
    if "token_embedding" in name:
        return noise
    if "embedding" in name and len(shape) < 4:
        return noise.mul_(0.3)
    if name in ("visual.proj", "text_projection"):  # (in, out), where all others are (out, in)
        return noise.mul_(shape[0] ** -0.5)
    noise.mul_(math.prod(shape[1:]) ** -0.5)
    if name.endswith("in_proj_weight"):  # query, key, value
        noise[: shape[0] * 2 // 3].mul_(SHARPNESS)
    elif name.endswith(("q_proj.weight", "k_proj.weight")):
        noise.mul_(SHARPNESS)
    elif name.endswith(("c_proj.weight", "fc2.weight")):
        noise.mul_(MLP_GAIN)
    return noise


def draw_head(seed: int) -> dict[str, Tensor]:
    """An aesthetic head under the published file's names; it folds to a vector of `HEAD_NORM`."""
    state: dict[str, Tensor] = {}
    folded = torch.eye(HEAD_WIDTHS[0], dtype=torch.float64)
    for place, fan_in, fan_out in zip(HEAD_NAMES, HEAD_WIDTHS, HEAD_WIDTHS[1:], strict=False):
        weight, bias = f"layers.{place}.weight", f"layers.{place}.bias"
        state[weight] = torch.randn(fan_out, fan_in, generator=_generator(weight, seed))
        state[weight].mul_(fan_in**-0.5)
        state[bias] = torch.randn(fan_out, generator=_generator(bias, seed)).mul_(0.1)
        folded = state[weight].double() @ folded
    state[weight].mul_(HEAD_NORM / float(folded.norm()))
    state[bias].add_(5.0)
    return state


def _generator(name: str, seed: int) -> torch.Generator:
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
