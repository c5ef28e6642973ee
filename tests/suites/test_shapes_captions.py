"""The frozen caption lists: their size, their categories, and that training never sees them."""

from __future__ import annotations

import hashlib
from collections import Counter
from itertools import pairwise

import pytest

from ppdbench.protocols import Split
from ppdbench.suites.shapes.captions import CATEGORIES, captions
from ppdbench.suites.shapes.scenes import double_scenes, parse, single_scenes

GOLDEN: dict[Split, str] = {
    "validation": "9132bf6f27a2b3c91c4e3d0de2e53947087358b27044c9e457d50afa44add395",
    "test": "c181068781b9399d6771fad9da3fb29f105d0eabf32e9d017f9deb30a9d30e23",
}
"""Of ids and texts in order. Another value is another list, hence another suite version."""


def test_the_test_list_is_long_enough_and_even() -> None:
    listed = captions("test")
    assert len(listed) >= 240
    counts = Counter(caption.category for caption in listed)
    assert set(counts) == set(CATEGORIES) and len(CATEGORIES) == 5
    assert len(set(counts.values())) == 1


def test_ids_and_texts_are_unique_across_the_lists() -> None:
    listed = [*captions("validation"), *captions("test")]
    assert len({caption.id for caption in listed}) == len(listed)
    assert len({parse(caption.text).key for caption in listed}) == len(listed)


def test_categories_say_what_the_captions_show() -> None:
    for caption in (*captions("validation"), *captions("test")):
        scene = parse(caption.text)
        wanted = scene.axis or f"{scene.things[0].size} object"
        assert caption.category == wanted


@pytest.mark.parametrize("split", ["validation", "test"])
def test_no_listed_combination_is_a_training_one(split: Split) -> None:
    training = {
        scene.key
        for scenes in (single_scenes(), double_scenes())
        for scene in scenes
        if scene.split == "train"
    }
    listed = {parse(caption.text) for caption in captions(split)}
    assert {scene.split for scene in listed} == {split}
    assert not {scene.key for scene in listed} & training


def test_both_wordings_of_a_relation_occur() -> None:
    texts = " ".join(caption.text for caption in captions("test"))
    assert all(relation in texts for relation in ("left of", "right of", "above", "below"))


def test_ids_are_safe_in_paths_and_records() -> None:
    for caption in captions("test"):
        assert caption.id.replace("-", "").isalnum()


@pytest.mark.parametrize("split", ["validation", "test"])
def test_the_lists_are_frozen(split: Split) -> None:
    lines = "\n".join(f"{caption.id}\t{caption.text}" for caption in captions(split))
    assert hashlib.sha256(lines.encode()).hexdigest() == GOLDEN[split]


def test_lists_keep_their_categories_together() -> None:
    """Every n-th caption is then a sample of all categories, as validation grids take it."""
    for split in ("validation", "test"):
        listed = [caption.category for caption in captions(split)]
        assert sum(a != b for a, b in pairwise(listed)) == len(CATEGORIES) - 1


def test_training_has_no_list() -> None:
    with pytest.raises(ValueError, match="train split has no caption list"):
        captions("train")
