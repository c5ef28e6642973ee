"""Pairs' images decoded by several threads, some blocks ahead of who encodes them.

Pillow gives way to other threads while it decodes and resizes. In memory are the images of a block
and of as many pairs as wait for a thread, whatever the file's size.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ppdbench.data.images import decode_image
from ppdbench.errors import PpdbenchError
from ppdbench.protocols import PreferencePair

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_THREADS = 16


@dataclass(frozen=True, slots=True)
class Decoded:
    """A pair's images as they are encoded."""

    id: str
    images: tuple[Tensor, Tensor]
    """Each (3, H, W), uint8; black where it does not decode."""
    readable: bool
    pictures: tuple[int, int]
    """Equal for equal images (`picture_hash`)."""


def decoded_blocks(
    pairs: Iterable[PreferencePair], size: tuple[int, int], rows: int
) -> Iterator[list[Decoded]]:
    """The pairs in lists of `rows`, decoded to `size` (width, height), in their order."""
    threads = min(MOST_THREADS, _cpus())
    pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
    waiting: deque[Future[Decoded]] = deque()
    try:
        left = iter(pairs)

        def next_ones(count: int) -> None:
            waiting.extend(pool.submit(_decoded, pair, size) for pair in islice(left, count))

        next_ones(rows + 2 * threads)
        while waiting:
            block = [waiting.popleft().result() for _ in range(min(rows, len(waiting)))]
            next_ones(rows)
            yield block
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def as_tensor(image: Image, size: tuple[int, int]) -> Tensor:
    """An RGB image as (3, H, W) in [0, 1]; another size is resized to cover, then cropped."""
    return unit(pixels(image, size))


def unit(images: Tensor) -> Tensor:
    """Pixels uint8 (..., H, W) as numbers in [0, 1]."""
    return images.float() / 255


def pixels(image: Image, size: tuple[int, int]) -> Tensor:
    """An RGB image as (3, H, W), uint8; another size is resized to cover, then cropped."""
    width, height = size
    if image.size != size:
        from PIL import ImageOps
        from PIL.Image import Resampling

        image = ImageOps.fit(image, (width, height), Resampling.BICUBIC)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def picture_hash(image: bytes) -> int:
    """63 bits over an encoded image."""
    return int.from_bytes(hashlib.blake2b(image, digest_size=8).digest(), "big") >> 1


def _decoded(pair: PreferencePair, size: tuple[int, int]) -> Decoded:
    found, readable = [], True
    for data in (pair.image_0, pair.image_1):
        try:
            found.append(pixels(decode_image(data), size))
        except PpdbenchError:
            readable = False
            found.append(torch.zeros(3, size[1], size[0], dtype=torch.uint8))
    hashes = picture_hash(pair.image_0), picture_hash(pair.image_1)
    return Decoded(pair.id, (found[0], found[1]), readable, hashes)


def _cpus() -> int:
    """Processors that this process may use."""
    known = getattr(os, "sched_getaffinity", None)
    return len(known(0)) if known else os.cpu_count() or 1
