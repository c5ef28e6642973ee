"""What users make of measured images: utilities, each distinct image rated once a user.

Equal attributes are one rating, so two equal images tie to the last bit whatever batch they are
rated in. Elsewhere: where tastes come from (`protocols.Truth`), what is made of utilities
(`personal`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ppdbench.protocols import Truth

Attributes = tuple[float, ...]


class Tastes:
    """Remembers ratings."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self._known: dict[str, dict[Attributes, float]] = {}

    def rate(self, user: str, images: Sequence[Attributes]) -> list[float]:
        """Utilities of images for a user, by id, in order; only differences mean anything."""
        known = self._known.setdefault(user, {})
        new = [image for image in dict.fromkeys(images) if image not in known]
        if new:
            known.update(zip(new, self._truth.utility(user, np.array(new)).tolist(), strict=True))
        return [known[image] for image in images]

    def dominant(self, user: str) -> str:
        """The attribute that the user cares most for, with its sign."""
        return self._truth.dominant(user)
