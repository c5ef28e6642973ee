"""The encoders beside the one that writes: ids, and differences of image embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from ppdbench.data.images import encode_png
from ppdbench.data.pickapic import user_ids, write_pairs
from ppdbench.errors import MissingPrerequisite, PpdbenchError
from ppdbench.protocols import LoadContext, PreferencePair, Shot, UserContext, UserEncoder
from ppdbench.suites.shapes.suite import ShapesSuite
from ppdbench.users.load import make_encoder


def context(suite: Any) -> LoadContext:
    return LoadContext(suite=suite, device="cpu")


# --- onehot -------------------------------------------------------------------------------------


def parquet(path: Path, users: Sequence[int]) -> Path:
    image = encode_png(Image.new("RGB", (4, 4)))
    pairs = (
        PreferencePair(
            id=str(number),
            caption="a",
            image_0=image,
            image_1=image,
            label_0=1.0,
            label_1=0.0,
            user_id=user,
        )
        for number, user in enumerate(users)
    )
    write_pairs(path, pairs, rows_per_group=2)
    return path


def onehot(path: Path) -> UserEncoder:
    suite = SimpleNamespace(pairs=lambda split: {"train": path}[split], name="toy")
    return make_encoder("onehot", context(suite))


def test_each_training_user_has_a_place_and_nobody_else(tmp_path: Path) -> None:
    encoder = onehot(parquet(tmp_path / "pairs.parquet", [30, 5, 30, 2**40, 5, 5]))
    assert (encoder.info.dim, encoder.info.uses) == (3, "id")
    asked = [UserContext(id=name) for name in ("5", "30", str(2**40), "6", "005", "")]
    codes = encoder.encode(asked)
    places = [code and code.embedding.tolist() for code in codes]
    assert places == [[1, 0, 0], [0, 1, 0], [0, 0, 1], None, None, None]
    assert codes[0] is not None
    assert codes[0].embedding.dtype == np.float32


def test_a_revision_is_that_of_the_list_of_users(tmp_path: Path) -> None:
    of = {
        name: onehot(parquet(tmp_path / f"{name}.parquet", users)).info.revision
        for name, users in {"a": [1, 2], "b": [2, 1, 1], "c": [1, 3], "d": [12]}.items()
    }
    assert of["a"] == of["b"]
    assert len(set(of.values())) == 3


def test_ids_are_read_without_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet(tmp_path / "0.parquet", [1, 2])
    parquet(tmp_path / "1.parquet", [2, 3])
    read: list[Any] = []
    whole = pq.ParquetFile.iter_batches

    def spy(self: Any, *args: Any, **named: Any) -> Any:
        read.append(named.get("columns"))
        return whole(self, *args, **named)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", spy)
    assert user_ids(tmp_path) == [1, 2, 3]
    assert read == [["user_id"]] * 2


def test_pairs_without_users_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingPrerequisite, match="nobody's"):
        onehot(parquet(tmp_path / "empty.parquet", []))
    with pytest.raises(MissingPrerequisite, match="no pair data"):
        onehot(tmp_path / "nowhere.parquet")
    file = parquet(tmp_path / "cut.parquet", range(100))
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(PpdbenchError, match="not a readable Parquet file"):
        onehot(file)
    table = pq.read_table(parquet(tmp_path / "whole.parquet", [1]))
    pq.write_table(table.drop_columns("user_id"), tmp_path / "lacking.parquet")
    with pytest.raises(MissingPrerequisite, match="lacks the column user_id"):
        onehot(tmp_path / "lacking.parquet")


# --- clip-pairs ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clip() -> UserEncoder:
    return make_encoder("clip-pairs", context(ShapesSuite()))


def noise(count: int) -> list[Shot]:
    rng = np.random.default_rng(3)
    images = [
        Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8)) for _ in range(2 * count)
    ]
    return [
        Shot(caption=str(at), preferred=images[2 * at], dispreferred=images[2 * at + 1])
        for at in range(count)
    ]


def embedding(encoder: UserEncoder, *shots: Shot) -> np.ndarray[Any, np.dtype[np.float32]]:
    (code,) = encoder.encode([UserContext(id="0", shots=shots)])
    assert code is not None
    return code.embedding


def turned(shot: Shot) -> Shot:
    return replace(shot, preferred=shot.dispreferred, dispreferred=shot.preferred)


def test_it_is_the_mean_difference_of_the_suites_image_embeddings(clip: UserEncoder) -> None:
    from ppdbench.rewards.embedding_reward import EmbeddingReward
    from ppdbench.rewards.load import load_reward

    spec = next(spec for spec in ShapesSuite().rewards() if spec.name == "clip")
    reward = load_reward(spec, "cpu")
    assert isinstance(reward, EmbeddingReward)
    shots = noise(3)
    images = [image for shot in shots for image in (shot.preferred, shot.dispreferred)]
    vectors = reward.tower.encode_images(reward.recipe(images)).numpy()
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    by_hand = (vectors[0::2] - vectors[1::2]).mean(axis=0)
    np.testing.assert_allclose(embedding(clip, *shots), by_hand, atol=1e-6)
    assert (clip.info.dim, clip.info.uses) == (len(by_hand), "shots")
    assert np.abs(by_hand).max() > 0.01


def test_turning_every_choice_turns_the_embedding(clip: UserEncoder) -> None:
    shots = noise(4)
    own = embedding(clip, *shots)
    np.testing.assert_allclose(embedding(clip, *map(turned, shots)), -own, atol=1e-6)
    some = embedding(clip, *map(turned, shots[:1]), *shots[1:])
    assert np.abs(some - own).max() > 0.01
    np.testing.assert_allclose(embedding(clip, shots[0], turned(shots[0])), 0, atol=1e-6)


def test_users_do_not_mix_and_without_shots_there_is_none(clip: UserEncoder) -> None:
    shots = noise(70)  # more images than are embedded at once
    users = [
        UserContext(id="0", shots=tuple(shots[:1])),
        UserContext(id="1"),
        UserContext(id="2", shots=tuple(shots[1:])),
    ]
    first, none, rest = clip.encode(users)
    assert first is not None
    assert none is None
    assert rest is not None
    np.testing.assert_allclose(first.embedding, embedding(clip, shots[0]), atol=1e-6)
    np.testing.assert_allclose(rest.embedding, embedding(clip, *shots[1:]), atol=1e-6)


def test_captions_play_no_part(clip: UserEncoder) -> None:
    (shot,) = noise(1)
    other = replace(shot, caption="another")
    assert np.array_equal(embedding(clip, shot), embedding(clip, other))


def test_a_revision_is_that_of_the_tower() -> None:
    specs = {spec.name: spec for spec in ShapesSuite().rewards()}
    revisions = []
    for name in ("clip", "clip-gold"):
        spec = replace(specs[name], gold=False)
        suite = SimpleNamespace(rewards=lambda spec=spec: [spec], name="toy")
        revisions.append(make_encoder("clip-pairs", context(suite)).info.revision)
    assert revisions[0] != revisions[1]
    assert revisions[0] == make_encoder("clip-pairs", context(ShapesSuite())).info.revision


def test_a_suite_without_clip_has_none() -> None:
    gold = [spec for spec in ShapesSuite().rewards() if spec.gold or spec.kind != "clip"]
    suite = SimpleNamespace(rewards=lambda: gold, name="toy")
    with pytest.raises(MissingPrerequisite, match="the suite toy has no CLIP reward"):
        make_encoder("clip-pairs", context(suite))
