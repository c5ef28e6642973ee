"""What the world's reward models learn from: captions with looks, ratings, and annotators' choices.

All from training combinations. The raters and the HPS annotators are groups of their own
(`people.py`), apart from the people whose pairs train the adapters.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ppdbench.suites.shapes.attributes import measure
from ppdbench.suites.shapes.pairs import choose, draw_pairs
from ppdbench.suites.shapes.people import people
from ppdbench.suites.shapes.renderer import Styles, render, sample_styles
from ppdbench.suites.shapes.scenes import caption_of
from trainers.shapes.renders import draw_scenes

MENTION_LOOKS = 0.6
"""Share of captions that say one or two things about the look, as web captions do."""

LOOKS = ("bright", "dark", "vivid", "dull", "warm", "cold", "bold", "soft", "striped", "plain",
         "centred", "aside")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Choices:
    """N choices between two pictures of one caption."""

    images_0: Tensor
    """uint8, (N, 3, 64, 64)."""
    images_1: Tensor
    captions: list[str]
    labels: Tensor
    """(N,): 1 where picture 0 won, 0 where it lost; ties are left out."""


def captioned_pictures(count: int, seed: int) -> tuple[Tensor, list[str]]:
    """Pictures uint8 (N, 3, 64, 64) with captions, some of which name the look."""
    rng = np.random.default_rng(seed)
    scenes = draw_scenes(count, rng)
    styles = sample_styles(count, rng)
    captions = []
    for row, scene in enumerate(scenes):
        caption = caption_of(scene, reverse=bool(rng.random() < 0.5))
        looks = _looks(styles, row)
        if looks and rng.random() < MENTION_LOOKS:
            number = min(len(looks), int(rng.integers(1, 3)))
            named = rng.choice(looks, size=number, replace=False)
            caption = ", ".join([caption, *named])
        captions.append(caption)
    return _tensor(render(scenes, styles)), captions


def rated_pictures(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Pictures uint8 (N, 3, 64, 64) and the raters' mean rating (N,), most of them 0 to 7.

    Ratings are given within a caption: how this picture compares with a plain drawing of it,
    which gets 5.5.
    """
    rng = np.random.default_rng(seed)
    scenes = draw_scenes(count, rng)
    styles = sample_styles(count, rng)
    neutral = _neutral(styles)
    pictures = render(scenes, styles)
    lead = measure(pictures) - measure(render(scenes, neutral))
    liking = np.mean([person.utility(lead) for person in people("raters")], axis=0)
    ratings = 5.5 + 1.3 * liking + rng.normal(0, 0.3, count)
    return _tensor(pictures), torch.from_numpy(ratings.astype(np.float32))


def annotator_choices(count: int, seed: int) -> Choices:
    """Noisy choices of the HPS annotators, spread evenly over them."""
    annotators = people("hps")
    pictures, captions, labels = [], [], []
    for person in annotators:
        rng = np.random.default_rng([seed, person.id])
        _, asked, shown, utility = draw_pairs(person, "train", count // len(annotators), rng)
        wins, ties = choose(utility, rng)
        keep = np.flatnonzero(~ties)
        pictures.append(shown[:, keep])
        captions += [asked[row] for row in keep]
        labels.append(wins[keep].astype(np.float32))
    stacked = np.concatenate(pictures, axis=1)
    return Choices(
        _tensor(stacked[0]), _tensor(stacked[1]), captions, torch.from_numpy(np.concatenate(labels))
    )


def _looks(styles: Styles, row: int) -> list[str]:
    """Words that fit a picture's style."""
    words = []
    for value, low, high, below, above in (
        (styles.brightness[row], -0.035, 0.035, "dark", "bright"),
        (styles.saturation[row], 0.84, 1.16, "dull", "vivid"),
        (styles.warmth[row], -0.03, 0.03, "cold", "warm"),
        (styles.contrast[row], 0.92, 1.08, "soft", "bold"),
        (styles.texture[row], 0.005, 0.06, "plain", "striped"),
        (np.hypot(styles.x[row], styles.y[row]), 6.0, 9.5, "centred", "aside"),
    ):
        if value < low:
            words.append(below)
        elif value > high:
            words.append(above)
    return words


def _neutral(styles: Styles) -> Styles:
    zero, one = np.zeros_like(styles.x), np.ones_like(styles.x)
    return replace(
        styles, x=zero, y=zero, brightness=zero, contrast=one, saturation=one, warmth=zero,
        gradient=zero, texture=zero,
    )  # fmt: skip


def _tensor(pixels: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()
