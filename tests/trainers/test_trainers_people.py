"""Learning from people: which pairs, under which embeddings; never shots that show the pair."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tiny_people import FEW, STRANGER, ColourEncoder, PeopleSuite

from ppdbench.data.images import PNG_MAGIC
from ppdbench.data.pickapic import read_pairs, write_pairs
from ppdbench.protocols import EncoderInfo, PreferencePair
from trainers.encoded import embeddings
from trainers.encoded.decoding import picture_hash
from trainers.encoded.embeddings import ShotGroup, embed_groups
from trainers.encoded.latents import LatentCache
from trainers.examples import Examples
from trainers.people import (
    Choices,
    People,
    choices_of,
    held_out_examples,
    spread,
    training_examples,
)
from trainers.training.progress import Silence

INFO = EncoderInfo(name="colours", revision="1", dim=4, uses="shots")


def opened(pairs: Path, kept: list[PreferencePair]) -> LatentCache:
    """What the table needs of a cache, nothing encoded."""
    captions = list(dict.fromkeys(pair.caption for pair in kept))
    nothing: Any = None
    return LatentCache(
        folder=pairs.parent,
        pairs_sha256="",
        limit=None,
        captions=tuple(captions),
        label_margin=np.array([pair.label_1 - pair.label_0 for pair in kept]),
        caption=np.array([captions.index(pair.caption) for pair in kept]),
        image_0=nothing,
        image_1=nothing,
        hidden=nothing,
        pooled=nothing,
        id=np.array([int(pair.id) for pair in kept]),
        user=np.array([pair.user_id for pair in kept]),
        different=np.array([pair.are_different for pair in kept]),
        pictures=np.array(
            [[picture_hash(data) for data in (pair.image_0, pair.image_1)] for pair in kept]
        ),
    )


def people_of(choices: Choices, *, encoder: EncoderInfo = INFO) -> People:
    """Everyone, with embeddings that tell which group they are of."""
    users = list(dict.fromkeys(group.user for group in choices.groups))
    groups = [group for user in users for group in choices.groups if group.user == user]
    vectors = np.arange(len(groups) * 4, dtype=np.float32).reshape(-1, 4)
    return People(
        encoder=encoder, groups=tuple(groups), embedding=spread(encoder, vectors), vectors=vectors
    )


def messy_pairs(seed: int) -> list[PreferencePair]:
    """Pairs of eight users in any order: ties, repeated captions, shared pictures, twins."""
    rng = np.random.default_rng(seed)
    made: list[PreferencePair] = []
    for number in range(120):
        if made and rng.random() < 0.1:
            twin = made[int(rng.integers(len(made)))]
            made.append(twin)
            continue
        pictures = [PNG_MAGIC + int(n).to_bytes(2, "big") for n in rng.integers(0, 400, 2)]
        label = float(rng.choice([0, 1, 0.5], p=[0.45, 0.45, 0.1]))
        made.append(
            PreferencePair(
                id=str(number),
                caption=f"caption {rng.integers(30)}",
                image_0=pictures[0],
                image_1=pictures[1],
                label_0=1 - label,
                label_1=label,
                user_id=int(rng.choice(8, p=[0.3, 0.2, 0.2, 0.1, 0.1, 0.04, 0.03, 0.03])),
                are_different=bool(rng.random() < 0.95),
            )
        )
    return made


@pytest.mark.parametrize("seed", range(5))
def test_no_example_is_learnt_under_shots_that_show_it(seed: int, tmp_path: Path) -> None:
    write_pairs(tmp_path / "pairs.parquet", messy_pairs(seed))
    kept = list(read_pairs(tmp_path / "pairs.parquet"))
    choices = choices_of(opened(tmp_path / "x", kept), 4)
    people = people_of(choices)
    table = training_examples(people, choices, shots=4)
    assert len(table) + sum(table.left_out["people"].values()) == len(kept)
    assert len(set(table.pair)) == len(table) > 20
    chances = np.linspace(0, 1, 40, endpoint=False)
    seen_beside_own_shots = 0
    for example in range(len(table)):
        pair = kept[table.pair[example]]
        assert (pair.label_1, pair.label_0)[int(table.winner[example] == 0)] == 1
        rows = set(table.user_rows(np.full(40, example), chances).tolist())
        own = {n for n, group in enumerate(people.groups) if group.user == str(pair.user_id)}
        telling = {n for n in own if shows(people.groups[n], pair, kept)}
        assert rows == own - telling  # each of the others is drawn, now and then
        seen_beside_own_shots += bool(telling)
    assert seen_beside_own_shots > 5


def shows(group: ShotGroup, pair: PreferencePair, kept: list[PreferencePair]) -> bool:
    shots = [kept[row] for row in group.rows]
    pictures = {image for shot in shots for image in (shot.image_0, shot.image_1)}
    return (
        pair.id in {shot.id for shot in shots}
        or pair.caption in {shot.caption for shot in shots}
        or bool({pair.image_0, pair.image_1} & pictures)
    )


def tables(tmp_path: Path, encoder: EncoderInfo = INFO) -> tuple[Examples, Examples, People]:
    """The tiny people's training and held-out tables."""
    suite = PeopleSuite(tmp_path)
    found = []
    for path in (suite.pairs("train"), suite.pairs("validation")):
        found.append(choices_of(opened(path, list(read_pairs(path))), 4))
    people = people_of(found[0], encoder=encoder)
    return training_examples(people, found[0], shots=4), held_out_examples(people, found[1]), people


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    train, held_out, people = tables(tmp_path)
    assert train.left_out["people"] == {
        "tie": 4,
        "of one picture twice": 4,
        "of a user with fewer than 5 pairs": 3,
        "shown in all shots of its user": 4,  # of the user with one group: the fifth pair is learnt
    }
    assert len(train) == 4 * 10 + 1
    assert held_out.left_out["people"] == {"of a user without an embedding": 1}
    assert people.rows["0"] == (0, 2)
    assert str(FEW) not in people.rows and str(STRANGER) not in people.rows


