"""The captions' language: scenes, their one wording, and the split by combination.

A scene is what a caption fixes: objects (size, colour, shape), their relation and the background.
All else in a picture is style and belongs to the renderer. Elsewhere: pixels (`renderer.py`),
the frozen lists (`captions.py`).
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ppdbench.protocols import Split

SIZES = ("small", "medium", "large")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white")
SHAPES = ("circle", "square", "triangle", "diamond", "cross", "ring")
BACKGROUNDS = ("teal", "grey", "black", "navy", "maroon", "olive")
RELATIONS = ("left of", "right of", "above", "below")

Axis = Literal["side by side", "stacked"]


@dataclass(frozen=True, slots=True)
class Thing:
    """One object; `size` is None where the caption names two objects."""

    colour: str
    shape: str
    size: str | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """What a caption fixes. With two objects, `things[0]` stands left of or above `things[1]`."""

    things: tuple[Thing, ...]
    background: str
    axis: Axis | None = None

    @property
    def key(self) -> str:
        """The combination's name, equal for "A left of B" and "B right of A"."""
        parts = [f"{t.size or 'any'}-{t.colour}-{t.shape}" for t in self.things]
        return "/".join([*parts, self.axis or "single", self.background])

    @property
    def category(self) -> str:
        """What its captions are sorted by: "small object", "side by side", ..."""
        return self.axis or f"{self.things[0].size} object"

    @property
    def split(self) -> Split:
        """70% of combinations train, 10% validate, 20% test; a function of the key alone."""
        share = int.from_bytes(hashlib.sha256(self.key.encode()).digest()[:4], "big") / 2**32
        return "train" if share < 0.7 else "validation" if share < 0.8 else "test"


def caption_of(scene: Scene, *, reverse: bool = False) -> str:
    """Word a scene; `reverse` names the right or lower object first ("B right of A")."""
    tail = f"on {_article(scene.background)} {scene.background} background"
    if len(scene.things) == 1:
        thing = scene.things[0]
        return f"a {thing.size} {thing.colour} {thing.shape} {tail}"
    first, second = scene.things[::-1] if reverse else scene.things
    if scene.axis == "side by side":
        relation = "right of" if reverse else "left of"
    else:
        relation = "below" if reverse else "above"
    return f"{_noun(first)} {relation} {_noun(second)} {tail}"


def parse(caption: str) -> Scene:
    """Read a caption of this language back into its scene.

    Raises:
        ValueError: the text is not in the language.
    """
    single = _SINGLE.fullmatch(caption)
    if single:
        size, colour, shape, background = single.groups()
        return Scene((Thing(colour, shape, size),), background)
    double = _DOUBLE.fullmatch(caption)
    if double:
        colour_1, shape_1, relation, colour_2, shape_2, background = double.groups()
        things = (Thing(colour_1, shape_1), Thing(colour_2, shape_2))
        axis: Axis = "side by side" if relation in ("left of", "right of") else "stacked"
        if relation in ("right of", "below"):
            things = things[::-1]
        return Scene(things, background, axis)
    raise ValueError(f"not a caption of the shapes suite: {caption!r}")


def single_scenes() -> Iterator[Scene]:
    """All 864 one-object scenes."""
    for size, colour, shape, background in itertools.product(SIZES, COLOURS, SHAPES, BACKGROUNDS):
        yield Scene((Thing(colour, shape, size),), background)


def double_scenes() -> Iterator[Scene]:
    """All two-object scenes whose objects differ in colour and in shape."""
    kinds = list(itertools.product(COLOURS, SHAPES))
    axes: tuple[Axis, ...] = ("side by side", "stacked")
    for (c1, s1), (c2, s2) in itertools.product(kinds, kinds):
        if c1 == c2 or s1 == s2:
            continue
        for axis, background in itertools.product(axes, BACKGROUNDS):
            yield Scene((Thing(c1, s1), Thing(c2, s2)), background, axis)


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def _noun(thing: Thing) -> str:
    return f"{_article(thing.colour)} {thing.colour} {thing.shape}"


def _one_of(words: tuple[str, ...]) -> str:
    return "(" + "|".join(map(re.escape, words)) + ")"


_TAIL = rf"on an? {_one_of(BACKGROUNDS)} background"
_NOUN = rf"an? {_one_of(COLOURS)} {_one_of(SHAPES)}"
_SINGLE = re.compile(rf"a {_one_of(SIZES)} {_one_of(COLOURS)} {_one_of(SHAPES)} {_TAIL}")
_DOUBLE = re.compile(rf"{_NOUN} {_one_of(RELATIONS)} {_NOUN} {_TAIL}")
