"""What is in a shard of a latent cache: pictures' latents and captions' conditioning, made anew.

Elsewhere: which shards, and who writes them (`encoding.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ppdbench.errors import PpdbenchError
from ppdbench.protocols import PreferencePair
from trainers.encoded.decoding import decoded_blocks, unit

if TYPE_CHECKING:
    from trainers.stable_cascade.stage_c import Base

ENCODE_ROWS = 128
"""Images, or captions, a forward of the compressor or the text encoder, at most."""
ENCODE_PIXELS = {"cpu": 8 * 1024**2, "cuda": 64 * 1024**2}
"""Pixels a forward of the compressor, at most: 8 MP are a GB for each layer of 32 channels."""
MOST_NOT_FINITE = 0.5
"""Share of a shard's pairs whose latents may be NaN or infinite: beyond, it is not the pictures."""


def encoded_images(
    pairs: Iterable[PreferencePair], base: Base, size: tuple[int, int], dtype: torch.dtype
) -> dict[str, Tensor]:
    """Latents (n, C, H, W) of the images of n pairs, and which of the pairs are to be left out.

    Of an image that does not decode they are those of black; where they are not finite, zeros.

    Args:
        pairs: images encoded.
        base: whose compressor.
        size: width and height it is fed with.
        dtype: of the latents.

    Raises:
        PpdbenchError: those of too many pairs are not finite.
    """
    width, height = size
    most = ENCODE_PIXELS.get(base.device.type, ENCODE_PIXELS["cpu"])
    rows = max(1, min(ENCODE_ROWS, most // (width * height)))
    sides: tuple[list[Tensor], list[Tensor]] = ([], [])
    pictures: list[tuple[int, int]] = []
    unreadable: list[bool] = []
    names: list[str] = []
    for block in decoded_blocks(pairs, size, rows):
        for side, parts in enumerate(sides):
            images = torch.stack([pair.images[side] for pair in block]).to(base.device)
            parts.append(base.compressor.encode(unit(images)).cpu().to(dtype))
        pictures += [pair.pictures for pair in block]
        unreadable += [not pair.readable for pair in block]
        names += [pair.id for pair in block]
    latents = [torch.cat(parts) for parts in sides]
    bad = torch.tensor(unreadable)
    infinite = ~torch.stack([part.isfinite().flatten(1).all(1) for part in latents]).all(0) & ~bad
    if infinite.sum() > MOST_NOT_FINITE * len(names):
        first = names[int(infinite.int().argmax())]
        raise PpdbenchError(
            f"the latents of {int(infinite.sum())} of {len(names)} pairs are not finite, of pair "
            f"{first} first",
            fix="see that the base's compressor is whole: its file may be damaged",
        )
    gone = infinite[:, None, None, None]
    encoded = {
        f"image_{side}": part.masked_fill(gone, 0).contiguous() for side, part in enumerate(latents)
    }
    encoded["pictures"] = torch.tensor(pictures, dtype=torch.int64)
    marks = {"unreadable": bad, "not_finite": infinite}
    return encoded | {name: mark for name, mark in marks.items() if mark.any()}


def encoded_texts(texts: Sequence[str], base: Base, dtype: torch.dtype) -> dict[str, Tensor]:
    """Text conditioning of n captions: `hidden` (n, L, c) and `pooled` (n, 1, c).

    Raises:
        PpdbenchError: it is not finite.
    """
    hidden, pooled = [], []
    for at in range(0, len(texts), ENCODE_ROWS):
        block = texts[at : at + ENCODE_ROWS]
        part = base.encode_text(block)
        hidden.append(part.hidden.cpu().to(dtype))
        pooled.append(part.pooled.cpu().to(dtype))
        finite = hidden[-1].isfinite().flatten(1).all(1) & pooled[-1].isfinite().flatten(1).all(1)
        if not finite.all():
            text = block[int(finite.int().argmin())]
            raise PpdbenchError(
                f"the text conditioning of {text[:80]!r} is not finite",
                fix="see that the base's text encoder is whole, or encode in another precision",
            )
    return {"hidden": torch.cat(hidden).contiguous(), "pooled": torch.cat(pooled).contiguous()}
