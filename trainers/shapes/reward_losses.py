"""What the small rewards learn from: contrast, altered captions, and pictures' simple statistics.

Pure functions of tensors. Elsewhere: the trainings that use them (`train_rewards.py`).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def contrastive_loss(logits: Tensor, texts: Tensor, wrong: Tensor) -> Tensor:
    """Symmetric cross-entropy; equal captions share a picture's target, and are no one's negative.

    Args:
        logits: (B, 2 B); pictures against their batch's captions, then against the altered ones.
        texts: (B, L) token ids; row i belongs to picture i.
        wrong: (B, L) altered captions; those that came out unaltered are left out.
    """
    same = (texts[:, None] == texts[None]).all(-1)
    target = same.float() / same.sum(1, keepdim=True)
    true_after_all = (texts[:, None] == wrong[None]).all(-1).to(logits.device)
    masked = torch.cat(
        [logits[:, : len(texts)], logits[:, len(texts) :].masked_fill(true_after_all, -1e4)], dim=1
    )
    by_picture = F.cross_entropy(masked, F.pad(target, (0, len(wrong))).to(logits.device))
    by_caption = F.cross_entropy(logits[:, : len(texts)].T, target.to(logits.device))
    return (by_picture + by_caption) / 2


def exchange_words(tokens: Tensor, generator: torch.Generator) -> Tensor:
    """Exchange one word of each caption by what another caption of equal length has in its place.

    Args:
        tokens: (B, L) ids, zeros after the end token.
        generator: the only randomness.
    """
    lengths = (tokens != 0).sum(1)
    chance = torch.rand(len(tokens), len(tokens), generator=generator)
    usable = lengths[:, None] == lengths[None]
    # Only a donor and a place where the two differ change anything; draw among those.
    donor = chance.masked_fill(~usable | (tokens[:, None] == tokens[None]).all(-1), -1.0).argmax(1)
    differs = tokens != tokens[donor]
    place = torch.rand(tokens.shape, generator=generator).masked_fill(~differs, -1.0).argmax(1)
    rows = torch.arange(len(tokens))
    altered = tokens.clone()
    equal_length = lengths == lengths[donor]
    altered[rows, place] = torch.where(equal_length, tokens[donor, place], tokens[rows, place])
    return altered


def style_statistics(images_u8: Tensor) -> Tensor:
    """Simple statistics of pictures (N, 3, 64, 64): (N, 22), unscaled.

    Mean and spread of each channel; mean luma of nine tiles; spread of luma; log energy of
    neighbouring pixels' differences; mean and spread of chroma; and how far from the centre that
    lies which stands out from the mean colour: x squared, y squared, distance, in half widths.
    """
    blocks = [_style_block(images_u8[i : i + 1024]) for i in range(0, len(images_u8), 1024)]
    return torch.cat(blocks)


def _style_block(images_u8: Tensor) -> Tensor:
    rgb = images_u8.float() / 255
    luma = (rgb * rgb.new_tensor([0.2126, 0.7152, 0.0722]).view(1, 3, 1, 1)).sum(1)
    chroma = (rgb - luma[:, None]).square().sum(1).sqrt()
    fine = (luma[:, 1:] - luma[:, :-1]).square().mean((1, 2)) + (
        luma[..., 1:] - luma[..., :-1]
    ).square().mean((1, 2))
    tiles = F.adaptive_avg_pool2d(luma[:, None], 3).flatten(1)
    columns = [luma.std((1, 2)), (fine + 1e-6).log(), chroma.mean((1, 2)), chroma.std((1, 2))]
    salient = (rgb - rgb.mean((2, 3), keepdim=True)).square().sum(1)
    salient = (salient - 1.5 * salient.mean((1, 2), keepdim=True)).clamp(min=0) + 1e-6
    places = torch.linspace(-1, 1, rgb.shape[-1])
    total = salient.sum((1, 2))
    x, y = (salient.sum(1) @ places) / total, (salient.sum(2) @ places) / total
    columns += [x.square(), y.square(), torch.hypot(x, y)]
    return torch.cat([rgb.mean((2, 3)), rgb.std((2, 3)), tiles, torch.stack(columns, dim=1)], dim=1)
