"""How the two pictures of people's pairs differ in the attributes, measured from the pixels.

Measured once and kept in the people's cache folder. Elsewhere: the attributes (`attributes.py`),
what choices tell (`beliefs.py`).
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ppdbench.data.images import decode_image
from ppdbench.errors import PpdbenchError
from ppdbench.protocols import PreferencePair
from ppdbench.runs.atomic import write_atomic
from ppdbench.suites.shapes import attributes
from ppdbench.suites.shapes.people import ATTRIBUTE_SCALE

if TYPE_CHECKING:
    from ppdbench.suites.shapes.evaluated import ShapesPeople

_BLOCK = 16
"""Pairs measured at a time: their pixels stay in the processor's cache."""


def differences(people: ShapesPeople, ids: Sequence[str]) -> NDArray[np.float64]:
    """Attributes (N, 6) of preferred minus dispreferred, by pair id, in `ATTRIBUTE_SCALE` units.

    Raises:
        MissingPrerequisite: a pair is not at hand.
    """
    pairs = people.pairs(ids)
    path = people.cache() / f"differences-{_key(pairs)}.npy"
    measured = _kept(path, len(pairs))
    if measured is None:
        measured = measure_differences(pairs)
        _keep(path, measured)
    return np.asarray(measured / ATTRIBUTE_SCALE)


def measure_differences(pairs: Sequence[PreferencePair]) -> NDArray[np.float64]:
    """Attributes (N, 6) of preferred minus dispreferred, in their own units; no pair is a tie."""
    found = [np.empty((0, len(attributes.ATTRIBUTES)))]
    for at in range(0, len(pairs), _BLOCK):
        block = pairs[at : at + _BLOCK]
        images = [decode_image(image) for pair in block for image in _ordered(pair)]
        measured = attributes.measure(np.stack([np.asarray(image) for image in images]))
        found.append(measured[::2] - measured[1::2])
    return np.concatenate(found)


def _ordered(pair: PreferencePair) -> tuple[bytes, bytes]:
    first = pair.label_0 > pair.label_1
    return (pair.image_0, pair.image_1) if first else (pair.image_1, pair.image_0)


def _key(pairs: Sequence[PreferencePair]) -> str:
    """Hash over all that decides: the pictures in order, and how they are measured."""
    digest = hashlib.sha256(Path(attributes.__file__).read_bytes())
    for pair in pairs:
        for image in _ordered(pair):
            digest.update(hashlib.sha256(image).digest())
    return digest.hexdigest()[:16]


def _kept(path: Path, count: int) -> NDArray[np.float64] | None:
    """What was measured before; None where nothing was, or the file is damaged."""
    try:
        measured = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    whole = measured.shape == (count, len(attributes.ATTRIBUTES)) and measured.dtype == np.float64
    return np.asarray(measured) if whole else None


def _keep(path: Path, measured: NDArray[np.float64]) -> None:
    buffer = io.BytesIO()
    np.save(buffer, measured)
    with suppress(OSError, PpdbenchError):  # measured again next time
        write_atomic(path, buffer.getvalue())
