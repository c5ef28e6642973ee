"""Validation pictures: captions down, base and users across, every row from one noise."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from ppdbench.protocols import Caption, Suite
from ppdbench.runs.atomic import write_atomic
from ppdbench.runs.seeds import noise_seed
from trainers.config import TrainConfig
from trainers.stable_cascade.pipeline import draw, to_images
from trainers.stable_cascade.sampler import SamplerConfig
from trainers.stable_cascade.user_attention import audience
from trainers.training.policy import Policy

if TYPE_CHECKING:
    from PIL.Image import Image

MARGIN, TITLE_HEIGHT = 4, 14


def chosen_captions(suite: Suite, config: TrainConfig) -> Sequence[Caption]:
    """The captions of the grid's rows.

    Raises:
        MissingPrerequisite: some are asked for, and the suite has none.
    """
    count = config.validation.captions
    if not count:
        return ()
    captions = suite.captions("validation")
    # Spread over the split, whose captions may be sorted.
    return captions[:: max(1, len(captions) // count)][:count]


def draw_grid(
    file: Path | None,
    policy: Policy,
    suite: Suite,
    config: TrainConfig,
    columns: Mapping[str, NDArray[np.float32]],
) -> Image | None:
    """Draw the first validation captions by the base and for each user, into one PNG.

    Returns it; None where no caption is to be drawn.

    Args:
        file: PNG to write; None writes none: a process that only takes part.
        policy: drawn with as it stands.
        suite: its validation captions and sampling settings.
        config: how many captions, and who the unconditional half is drawn for.
        columns: title -> user vector (user_dim,).
    """
    chosen = chosen_captions(suite, config)
    if not chosen:
        return None
    texts = [caption.text for caption in chosen]
    seeds = [noise_seed(suite.version, caption.id, 0) for caption in chosen]
    sampler = SamplerConfig.of(suite.sampling)
    drawn = {"base": to_images(draw(policy.base, texts, seeds, sampler))}
    for title, vector in columns.items():
        users = torch.from_numpy(vector).expand(len(texts), -1).to(policy.base.device)
        user = audience(policy.adapter, users, config.sampling.unconditional_user)
        drawn[title] = to_images(draw(policy.base, texts, seeds, sampler, user=user))
    grid = _grid(drawn)
    if file is not None:
        write_atomic(file, _png(grid))
    return grid


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
