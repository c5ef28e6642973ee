"""The frozen caption lists of validation and test, drawn once from their splits' combinations.

Test captions come in five categories, as PartiPrompts' do. Training captions have no list: people
ask for what they like (`pairs.py`).
"""

from __future__ import annotations

import hashlib
from functools import cache

from ppdbench.protocols import Caption, Split
from ppdbench.suites.shapes.scenes import Scene, caption_of, double_scenes, single_scenes

PER_CATEGORY: dict[Split, int] = {"validation": 24, "test": 52}
"""Captions in each category; 120 validation and 260 test captions in all."""

CATEGORIES = ("small object", "medium object", "large object", "side by side", "stacked")


@cache
def captions(split: Split) -> tuple[Caption, ...]:
    """The captions of a split in frozen order, every category equally often.

    Raises:
        ValueError: the training split, which has no list.
    """
    if split not in PER_CATEGORY:
        raise ValueError(f"the {split} split has no caption list")
    chosen: list[Caption] = []
    for category in CATEGORIES:
        scenes = [s for s in _scenes(category) if s.split == split]
        # Sorted by hash: a draw without replacement that no library's generator can change.
        scenes.sort(key=lambda s: hashlib.sha256(f"list/{s.key}".encode()).digest())
        for number, scene in enumerate(scenes[: PER_CATEGORY[split]]):
            text = caption_of(scene, reverse=number % 2 == 1)
            name = category.replace(" ", "-")
            chosen.append(Caption(id=f"{split}-{name}-{number:02d}", text=text, category=category))
    return tuple(chosen)


def _scenes(category: str) -> list[Scene]:
    if category.endswith("object"):
        size = category.split()[0]
        return [scene for scene in single_scenes() if scene.things[0].size == size]
    return [scene for scene in double_scenes() if scene.axis == category]
