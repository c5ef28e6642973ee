"""What CLIP, aesthetic and HPS scores have in common: a function of one image embedding.

Loading is lazy: naming a reward reads its config and hashes its files, and the model is built at
the first score. Elsewhere: what several rewards share (`engine`), the three functions (`clip`,
`hps`, `aesthetic`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from ppdbench.protocols import RewardInfo
from ppdbench.rewards.folder import TowerFolder
from ppdbench.rewards.open_clip_tower import OpenClipTower, load_tower
from ppdbench.rewards.preprocess import Recipe, to_rgb

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image
    from torch import Tensor


BATCH_SIZE = 64
"""Pictures embedded at once; changes speed and memory, and scores by float noise only."""


class EmbeddingReward(ABC):
    """A reward computed from a tower's normalised image embedding; fulfils `protocols.Reward`."""

    def __init__(self, info: RewardInfo, folder: TowerFolder, recipe: Recipe, device: str) -> None:
        self.info = info
        self.folder = folder
        self.recipe = recipe
        self.device = device

    @cached_property
    def tower(self) -> OpenClipTower:
        """The tower, loaded on first use and shared with rewards of the same files."""
        return load_tower(self.folder, self.device)

    @abstractmethod
    def score_embeddings(self, embeddings: Tensor, captions: Sequence[str]) -> Tensor:
        """Scores, (N,), of normalised image embeddings (N, D) and their captions."""

    def score(self, images: Sequence[Image], captions: Sequence[str]) -> NDArray[np.float64]:
        """Scores, shape (N,), higher is better; row i belongs to image i and caption i.

        Raises:
            ValueError: as many captions as images are not given.
        """
        import numpy as np

        if len(images) != len(captions):
            raise ValueError(f"{len(images)} images but {len(captions)} captions")
        scores = np.empty(len(images), np.float64)
        for start in range(0, len(images), BATCH_SIZE):
            rows = slice(start, start + BATCH_SIZE)
            pixels = self.recipe([to_rgb(image) for image in images[rows]])
            embeddings = self.tower.encode_images(pixels)
            found = self.score_embeddings(embeddings, captions[rows])
            if found.shape != (len(pixels),):
                raise ValueError(f"scores of shape {tuple(found.shape)} for {len(pixels)} images")
            scores[rows] = found.cpu().double().numpy()
        return scores


class CosineReward(EmbeddingReward):
    """100 times the cosine of image and caption; no clamp, no prompt prefix, no logit scale."""

    def score_embeddings(self, embeddings: Tensor, captions: Sequence[str]) -> Tensor:
        """Scores, (N,), in [-100, 100]."""
        texts = self.tower.encode_texts(captions)
        return 100.0 * (embeddings * texts).sum(dim=-1)
