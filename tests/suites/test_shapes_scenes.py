"""The captions' language: it reads back what it wrote, and its split is by combination alone."""

from __future__ import annotations

from collections import Counter

import pytest

from ppdbench.suites.shapes.scenes import (
    BACKGROUNDS,
    COLOURS,
    SHAPES,
    SIZES,
    Scene,
    Thing,
    caption_of,
    double_scenes,
    parse,
    single_scenes,
)

SINGLES, DOUBLES = list(single_scenes()), list(double_scenes())


def test_every_combination_is_there_once() -> None:
    assert len(SINGLES) == len(SIZES) * len(COLOURS) * len(SHAPES) * len(BACKGROUNDS) == 864
    kinds = len(COLOURS) * len(SHAPES)
    other_kinds = (len(COLOURS) - 1) * (len(SHAPES) - 1)
    assert len(DOUBLES) == kinds * other_kinds * 2 * len(BACKGROUNDS)
    assert len({scene.key for scene in SINGLES + DOUBLES}) == len(SINGLES) + len(DOUBLES)


def test_two_objects_differ_in_colour_and_in_shape() -> None:
    for scene in DOUBLES:
        first, second = scene.things
        assert first.colour != second.colour and first.shape != second.shape


def test_every_caption_parses_back_to_its_scene() -> None:
    assert [parse(caption_of(scene)) for scene in SINGLES] == SINGLES
    assert [parse(caption_of(scene)) for scene in DOUBLES] == DOUBLES


def test_both_wordings_of_two_objects_are_one_scene() -> None:
    assert [parse(caption_of(scene, reverse=True)) for scene in DOUBLES] == DOUBLES
    for scene in DOUBLES[::97]:
        assert caption_of(scene) != caption_of(scene, reverse=True)


def test_no_two_scenes_share_a_wording() -> None:
    wordings = [caption_of(scene) for scene in SINGLES]
    wordings += [caption_of(scene, reverse=turn) for scene in DOUBLES for turn in (False, True)]
    assert len(set(wordings)) == len(wordings)


@pytest.mark.parametrize(
    ("scene", "reverse", "caption"),
    [
        (
            Scene((Thing("red", "circle", "small"),), "teal"),
            False,
            "a small red circle on a teal background",
        ),
        (
            Scene((Thing("orange", "ring"), Thing("blue", "cross")), "olive", "side by side"),
            False,
            "an orange ring left of a blue cross on an olive background",
        ),
        (
            Scene((Thing("orange", "ring"), Thing("blue", "cross")), "black", "side by side"),
            True,
            "a blue cross right of an orange ring on a black background",
        ),
        (
            Scene((Thing("pink", "square"), Thing("white", "diamond")), "grey", "stacked"),
            False,
            "a pink square above a white diamond on a grey background",
        ),
        (
            Scene((Thing("pink", "square"), Thing("white", "diamond")), "grey", "stacked"),
            True,
            "a white diamond below a pink square on a grey background",
        ),
    ],
)
def test_the_wording_is_frozen(scene: Scene, reverse: bool, caption: str) -> None:
    assert caption_of(scene, reverse=reverse) == caption
    assert parse(caption) == scene


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a red circle on a teal background",
        "a huge red circle on a teal background",
        "a small red circle on a red background",
        "a small red circle on a teal background.",
        "A small red circle on a teal background",
        "a small red circle on a teal background, warm",
        "a small red circle left of a blue square on a teal background",
        "a red circle near a blue square on a teal background",
    ],
)
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a caption of the shapes suite"):
        parse(text)


def test_the_split_takes_the_shares_it_says() -> None:
    for scenes, slack in ((SINGLES, 0.04), (DOUBLES, 0.01)):
        counts = Counter(scene.split for scene in scenes)
        shares = {split: count / len(scenes) for split, count in counts.items()}
        assert shares == pytest.approx({"train": 0.7, "validation": 0.1, "test": 0.2}, abs=slack)


def test_every_word_is_learnt_in_training() -> None:
    """Combinations are held out, words are not: a base could not know a word it never read."""
    learnt = " ".join(caption_of(s) for s in SINGLES + DOUBLES if s.split == "train").split()
    assert {*SIZES, *COLOURS, *SHAPES, *BACKGROUNDS} <= set(learnt)


def test_the_split_of_a_combination_is_frozen() -> None:
    """Golden: a caption that changes sides leaks into training."""
    splits = {
        caption: parse(caption).split
        for caption in (
            "a small red circle on a teal background",
            "a large white ring on a black background",
            "a medium blue cross on a navy background",
            "a red circle left of a blue square on a teal background",
            "a green ring above a pink cross on an olive background",
        )
    }
    assert list(splits.values()) == ["train", "train", "validation", "test", "test"]
