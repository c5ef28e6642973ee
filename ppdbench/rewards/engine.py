"""Score many pictures with several rewards, each thing done once.

A picture is converted once, preprocessed once for each recipe, and embedded once for each pair of
tower and recipe; captions are embedded once (the tower keeps them). Rewards of other kinds are
called as they are. Elsewhere: what a reward makes of an embedding (`clip`, `hps`, `aesthetic`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from ppdbench.protocols import Reward
from ppdbench.rewards.embedding_reward import EmbeddingReward
from ppdbench.rewards.preprocess import Recipe, to_rgb

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image
    from torch import Tensor

BATCH_SIZE = 64


def score_images(
    rewards: Mapping[str, Reward],
    images: Sequence[Image],
    captions: Sequence[str],
    *,
    batch_size: int = BATCH_SIZE,
) -> dict[str, NDArray[np.float64]]:
    """Score every picture with every reward; returns {name: scores of shape (N,)}.

    Args:
        rewards: by the name to return them under.
        images: N pictures, of any size and mode; they may be opened lazily, `batch_size` at a time.
        captions: N captions; row i belongs to image i.
        batch_size: changes speed and memory, and scores by float noise only.

    Raises:
        ValueError: as many captions as images are not given.
    """
    import numpy as np

    if len(images) != len(captions):
        raise ValueError(f"{len(images)} images but {len(captions)} captions")
    scores = {name: np.empty(len(images), np.float64) for name in rewards}
    for start in range(0, len(images), batch_size):
        rows = slice(start, min(start + batch_size, len(images)))
        batch = [to_rgb(image) for image in images[rows]]
        for name, values in _score_batch(rewards, batch, captions[rows]):
            scores[name][rows] = values
    return scores


def _score_batch(
    rewards: Mapping[str, Reward], images: Sequence[Image], captions: Sequence[str]
) -> Iterable[tuple[str, NDArray[np.float64]]]:
    pixels: dict[Recipe, Tensor] = {}
    embeddings: dict[tuple[int, Recipe], Tensor] = {}
    for name, reward in rewards.items():
        if not isinstance(reward, EmbeddingReward):
            yield name, reward.score(images, captions)
            continue
        recipe, tower = reward.recipe, reward.tower
        if recipe not in pixels:
            pixels[recipe] = recipe(images)
        key = (id(tower), recipe)  # towers of the same files are the same object
        if key not in embeddings:
            embeddings[key] = tower.encode_images(pixels[recipe])
        scored = reward.score_embeddings(embeddings[key], captions)
        yield name, scored.double().cpu().numpy()
