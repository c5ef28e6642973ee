"""What the world's people really like: implements `protocols.Truth`.

Elsewhere: how well anybody could know it from a few pairs (`ceilings.py`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ppdbench.protocols import UserSplit
from ppdbench.suites.shapes.attributes import ATTRIBUTES, measure
from ppdbench.suites.shapes.beliefs import dominant_name, dominant_of
from ppdbench.suites.shapes.people import ATTRIBUTE_SCALE, person_of

if TYPE_CHECKING:
    from PIL.Image import Image


class ShapesTruth:
    """Tastes by user id, and attributes measured from pixels."""

    attributes: tuple[str, ...] = ATTRIBUTES

    @cached_property
    def identity(self) -> str:
        """Hash over the attributes and their scale; how they are measured, golden tests hold."""
        facts = {"attributes": ATTRIBUTES, "scale": ATTRIBUTE_SCALE.tolist()}
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:12]

    def measure(self, images: Sequence[Image]) -> NDArray[np.float64]:
        """Attributes (N, 6) of images."""
        if not images:
            return np.empty((0, len(ATTRIBUTES)))
        return measure(np.stack([np.asarray(image.convert("RGB")) for image in images]))

    def utility(self, user: str, attributes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Utility (N,) of images with attributes (N, 6).

        Raises:
            KeyError: nobody has that id.
        """
        return person_of(user).utility(attributes)

    def dominant(self, user: str) -> str:
        """Sign and name of the attribute with the largest weight: "-detail"."""
        return dominant_name(int(dominant_of(np.array([person_of(user).taste]))[0]))

    def ceilings(self, split: UserSplit) -> Mapping[str, float]:
        """What nobody can exceed on the split's users."""
        from ppdbench.suites.shapes.ceilings import ceilings

        return ceilings(split)

    def identification_ceilings(self, *, topics: bool) -> Mapping[str, float]:
        """What nobody can exceed in telling the identified people apart."""
        from ppdbench.suites.shapes.identification import identification_ceilings

        return identification_ceilings(topics=topics)
