"""Hand-made scenes and styles for the tests of the shapes world."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ppdbench.suites.shapes.renderer import Styles, render
from ppdbench.suites.shapes.scenes import parse


def plain(count: int, **changes: float) -> Styles:
    """Styles that add nothing to the caption, but for the given fields."""
    values = {"size": 1.0, "contrast": 1.0, "saturation": 1.0, "spread": 13.5} | changes
    fields = [name for name in Styles.__slots__ if name != "tint"]
    return Styles(
        tint=np.zeros((count, 3, 3), np.float32),
        **{name: np.full(count, values.get(name, 0.0), np.float32) for name in fields},
    )


def picture(caption: str, **changes: float) -> NDArray[np.uint8]:
    """One caption drawn plainly, (64, 64, 3)."""
    drawn: NDArray[np.uint8] = render([parse(caption)], plain(1, **changes))[0]
    return drawn
