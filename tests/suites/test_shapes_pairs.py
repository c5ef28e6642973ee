"""Preference pairs: training combinations only, frozen draws, the Pick-a-Pic schema, ties."""

from __future__ import annotations

import hashlib
from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from ppdbench.data.images import decode_image
from ppdbench.data.pickapic import ReadReport, read_pairs, write_pairs
from ppdbench.protocols import PreferencePair, Split
from ppdbench.suites.shapes.attributes import measure
from ppdbench.suites.shapes.captions import captions
from ppdbench.suites.shapes.pairs import (
    PAIRS_PER_PERSON,
    TIE_LOG_ODDS,
    _ask,
    choices,
    choose,
    draw_pairs,
)
from ppdbench.suites.shapes.people import CHOICE_SHARPNESS, people
from ppdbench.suites.shapes.scenes import parse


def some(count: int, split: Split = "train") -> list[PreferencePair]:
    return list(islice(choices("train", split, 4), count))


@pytest.fixture(scope="module")
def pairs() -> list[PreferencePair]:
    """One pair of each training person."""
    return list(choices("train", "train", 1))


@pytest.fixture(scope="module")
def forty_peoples() -> list[PreferencePair]:
    """Four pairs of each of the first forty."""
    return some(160)


def test_pairs_are_the_same_on_every_call() -> None:
    assert some(12) == some(12)


def test_pairs_come_from_training_combinations_alone(pairs: list[PreferencePair]) -> None:
    held_out = {
        parse(caption.text).key for split in ("validation", "test") for caption in captions(split)
    }
    scenes = [parse(pair.caption) for pair in pairs]
    assert {scene.split for scene in scenes} == {"train"}
    assert not {scene.key for scene in scenes} & held_out


def test_nobody_ever_asks_for_a_held_out_combination() -> None:
    """As many questions as the shipped pairs have, without their pictures."""
    count = PAIRS_PER_PERSON["train"]
    for person in people("train"):
        rng = np.random.default_rng(person.id)
        assert {_ask(person, "train", rng).split for _ in range(count)} == {"train"}


def test_validation_pairs_show_validation_combinations() -> None:
    assert {parse(pair.caption).split for pair in some(16, "validation")} == {"validation"}


def test_captions_mix_one_and_two_objects_in_both_wordings(pairs: list[PreferencePair]) -> None:
    two = [pair.caption for pair in pairs if len(parse(pair.caption).things) == 2]
    assert 0.22 < len(two) / len(pairs) < 0.38
    found = Counter(word for c in two for word in ("left", "right", "above", "below") if word in c)
    assert len(found) == 4


def test_ids_are_unique_and_people_in_order(pairs: list[PreferencePair]) -> None:
    assert [pair.id for pair in pairs] == [str(number) for number in range(len(pairs))]
    assert [pair.user_id for pair in pairs] == [person.id for person in people("train")]
    assert [pair.id for pair in some(8)] == [str(number) for number in range(8)]


def test_people_ask_for_their_favourites(forty_peoples: list[PreferencePair]) -> None:
    asked = [
        parse(pair.caption).things[0].colour in person.favourite_colours
        for person in people("train")[:40]
        for pair in forty_peoples
        if pair.user_id == person.id
    ]
    assert np.mean(asked) > 0.4  # a quarter, were favourites not likelier


def test_labels_follow_the_persons_taste(pairs: list[PreferencePair]) -> None:
    """The truth can be had back from pixels: most winners have the higher utility."""
    right = []
    for person, pair in zip(people("train"), pairs, strict=True):
        both = np.stack([np.asarray(decode_image(data)) for data in (pair.image_0, pair.image_1)])
        utility = person.utility(measure(both))
        if not pair.tie:
            right.append((utility[0] > utility[1]) == (pair.label_0 > pair.label_1))
    assert 0.88 < np.mean(right) < 0.98


def test_labels_are_ones_zeros_and_few_ties(pairs: list[PreferencePair]) -> None:
    assert {(pair.label_0, pair.label_1) for pair in pairs} <= {(1, 0), (0, 1), (0.5, 0.5)}
    assert 0 < np.mean([pair.tie for pair in pairs]) < 0.05
    assert 0.4 < np.mean([pair.label_0 for pair in pairs]) < 0.6  # neither side is favoured


def test_half_of_the_near_pairs_are_ties_and_no_others() -> None:
    rng = np.random.default_rng(0)
    gap = TIE_LOG_ODDS / CHOICE_SHARPNESS
    near = np.stack([np.full(4000, 0.9 * gap), np.zeros(4000)])
    assert choose(near, rng)[1].mean() == pytest.approx(0.5, abs=0.03)
    far = np.stack([np.full(4000, 1.1 * gap), np.zeros(4000)])
    wins, ties = choose(far, rng)
    assert not ties.any()
    assert wins.mean() == pytest.approx(1 / (1 + np.exp(-1.1 * TIE_LOG_ODDS)), abs=0.03)


def test_large_gaps_are_chosen_surely() -> None:
    utility = np.array([[5.0, 0.0], [0.0, 5.0]])
    wins, ties = choose(utility, np.random.default_rng(0))
    assert wins.tolist() == [True, False] and not ties.any()


def test_two_pictures_of_a_pair_differ_in_style_only() -> None:
    person = people("train")[0]
    _, texts, pictures, utility = draw_pairs(person, "train", 6, np.random.default_rng(0))
    assert pictures.shape == (2, 6, 64, 64, 3) and utility.shape == (2, 6) and len(texts) == 6
    assert (pictures[0] != pictures[1]).any((1, 2, 3)).all()
    np.testing.assert_allclose(utility[1], person.utility(measure(pictures[1])), atol=1e-3)


def test_parquet_gives_back_what_was_written(tmp_path: Path, pairs: list[PreferencePair]) -> None:
    report = ReadReport()
    assert write_pairs(tmp_path / "pairs.parquet", pairs) == len(pairs)
    assert list(read_pairs(tmp_path / "pairs.parquet", report=report)) == pairs
    assert report.read == len(pairs) and not report.skipped
    assert report.ties == sum(pair.tie for pair in pairs)


def test_captions_labels_and_people_are_frozen(forty_peoples: list[PreferencePair]) -> None:
    """Golden; another value is another data set, hence another suite version.

    Pictures are left out: PNG bytes depend on zlib, and pixels have goldens of their own.
    """
    rows = [f"{p.id} {p.user_id} {p.caption} {p.label_0}" for p in forty_peoples]
    golden = "4d5713e6ce66968cc1a8f14188c3fb97b37654614c13b1a0f10f1bb3946c75ab"
    assert hashlib.sha256("\n".join(rows).encode()).hexdigest() == golden
