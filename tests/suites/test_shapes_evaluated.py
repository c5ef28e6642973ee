"""Who is evaluated by which pairs: frozen, disjoint, nobody and nothing crossing splits."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from ppdbench import plugins
from ppdbench.data.images import decode_image
from ppdbench.errors import MissingPrerequisite
from ppdbench.protocols import People, PreferencePair, UserSplit
from ppdbench.suites.shapes import evaluated, pairs
from ppdbench.suites.shapes.evaluated import SPLITS, ShapesPeople
from ppdbench.suites.shapes.people import ATTRIBUTE_SCALE, people, person_of, preference
from ppdbench.suites.shapes.scenes import parse
from trainers.people import users_digest

UNSEEN_FIRST = ("211904868", "a medium green circle on a navy background")
TEST_SPLITS: tuple[UserSplit, ...] = ("seen", "unseen", "calibration")


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ShapesPeople:
    """The people, a few of each split, with files of their own."""
    few = {name: (group, 3, split, count) for name, (group, _, split, count) in SPLITS.items()}
    monkeypatch.setattr(evaluated, "SPLITS", few)
    return ShapesPeople(training_pairs=lambda: tmp_path / "none", cache=lambda: tmp_path)


def test_the_people_fulfil_the_protocol(world: ShapesPeople) -> None:
    assert isinstance(world, People)


def test_models_of_people_are_held_against_other_ways_to_know_people() -> None:
    found = ShapesPeople(training_pairs=Path, cache=Path).opponents
    assert found == (
        "stable-cascade", "diffusion-dpo", "sft-llava-onevision", "ppd-clip-pairs", "ppd-onehot",
    )  # fmt: skip
    assert {*found} <= {*plugins.names("generators")}


def test_training_people_have_the_digest_that_adapters_carry() -> None:
    digest = ShapesPeople(training_pairs=Path, cache=Path).training_digest
    assert digest == users_digest([str(person.id) for person in people("train")])
    assert digest.startswith("454182d842b0")


def test_the_splits_have_their_sizes_and_share_nobody_but_the_seen() -> None:
    everybody = ShapesPeople(training_pairs=Path, cache=Path)
    users = {split: everybody.users(split) for split in SPLITS}
    assert {split: len(found) for split, found in users.items()} == {
        "validation-seen": 96, "validation-unseen": 96, "seen": 277, "unseen": 192,
        "calibration": 120,
    }  # fmt: skip
    trained = {str(person.id) for person in people("train")}
    for split, found in users.items():
        ids = {user.id for user in found}
        assert all(user.seen == (user.id in trained) for user in found)
        assert (ids <= trained) == (split in ("seen", "validation-seen"))
        assert len(ids) == len(found)
    assert not {u.id for u in users["unseen"]} & {u.id for u in users["validation-unseen"]}
    assert not {u.id for u in users["unseen"]} & {u.id for u in users["calibration"]}


def test_the_first_unseen_user_is_frozen() -> None:
    user = ShapesPeople(training_pairs=Path, cache=Path).users("unseen")[0]
    assert (user.id, user.captions[0].text) == UNSEEN_FIRST


@pytest.mark.parametrize("split", list(SPLITS))
def test_a_users_pairs_are_disjoint_and_of_different_captions(
    split: UserSplit, world: ShapesPeople
) -> None:
    for user in world.users(split):
        ids = [*chain.from_iterable(user.shots), *user.choices]
        assert len(set(ids)) == len(ids) and [len(shots) for shots in user.shots] == [4, 4]
        assert len(user.choices) >= (20 if split == "calibration" else 8)
        shown = world.pairs(ids)
        assert {pair.user_id for pair in shown} == {int(user.id)}
        assert [pair.id for pair in shown] == ids
        scenes = {parse(pair.caption).key for pair in shown}
        assert len(scenes) == len(ids)
        assert len({image for p in shown for image in (p.image_0, p.image_1)}) == 2 * len(ids)
        assert not any(pair.tie for pair in shown)
        wanted = "validation" if split.startswith("validation") else "test"
        assert {parse(pair.caption).split for pair in shown} == {wanted}
        drawn = [caption.text for caption in user.captions]
        assert len(drawn) == 4
        assert drawn == [pair.caption for pair in world.pairs(user.choices[:4])]


def test_choices_are_the_persons_noisy_own(world: ShapesPeople) -> None:
    agreed, expected = [], []
    for split in TEST_SPLITS:
        for user in world.users(split):
            shown = world.pairs([*chain.from_iterable(user.shots), *user.choices])
            sides = [[decode_image(getattr(p, f"image_{n}")) for p in shown] for n in (0, 1)]
            utility = [world.truth.utility(user.id, world.truth.measure(side)) for side in sides]
            chance = preference(*utility)
            labels = np.array([pair.label_0 for pair in shown])
            agreed += list(labels == (chance > 0.5))
            expected += list(np.maximum(chance, 1 - chance))
    assert abs(np.mean(agreed) - np.mean(expected)) < 3 * np.sqrt(0.16 / len(agreed))


def test_truth_is_the_taste(world: ShapesPeople) -> None:
    person = people("unseen")[0]
    attributes = np.eye(6) * ATTRIBUTE_SCALE
    utility = world.truth.utility(str(person.id), attributes)
    np.testing.assert_allclose(utility, person.taste, rtol=1e-9)
    first = int(np.abs(person.taste).argmax())
    sign = "+" if person.taste[first] > 0 else "-"
    assert world.truth.dominant(str(person.id)) == sign + world.truth.attributes[first]
    assert world.truth.measure([]).shape == (0, 6)
    with pytest.raises(KeyError):
        world.truth.utility("1", attributes)
    assert person_of(str(person.id)) is person


def test_a_pair_that_is_not_there_is_named(world: ShapesPeople) -> None:
    with pytest.raises(MissingPrerequisite, match="13999999"):
        world.pairs(["13999999"])


def test_common_captions_are_everybodys_and_say_nothing_of_anyone() -> None:
    first, second = people("train")[:2]
    ours, theirs = (list(pairs.common_pairs(person, 0, 24)) for person in (first, second))
    assert [pair.caption for pair in ours] == [pair.caption for pair in theirs]
    assert [pair.image_0 for pair in ours] != [pair.image_0 for pair in theirs]


def test_identified_users_have_disjoint_groups(tmp_path: Path) -> None:
    from ppdbench.data.pickapic import read_pairs, write_pairs

    chosen = [p for person in people("train")[:3] for p in pairs._pairs_of(person, 0, "train", 24)]
    renumbered = [
        PreferencePair(**{**{f: getattr(p, f) for f in p.__slots__}, "id": str(row)})
        for row, p in enumerate(chosen)
    ]
    file = tmp_path / "train.parquet"
    write_pairs(file, renumbered)
    world = ShapesPeople(training_pairs=lambda: file, cache=lambda: tmp_path)
    users = world.identified(topics=True)
    captions = {pair.id: pair.caption for pair in read_pairs(file)}
    for user in users:
        train, test = (
            {captions[i] for group in groups for i in group} for groups in (user.train, user.test)
        )
        assert len(user.train) == 4 and len(user.test) == 1
        assert not train & test
