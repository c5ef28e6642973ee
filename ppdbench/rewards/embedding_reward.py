"""What CLIP, aesthetic, HPS and PickScore have in common: a function of one image embedding.

Loading is lazy: naming a reward reads its config and hashes its files, and the model is built at
the first score. Elsewhere: what several rewards share (`engine`), the functions (`clip`, `hps`,
`aesthetic`, `pickscore`).
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Self

from ppdbench.protocols import RewardInfo, RewardSpec
from ppdbench.rewards.folder import TowerFolder
from ppdbench.rewards.identity import libraries
from ppdbench.rewards.open_clip_tower import OpenClipTower, Precision, load_tower
from ppdbench.rewards.preprocess import Recipe, to_rgb
from ppdbench.runs.fingerprint import fingerprint

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image
    from torch import Tensor


BATCH_SIZE = 64
"""Pictures embedded at once; changes speed and memory, and scores by float noise only."""


class EmbeddingReward(ABC):
    """A reward computed from a tower's normalised image embedding; fulfils `protocols.Reward`."""

    needs_caption: ClassVar[bool] = True

    def __init__(self, info: RewardInfo, folder: TowerFolder, recipe: Recipe, device: str) -> None:
        self.info = info
        self.folder = folder
        self.recipe = recipe
        self.device = device
        self.precision: Precision = "fp32"

    @cached_property
    def tower(self) -> OpenClipTower:
        """The tower, loaded on first use and shared with rewards of the same files."""
        return load_tower(self.folder, self.device, self.precision)

    @cached_property
    def tower_key(self) -> str:
        """Names the tower in a store: all that its embeddings depend on but their input."""
        return fingerprint(
            {
                "checkpoint": self.folder.sha256,
                "architecture": self.folder.architecture,
                "precision": self.precision,
                "device": self.device.partition(":")[0],
                "libraries": libraries(),
            }
        )

    @property
    def view(self) -> str:
        """Names what is embedded by what; rewards of one view share their embeddings."""
        return f"{self.tower_key}/{self.recipe.identity}"

    def forget_tower(self) -> None:
        """Let go of the model; it is loaded again when it is needed."""
        self.__dict__.pop("tower", None)

    def at(self, precision: Precision) -> Self:
        """The same reward with its model in another number format."""
        other = copy.copy(self)
        for cached in ("tower", "tower_key"):
            other.__dict__.pop(cached, None)
        other.precision = precision
        other.info = replace(self.info, precision=precision)
        return other

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
        return 100.0 * self.cosines(embeddings, captions)

    def cosines(self, embeddings: Tensor, captions: Sequence[str]) -> Tensor:
        """Cosines, (N,), of normalised image embeddings (N, D) and their captions' embeddings."""
        return (embeddings * self.tower.encode_texts(captions)).sum(dim=-1)


def info_of(spec: RewardSpec, folder: TowerFolder, recipe: Recipe) -> RewardInfo:
    """Who a reward is that is nothing but a tower and its preprocessing."""
    return RewardInfo(
        name=spec.name,
        kind=spec.kind,
        checkpoint_sha256=folder.sha256,
        preprocess=recipe.identity,
        gold=spec.gold,
        architecture=folder.architecture,
    )
