"""What the world's models learn from: seeded, captioned truly, and of training scenes alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from ppdbench.protocols import Split
from ppdbench.suites.shapes.attributes import ATTRIBUTES, measure
from ppdbench.suites.shapes.pairs import draw_pairs
from ppdbench.suites.shapes.people import ATTRIBUTE_SCALE, Person, people
from ppdbench.suites.shapes.renderer import render, sample_styles
from ppdbench.suites.shapes.scenes import parse
from trainers.shapes import reward_data
from trainers.shapes.renders import as_unit, draw_scenes, make_renders, object_mask
from trainers.shapes.reward_data import (
    LOOKS,
    annotator_choices,
    captioned_pictures,
    rated_pictures,
)


def measured(images: Tensor) -> NDArray[np.float64]:
    return measure(images.permute(0, 2, 3, 1).numpy())


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_scenes_come_from_the_split_asked_for(split: Split) -> None:
    scenes = draw_scenes(400, np.random.default_rng(0), split)
    assert {scene.split for scene in scenes} == {split}
    assert 0.22 < np.mean([len(scene.things) == 2 for scene in scenes]) < 0.38


def test_renders_are_of_training_scenes_with_true_captions() -> None:
    renders = make_renders(200, seed=4)
    assert renders.images.shape == (200, 3, 64, 64) and renders.images.dtype == torch.uint8
    assert [parse(caption) for caption in renders.captions] == renders.scenes
    assert {scene.split for scene in renders.scenes} == {"train"}
    words = Counter(word for caption in renders.captions for word in caption.split())
    assert all(words[word] for word in ("left", "right", "above", "below"))


def test_renders_are_a_function_of_the_seed() -> None:
    first, second, other = (make_renders(12, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first.images, second.images) and first.captions == second.captions
    assert first.captions != other.captions


def test_pixels_to_units() -> None:
    unit = as_unit(torch.tensor([0, 51, 255], dtype=torch.uint8))
    assert unit.dtype == torch.float32 and unit.tolist() == pytest.approx([0, 0.2, 1])


def test_some_captions_name_the_look_and_all_name_the_scene() -> None:
    images, captions = captioned_pictures(300, seed=5)
    assert len(images) == 300
    looks = [caption.split(", ")[1:] for caption in captions]
    assert {word for words in looks for word in words} <= set(LOOKS)
    assert 0.4 < np.mean([bool(words) for words in looks]) < 0.6
    assert max(map(len, looks)) == 2
    assert all(len(set(words)) == len(words) for words in looks)
    assert {parse(caption.split(", ")[0]).split for caption in captions} == {"train"}


def test_looks_say_what_is_seen() -> None:
    images, captions = captioned_pictures(1500, seed=6)
    values = dict(zip(ATTRIBUTES, measured(images).T, strict=True))
    for low, high, attribute in (
        ("dark", "bright", "brightness"),
        ("soft", "bold", "contrast"),
        ("dull", "vivid", "colourfulness"),
        ("cold", "warm", "warmth"),
        ("aside", "centred", "centredness"),
        ("plain", "striped", "detail"),
    ):
        means = [
            values[attribute][[look in caption.split(", ") for caption in captions]].mean()
            for look in (low, high)
        ]
        assert means[0] < means[1], (low, high)


def test_no_caption_contradicts_itself() -> None:
    _, captions = captioned_pictures(800, seed=7)
    for pair in zip(LOOKS[::2], LOOKS[1::2], strict=True):
        assert not [c for c in captions if set(pair) <= set(c.split(", "))]


def test_every_look_is_said() -> None:
    _, captions = captioned_pictures(800, seed=7)
    assert {word for c in captions for word in c.split(", ")[1:]} == set(LOOKS)


def test_ratings_follow_the_raters() -> None:
    """Regressed on what a picture has over a plain drawing of its scene, they give the taste."""
    images, ratings = rated_pictures(400, seed=8)
    assert ratings.shape == (400,) and ratings.dtype == torch.float32
    rng = np.random.default_rng(8)  # the same scenes and styles again
    scenes = draw_scenes(400, rng)
    plain = render(scenes, reward_data._neutral(sample_styles(400, rng)))
    lead = (measured(images) - measure(plain)) / ATTRIBUTE_SCALE
    design = np.column_stack([lead, np.ones(400)])
    (*weights, middle), *_ = np.linalg.lstsq(design, ratings.double().numpy())
    taste = np.mean([person.taste for person in people("raters")], axis=0)
    np.testing.assert_allclose(weights, 1.3 * taste, atol=0.1)
    assert middle == pytest.approx(5.5, abs=0.2)  # what a plain drawing gets
    left = ratings.numpy() - design @ [*weights, middle]
    assert left.std() == pytest.approx(0.3, abs=0.05)


def test_ratings_are_within_a_caption() -> None:
    """A bright caption is not better for it: by brightness alone black and grey lie 6 apart."""
    rng = np.random.default_rng(9)
    scenes = draw_scenes(900, rng)
    _, ratings = rated_pictures(900, seed=9)  # draws the same scenes first
    means = [
        ratings[[scene.background == name for scene in scenes]].mean()
        for name in ("black", "grey", "teal")
    ]
    assert max(means) - min(means) < 1.5


def test_annotators_choose_by_their_own_taste() -> None:
    choices = annotator_choices(960, seed=10)
    count = len(choices.captions)
    assert 900 < count <= 960  # ties are left out
    assert choices.images_0.shape == choices.images_1.shape == (count, 3, 64, 64)
    assert set(choices.labels.tolist()) == {0.0, 1.0}
    assert 0.45 < choices.labels.mean() < 0.55
    assert {parse(caption).split for caption in choices.captions} == {"train"}
    difference = measured(choices.images_0) - measured(choices.images_1)
    won = choices.labels.numpy() == 1
    for attribute in ("warmth", "colourfulness"):
        column = difference[:, ATTRIBUTES.index(attribute)]
        assert ((column > 0) == won).mean() > 0.6


def test_every_annotator_chooses_as_often(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []

    def watched(person: Person, split: Split, count: int, rng: np.random.Generator) -> Any:
        seen.append((person.id, count))
        assert split == "train"
        return draw_pairs(person, split, count, rng)

    monkeypatch.setattr(reward_data, "draw_pairs", watched)
    annotator_choices(96, seed=1)
    assert seen == [(person.id, 2) for person in people("hps")]


@pytest.mark.parametrize("make", [captioned_pictures, rated_pictures])
def test_data_is_a_function_of_the_seed(make: Callable[[int, int], tuple[Tensor, Any]]) -> None:
    first, second, other = make(24, 3), make(24, 3), make(24, 4)
    assert torch.equal(first[0], second[0]) and not torch.equal(first[0], other[0])
    assert list(first[1]) == list(second[1])


def test_choices_are_a_function_of_the_seed() -> None:
    first, second, other = (annotator_choices(48, seed) for seed in (3, 3, 4))
    assert first.captions == second.captions and torch.equal(first.labels, second.labels)
    assert torch.equal(first.images_1, second.images_1)
    assert first.captions != other.captions


def test_the_object_mask_covers_the_objects_and_no_background() -> None:
    """White objects in bright styles are clipped to white: the mask must see them all the same."""
    renders = make_renders(300, seed=9)
    objects = object_mask(renders)
    share = objects.float().mean((1, 2))
    assert share.min() > 0.015 and share.max() < 0.35
    size = {"small": 0, "medium": 1, "large": 2}
    single = [(size[s.things[0].size or ""], x) for s, x in zip(renders.scenes, share, strict=True)
              if len(s.things) == 1]  # fmt: skip
    means = [np.mean([x for k, x in single if k == rank]) for rank in range(3)]
    assert means[0] < means[1] < means[2]
    # Styles move an object by at most 11 pixels: a small one never comes near the border.
    small = objects[torch.tensor([s.things[0].size == "small" for s in renders.scenes])]
    assert not small[:, :8].any() and not small[:, :, -8:].any()
