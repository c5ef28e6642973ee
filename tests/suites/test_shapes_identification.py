"""How well users can be told apart: caps by counting, captions by exact Bayes, and the people's."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from small_people import Simulated, SmallWorld, habit_of, small_world, some, strangers

from ppdbench.statistics.top_k import labels_cap
from ppdbench.suites.shapes.beliefs import top_share
from ppdbench.suites.shapes.identification import (
    identification_ceilings,
    known_scores,
    label_scores,
)
from ppdbench.suites.shapes.people import people
from ppdbench.suites.shapes.scenes import caption_of, double_scenes, single_scenes
from ppdbench.suites.shapes.topics import HABITS, caption_log_likelihood


@pytest.fixture(scope="module")
def simulated() -> Simulated:
    return strangers()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallWorld]:
    with small_world(tmp_path_factory.mktemp("cache")) as small:
        yield small


def test_people_without_noise_spread_evenly_reach_the_cap() -> None:
    answers = np.array([[user >> bit & 1 for bit in range(4)] for user in range(64)])
    agree = (answers[:, None] == answers[None]).all(-1)
    scores = np.where(agree, 0.0, -50.0)
    for top in (1, 2, 4, 9):
        assert top_share(scores, np.arange(64), top) == pytest.approx(labels_cap(top, 64, 4))


def test_knowing_tastes_beats_knowing_labels_beats_chance(simulated: Simulated) -> None:
    own = np.arange(200)
    asked = simulated.choices[:200, :4]
    known = known_scores(simulated.tastes[:200], asked)
    learnt = label_scores(simulated.shots[:200], asked)
    assert known.shape == learnt.shape == (200, 200)
    for top in (5, 16):
        shares = [top_share(scores, own, top) for scores in (known, learnt)]
        assert labels_cap(top, 200, 4) > shares[0] > shares[1] > 1.5 * top / 200


def test_users_of_whom_nothing_is_known_are_told_apart_by_chance() -> None:
    scores = label_scores(np.empty((30, 0, 6)), some(30, 4))
    for top in (1, 16):
        assert top_share(scores, np.arange(30), top) == pytest.approx(top / 30)


@pytest.mark.parametrize("split", ["train", "validation"])
def test_caption_likelihood_is_how_captions_are_asked_for(split: str) -> None:
    for pool in (list(single_scenes()), list(double_scenes())):
        scenes = [scene for scene in pool if scene.split == split]
        shown = scenes[:: len(scenes) // 40]
        captions = [caption_of(scene, reverse=bool(row % 2)) for row, scene in enumerate(shown)]
        found = np.exp(
            caption_log_likelihood(captions, "train" if split == "train" else "validation")
        )
        for person in people("unseen")[:3]:
            total = sum(person.asks_for(scene) for scene in scenes)
            expected = [person.asks_for(scene) / total for scene in shown]
            np.testing.assert_allclose(found[:, habit_of(person)], expected)


def test_everybody_has_a_habit() -> None:
    assert len(set(HABITS)) == len(HABITS) == 168
    habits = {habit_of(person) for person in people("train")}
    assert len(habits) > 100


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize("topics", [True, False])
def test_identification_of_the_identified(topics: bool) -> None:
    found = identification_ceilings.__wrapped__(topics=topics)
    kinds = {"", "known_"} | ({"captions_", "both_"} if topics else set())
    names = {f"{kind}top{count}" for kind in kinds for count in (1, 5, 16)}
    expected = {f"top{count}_expected" for count in (1, 5, 16)}
    assert set(found) == names | expected | {"n_users", "n_groups"}
    assert found["n_users"] == found["n_groups"] == 12
    assert found["top16"] == 1
    assert found["top16_expected"] == pytest.approx(1)
    assert found["top5"] > 5 / 12
    if topics:
        assert found["both_top5"] > 5 / 12
        assert found["captions_top5"] > 5 / 12
