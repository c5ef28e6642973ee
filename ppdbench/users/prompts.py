"""What a vision-language model is shown of a user, and asked: versioned, and part of every hash.

The shots come first, so that every question about one user shares its beginning. `<image>` stands
where an image goes; the published chat template would put all images before the text and lose which
belongs to which pair. Captions are data: what in them looks like a mark of the prompt is taken
out. Elsewhere: who reads it (`llava_onevision.py`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ppdbench.protocols import Shot

if TYPE_CHECKING:
    from PIL.Image import Image

VERSION = "1"
IMAGE = "<image>"

DESCRIBE = (
    "Say how the preferred image of each pair differs from the other. "
    "Then say what images this person likes."
)
"""The question whose answer, a chain of thought, ends in the user embedding."""

CHOOSE = "Which image does this person prefer? Answer 1 or 2."


def shots_text(shots: Sequence[Shot], first: Sequence[bool] | None = None) -> str:
    """The shots as text, one `<image>` an image, in the order of `shots_images`.

    Args:
        shots: what is shown.
        first: of each shot, whether its preferred image stands first; as `preferred_first`, if not
            given.
    """
    lines = []
    for number, (shot, leads) in enumerate(zip(shots, _first(shots, first), strict=True), start=1):
        slots = (f"Preferred: {IMAGE}", f"Other: {IMAGE}")
        if not leads:
            slots = slots[::-1]
        lines += [f"Pair {number}: {plain(shot.caption)}", *slots]
    return "".join(f"{line}\n" for line in lines)


def shots_images(shots: Sequence[Shot], first: Sequence[bool] | None = None) -> list[Image]:
    """The images of `shots_text`, in its order; `first` as there."""
    images: list[Image] = []
    for shot, leads in zip(shots, _first(shots, first), strict=True):
        pair = (shot.preferred, shot.dispreferred)
        images += pair if leads else pair[::-1]
    return images


def _first(shots: Sequence[Shot], first: Sequence[bool] | None) -> Sequence[bool]:
    if first is not None:
        return first
    return [preferred_first(shot, number) for number, shot in enumerate(shots, start=1)]


def preferred_first(shot: Shot, number: int) -> bool:
    """Whether the preferred image of shot `number` (from 1) stands first.

    A function of the caption's hash and of the number's parity, even on average: a slot that
    always won would teach position instead of taste.
    """
    odd = hashlib.sha256(shot.caption.encode()).digest()[0] % 2
    return (odd + number) % 2 == 0


def choice_text(caption: str) -> str:
    """A new pair and the question which image the user of the shots prefers; two `<image>`."""
    return candidates_text(caption) + CHOOSE


def candidates_text(caption: str) -> str:
    """A new pair without a question."""
    return f"New pair: {plain(caption)}\n1: {IMAGE}\n2: {IMAGE}\n"


def plain(caption: str) -> str:
    """A caption on one line, without anything that a template or tokenizer takes for a mark."""
    bare = re.sub(r"<\|.*?\|>|<image>|<video>", " ", caption)
    return " ".join(bare.split())
