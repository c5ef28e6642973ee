"""Score a batch of pictures with several rewards, each thing done once.

A picture is preprocessed once for each recipe and embedded once for each view (a tower and a
recipe); captions are embedded once (the tower keeps them). Rewards of other kinds are called as
they are. Elsewhere: what a reward makes of an embedding (`clip`, `hps`, `aesthetic`, `pickscore`),
files and caches (`loader`, `scoring`), which scores a run still lacks (`benchmarks.measure`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from ppdbench.errors import PpdbenchError
from ppdbench.protocols import Reward
from ppdbench.rewards.embedding_reward import BATCH_SIZE, EmbeddingReward
from ppdbench.rewards.preprocess import to_rgb

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image
    from torch import Tensor

Rows = Sequence[int]
"""Positions in a batch."""


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
        batch = Batch(captions[rows], images[rows])
        for name, reward in rewards.items():
            scores[name][rows] = batch.score(reward)
    return scores


def score_each(
    rewards: Mapping[str, Reward], batch: Batch, rows: Mapping[str, Rows] | None = None
) -> Iterator[tuple[str, list[float | Exception]]]:
    """Score one batch, reward by reward, as they come: for each row its score or what was raised.

    A reward that fails on the batch is asked row by row, and costs the others nothing; what they
    share is done once all the same.

    Args:
        rewards: by the name to yield them under.
        batch: the pictures and captions.
        rows: a reward's rows, where it is not asked for all of them.

    Raises:
        PpdbenchError: a reward says that it cannot work at all; those before it were yielded.
    """
    for name, reward in rewards.items():
        asked = range(len(batch.captions)) if rows is None else rows[name]
        yield name, _scores(reward, batch, asked)


def _scores(reward: Reward, batch: Batch, rows: Rows) -> list[float | Exception]:
    try:
        return list(batch.score(reward, rows).tolist())
    except PpdbenchError:
        raise
    except Exception as error:  # whatever a plug-in raises is its own failure
        if len(rows) == 1:
            return [error]
        return [found for row in rows for found in _scores(reward, batch, [row])]


class Batch:
    """Pictures and captions; what its rewards share is kept from the first that needs it."""

    def __init__(
        self,
        captions: Sequence[str],
        images: Sequence[Image | None],
        *,
        pixels: Mapping[str, tuple[Rows, Tensor]] | None = None,
        embeddings: Mapping[str, Mapping[int, Tensor]] | None = None,
    ) -> None:
        """See what is at hand.

        Args:
            captions: one a row.
            images: one a row; None where no reward needs the picture itself.
            pixels: recipe identity -> rows and their preprocessed pixels (N, 3, S, S).
            embeddings: view -> row -> normalised embedding (D,).
        """
        self.captions = captions
        self.fresh: defaultdict[str, dict[int, Tensor]] = defaultdict(dict)
        """View -> row -> embedding, of those computed here."""
        self._images = images
        self._pixels = dict(pixels or {})
        self._embeddings = {view: dict(rows) for view, rows in (embeddings or {}).items()}
        self._rgb: dict[int, Image] = {}

    def score(self, reward: Reward, rows: Rows | None = None) -> NDArray[np.float64]:
        """Scores, (N,), of all rows or of those given.

        Raises:
            ValueError: the reward gives another number of scores.
        """
        import numpy as np

        if rows is None:
            rows = range(len(self.captions))
        captions = [self.captions[row] for row in rows]
        if isinstance(reward, EmbeddingReward):
            scored = reward.score_embeddings(self._embedded(reward, rows), captions)
            found = scored.cpu().double().numpy()
        else:
            found = reward.score([self._picture(row) for row in rows], captions)
        values = np.asarray(found, dtype=np.float64)
        if values.shape != (len(rows),):
            raise ValueError(f"scores of shape {values.shape} for {len(rows)} images")
        return values

    def _embedded(self, reward: EmbeddingReward, rows: Rows) -> Tensor:
        import torch

        have = self._embeddings.setdefault(reward.view, {})
        lacking = [row for row in rows if row not in have]
        if lacking:
            vectors = reward.tower.encode_images(self._prepared(reward, lacking))
            new = dict(zip(lacking, vectors, strict=True))
            have.update(new)
            self.fresh[reward.view].update(new)
        return torch.stack([have[row].to(reward.device) for row in rows])

    def _prepared(self, reward: EmbeddingReward, rows: Rows) -> Tensor:
        """Pixels of rows, kept for the next reward of the same recipe."""
        recipe = reward.recipe
        ready, pixels = self._pixels.get(recipe.identity, ((), None))
        if pixels is None or not set(rows) <= set(ready):
            ready, pixels = rows, recipe([self._picture(row) for row in rows])
            self._pixels[recipe.identity] = (ready, pixels)
        if list(ready) == list(rows):
            return pixels
        place = {row: at for at, row in enumerate(ready)}
        return pixels[[place[row] for row in rows]]

    def _picture(self, row: int) -> Image:
        if row not in self._rgb:
            image = self._images[row]
            if image is None:
                raise ValueError(f"the picture of row {row} was not kept")
            self._rgb[row] = to_rgb(image)
        return self._rgb[row]
