"""Renders of training captions: what the embedded world's own models learn from.

What trains draws scenes of the training split alone (`scenes.Scene.split`); what measures, and
the held-out classifier, draw others too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ppdbench.protocols import Split
from ppdbench.suites.shapes.renderer import Styles, render, sample_styles
from ppdbench.suites.shapes.scenes import Scene, caption_of, double_scenes, single_scenes

DOUBLE_SHARE = 0.3


@dataclass(frozen=True, slots=True)
class Renders:
    """N captioned pictures."""

    images: Tensor
    """uint8, (N, 3, 64, 64)."""
    captions: list[str]
    scenes: list[Scene]
    styles: Styles


def draw_scenes(count: int, rng: np.random.Generator, split: Split = "train") -> list[Scene]:
    """`count` scenes of a split, three in ten with two objects."""
    singles = [scene for scene in single_scenes() if scene.split == split]
    doubles = [scene for scene in double_scenes() if scene.split == split]
    return [
        doubles[rng.integers(len(doubles))] if two else singles[rng.integers(len(singles))]
        for two in rng.random(count) < DOUBLE_SHARE
    ]


def make_renders(count: int, seed: int, *, split: Split = "train", widen: float = 1.0) -> Renders:
    """Draw `count` scenes of a split in random styles."""
    rng = np.random.default_rng(seed)
    scenes = draw_scenes(count, rng, split)
    captions = [caption_of(scene, reverse=bool(rng.random() < 0.5)) for scene in scenes]
    styles = sample_styles(count, rng, widen=widen)
    pixels = render(scenes, styles)
    return Renders(
        images=torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(),
        captions=captions,
        scenes=scenes,
        styles=styles,
    )


def object_mask(renders: Renders) -> Tensor:
    """Bool, (N, 64, 64): where the objects are, edges included.

    Drawn again with the objects darker: what changes is object.
    """
    styles = renders.styles
    tint = styles.tint + np.array([-0.25, -0.25, 0], np.float32)[:, None]
    darker = torch.from_numpy(render(renders.scenes, replace(styles, tint=tint)))
    return (darker.permute(0, 3, 1, 2) != renders.images).any(1)


def as_unit(images: Tensor) -> Tensor:
    """Uint8 pictures to float in [0, 1]."""
    return images.float() / 255
