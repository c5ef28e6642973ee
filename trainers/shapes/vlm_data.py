"""What the tiny VLM learns from: pairs of pictures of one caption, and what they are like.

Training combinations only. Some pictures are pushed beyond the world's styles and some have been
through the base's compressor and previewer, as generated ones have. Imported by the VLM's two
trainings only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ppdbench.suites.shapes.attributes import ATTRIBUTES, measure
from ppdbench.suites.shapes.people import ATTRIBUTE_SCALE
from ppdbench.suites.shapes.renderer import render, sample_styles
from ppdbench.suites.shapes.scenes import Scene, caption_of
from trainers.shapes.renders import as_unit, draw_scenes
from trainers.stable_cascade.pipeline import to_images
from trainers.stable_cascade.stage_c import Base

WIDE_SHARE, WIDEN = 0.3, 1.6
DECODED_SHARE = 0.35
BLOCK = 1000


@dataclass(frozen=True, slots=True)
class PicturePairs:
    """N pairs of pictures, each pair of one caption."""

    scenes: list[Scene]
    captions: list[str]
    pixels: NDArray[np.uint8]
    """(2, N, 64, 64, 3)."""
    attributes: NDArray[np.float64]
    """(2, N, 6), in units of their spread within a caption (`ATTRIBUTE_SCALE`)."""

    def __len__(self) -> int:
        return len(self.captions)


def picture_pairs(count: int, seed: int, base: Base | None) -> PicturePairs:
    """Render `count` pairs; with a base, some are decoded from their latents."""
    rng = np.random.default_rng(seed)
    scenes = draw_scenes(count, rng)
    captions = [caption_of(scene, reverse=bool(rng.random() < 0.5)) for scene in scenes]
    pixels = np.empty((2, count, 64, 64, 3), np.uint8)
    attributes = np.empty((2, count, len(ATTRIBUTES)))
    for start in range(0, count, BLOCK):
        rows = slice(start, min(start + BLOCK, count))
        shown = scenes[rows]
        widen = WIDEN if rng.random() < WIDE_SHARE else 1.0
        drawn = render(shown * 2, sample_styles(2 * len(shown), rng, widen=widen))
        if base is not None and rng.random() < DECODED_SHARE:
            drawn = _decoded(drawn, base)
        attributes[:, rows] = (measure(drawn) / ATTRIBUTE_SCALE).reshape(2, len(shown), -1)
        pixels[:, rows] = drawn.reshape(2, len(shown), 64, 64, 3)
    return PicturePairs(scenes, captions, pixels, attributes)


@torch.no_grad()
def _decoded(pixels: NDArray[np.uint8], base: Base) -> NDArray[np.uint8]:
    """Pictures as they come back from the base's latents."""
    found = []
    for start in range(0, len(pixels), 250):
        unit = as_unit(torch.from_numpy(pixels[start : start + 250]).permute(0, 3, 1, 2))
        back = base.previewer.decode(base.compressor.encode(unit.to(base.device)))
        found += [np.asarray(image) for image in to_images(back)]
    return np.stack(found)
