"""What is computed of images, kept by their pixels in memory: shots and pairs come many times.

Elsewhere: embeddings (`few_shot`), scores (`scalar`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from ppdbench.data.images import pixel_sha256
from ppdbench.rewards.preprocess import to_rgb

if TYPE_CHECKING:
    from PIL.Image import Image

T = TypeVar("T")

ROOM = 16_384
"""Values that are kept; 67 MB of embeddings of 1,024 numbers."""


class ByContent(Generic[T]):
    """A function of images and captions whose values are remembered.

    The same content has the very same value, whatever batch it was computed in, until it was not
    asked for in a long time.
    """

    def __init__(
        self, compute: Callable[[Sequence[Image], Sequence[str]], Sequence[T]], *, room: int = ROOM
    ) -> None:
        """See what is to be remembered.

        Args:
            compute: values of images and their captions, in order.
            room: how many values are kept.
        """
        self._compute, self._room = compute, room
        self._kept: OrderedDict[tuple[str, str], T] = OrderedDict()

    def of(self, images: Sequence[Image], captions: Sequence[str] | None = None) -> list[T]:
        """One value an image, in order.

        Args:
            images: of any size and mode.
            captions: one an image, where they matter.

        Raises:
            ValueError: as many captions as images are not given.
        """
        texts = [""] * len(images) if captions is None else captions
        keys = [
            (pixel_sha256(to_rgb(image)), text) for image, text in zip(images, texts, strict=True)
        ]
        new = {key: at for at, key in enumerate(keys) if key not in self._kept}
        if new:
            rows = list(new.values())
            found = self._compute([images[row] for row in rows], [texts[row] for row in rows])
            self._kept.update(zip(new, found, strict=True))
        for key in keys:
            self._kept.move_to_end(key)
        values = [self._kept[key] for key in keys]
        while len(self._kept) > self._room:
            self._kept.popitem(last=False)
        return values
