"""Validation pictures: captions down, base and users across, every row from one noise."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from ppdbench.protocols import Suite
from ppdbench.runs.atomic import write_atomic
from ppdbench.runs.seeds import noise_seed
from trainers.config import TrainConfig
from trainers.policy import Policy
from trainers.stable_cascade.pipeline import draw, to_images
from trainers.stable_cascade.sampler import SamplerConfig
from trainers.stable_cascade.user_attention import audience

if TYPE_CHECKING:
    from PIL.Image import Image

MARGIN, TITLE_HEIGHT = 4, 14


def draw_grid(
    file: Path,
    policy: Policy,
    suite: Suite,
    config: TrainConfig,
    columns: Mapping[str, NDArray[np.float32]],
) -> None:
    """Draw the first validation captions by the base and for each user, into one PNG.

    Args:
        file: PNG to write.
        policy: drawn with as it stands.
        suite: its validation captions and sampling settings.
        config: how many captions, and who the unconditional half is drawn for.
        columns: title -> user vector (user_dim,).
    """
    captions = suite.captions("validation")
    # Spread over the split, whose captions may be sorted.
    chosen = captions[:: max(1, len(captions) // max(1, config.validation.captions))]
    chosen = chosen[: config.validation.captions]
    if not chosen:
        return
    texts = [caption.text for caption in chosen]
    seeds = [noise_seed(suite.version, caption.id, 0) for caption in chosen]
    sampler = SamplerConfig.of(suite.sampling)
    drawn = {"base": to_images(draw(policy.base, texts, seeds, sampler))}
    for title, vector in columns.items():
        users = torch.from_numpy(vector).expand(len(texts), -1).to(policy.base.device)
        user = audience(policy.adapter, users, config.sampling.unconditional_user)
        drawn[title] = to_images(draw(policy.base, texts, seeds, sampler, user=user))
    write_atomic(file, _png(_grid(drawn)))


def _grid(columns: Mapping[str, list[Image]]) -> Image:
    from PIL import Image as PilImage
    from PIL import ImageDraw

    rows = [list(row) for row in zip(*columns.values(), strict=True)]
    width, height = rows[0][0].size
    scale = max(1, 96 // width)  # tiny pictures are hard to see
    width, height = width * scale, height * scale
    grid = PilImage.new(
        "RGB",
        (
            MARGIN + len(columns) * (width + MARGIN),
            TITLE_HEIGHT + MARGIN + len(rows) * (height + MARGIN),
        ),
        "white",
    )
    pen = ImageDraw.Draw(grid)
    for column, title in enumerate(columns):
        left = MARGIN + column * (width + MARGIN)
        pen.text((left, 2), title, fill="black")
        for row, images in enumerate(rows):
            picture = images[column].resize((width, height), PilImage.Resampling.NEAREST)
            grid.paste(picture, (left, TITLE_HEIGHT + MARGIN + row * (height + MARGIN)))
    return grid


def _png(image: Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()