def test_held_out_pairs_are_measured_under_any_embedding_of_their_user(tmp_path: Path) -> None:
    _, held_out, people = tables(tmp_path)
    chances = np.array([0.0, 0.6])
    for example, user in enumerate(("0", "1", "2", "3")):
        rows = held_out.user_rows(np.full(2, example), chances)
        assert rows.tolist() == [people.rows[user][0], people.rows[user][0] + 1]


def test_normalised_embeddings_have_no_mean_and_a_number_that_stands_still_stays_zero() -> None:
    drawn = np.random.default_rng(0).normal([1, 5, -3, 0.5], [1, 20, 0.1, 0], (50, 4))
    raw: NDArray[np.float32] = drawn.astype(np.float32)
    vectors = spread(INFO, raw).normalised(raw)
    np.testing.assert_allclose(vectors.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(vectors[:, :2].std(0), 1, atol=1e-4)
    assert np.abs(vectors[:, 3]).max() == 0
    near = raw[:1].copy()
    near[:, 3] += 1e-4
    assert np.abs(spread(INFO, raw).normalised(near)[:, 3]) < 0.01


def test_groups_are_embedded_once_and_in_their_own_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PPDBENCH_CACHE", str(tmp_path / "user-cache"))
    encoder = ColourEncoder()
    path = PeopleSuite(tmp_path).pairs("train")
    kept = list(read_pairs(path))
    cache = opened(path, kept)
    groups = choices_of(cache, 4).groups[::-1]
    first, known = embed_groups(groups, path, cache, encoder, events=Silence())
    assert known.all() and encoder.asked == len(groups)
    for vector, group in zip(first, groups, strict=True):
        context = embeddings._Contexts([group], path, None)[0]
        assert context.id == group.user
        assert [shot.caption for shot in context.shots] == [kept[r].caption for r in group.rows]
        np.testing.assert_array_equal(vector, encoder._embedding(context))
    again, _ = embed_groups(groups, path, cache, encoder, events=Silence())
    np.testing.assert_array_equal(again, first)
    assert encoder.asked == len(groups)
    # An encoder with options is called by what no file may be called.
    encoder.info = replace(encoder.info, name="colours:of=a/b")
    embed_groups(groups, path, cache, encoder, events=Silence())
    files = [file.name.rpartition("-")[0] for file in cache.folder.glob("users-*")]
    assert sorted(files) == ["users-colours", "users-colours_of_a_b"]
    encoder.asked = len(groups)
    # The file is of these groups and this encoder; the users' cache knows contents.
    other = ColourEncoder(revision="2")
    embed_groups(groups[:3], path, cache, other, events=Silence())
    assert other.asked == 3


def test_contexts_can_be_asked_for_in_any_order_and_by_steps(tmp_path: Path) -> None:
    path = PeopleSuite(tmp_path).pairs("train")
    kept = list(read_pairs(path))
    groups = choices_of(opened(path, kept), 4).groups
    contexts = embeddings._Contexts(groups, path, None)
    told = [[s.caption for s in c.shots] for c in contexts]
    assert len(told) == len(groups) == 9
    assert [[s.caption for s in c.shots] for c in contexts[1:9:3]] == told[1:9:3]
    assert contexts._held.keys() <= {row for group in groups[1:] for row in group.rows}
    assert [s.caption for s in contexts[-1].shots] == told[-1]
    assert [s.caption for s in contexts[0].shots] == told[0]
    assert contexts[3:3] == []
