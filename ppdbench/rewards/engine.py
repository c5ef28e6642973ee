"""Score many pictures with several rewards, each thing done once.

A picture is converted once, preprocessed once for each recipe, and embedded once for each pair of
tower and recipe; captions are embedded once (the tower keeps them). Rewards of other kinds are
called as they are. Elsewhere: what a reward makes of an embedding (`clip`, `hps`, `aesthetic`),
which scores a run still lacks (`benchmarks.measure`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from ppdbench.errors import PpdbenchError
from ppdbench.protocols import Reward
from ppdbench.rewards.embedding_reward import BATCH_SIZE, EmbeddingReward
from ppdbench.rewards.preprocess import Recipe, to_rgb

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image
    from torch import Tensor


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
        ValueError: as many captions as images are not given, or a reward returns another number
            of scores.
    """
    import numpy as np

    if len(images) != len(captions):
        raise ValueError(f"{len(images)} images but {len(captions)} captions")
    scores = {name: np.empty(len(images), np.float64) for name in rewards}
    for start in range(0, len(images), batch_size):
        rows = slice(start, min(start + batch_size, len(images)))
        shared = _Shared(images[rows], captions[rows])
        for name, reward in rewards.items():
            scores[name][rows] = shared.score(reward)
    return scores


def score_each(
    rewards: Mapping[str, Reward], images: Sequence[Image], captions: Sequence[str]
) -> Iterator[tuple[str, NDArray[np.float64] | Exception]]:
    """Score one batch, reward by reward: each one's scores as they come, or what it raised.

    A reward that fails costs the others nothing; their shared work is done once all the same.

    Raises:
        PpdbenchError: a reward says that it cannot work at all; those before it were yielded.
    """
    shared = _Shared(images, captions)
    for name, reward in rewards.items():
        found: NDArray[np.float64] | Exception
        try:
            found = shared.score(reward)
        except PpdbenchError:
            raise
        except Exception as error:  # whatever a plug-in raises is its own failure
            found = error
        yield name, found


class _Shared:
    """One batch: what its rewards share is kept from the first that needs it."""

    def __init__(self, images: Sequence[Image], captions: Sequence[str]) -> None:
        self._images = images
        self._captions = captions
        self._pixels: dict[Recipe, Tensor] = {}
        self._embeddings: dict[tuple[int, Recipe], Tensor] = {}

    @cached_property
    def _rgb(self) -> list[Image]:
        return [to_rgb(image) for image in self._images]

    def score(self, reward: Reward) -> NDArray[np.float64]:
        """The batch's scores by one reward, shape (N,)."""
        import numpy as np

        if isinstance(reward, EmbeddingReward):
            scored = reward.score_embeddings(self._embedded(reward), self._captions)
            found = scored.cpu().double().numpy()
        else:
            found = reward.score(self._rgb, self._captions)
        values = np.asarray(found, dtype=np.float64)
        if values.shape != (len(self._images),):
            raise ValueError(f"scores of shape {values.shape} for {len(self._images)} images")
        return values

    def _embedded(self, reward: EmbeddingReward) -> Tensor:
        recipe, tower = reward.recipe, reward.tower
        key = (id(tower), recipe)  # towers of the same files are the same object
        if key not in self._embeddings:
            if recipe not in self._pixels:
                self._pixels[recipe] = recipe(self._rgb)
            self._embeddings[key] = tower.encode_images(self._pixels[recipe])
        return self._embeddings[key]
