"""Learning from people: never under shots that show the pair itself, and the same every time."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_people
from numpy.typing import NDArray
from safetensors.torch import load_file
from tiny_cascade import Log
from tiny_people import FEW, STRANGER, ColourEncoder, PeopleSuite, train_for_people, use_encoder
from trained import killed_at, metrics_of, place, run_script, same_outcome

from ppdbench.data.images import PNG_MAGIC
from ppdbench.data.pickapic import read_pairs, write_pairs
from ppdbench.errors import FingerprintMismatch, MissingPrerequisite, UsageError
from ppdbench.protocols import EncoderInfo, PreferencePair
from trainers import embeddings, latents, loop, results
from trainers.checkpoints import read_header
from trainers.config import load_config
from trainers.draws import Draws, draw
from trainers.embeddings import ShotGroup, embed_groups
from trainers.examples import Examples
from trainers.latents import LatentCache
from trainers.people import (
    Choices,
    People,
    choices_of,
    held_out_examples,
    spread,
    training_examples,
    users_digest,
)
from trainers.progress import Silence
from trainers.steps import Batch

INFO = EncoderInfo(name="colours", revision="1", dim=4, uses="shots")


@pytest.fixture(autouse=True)
def encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ColourEncoder:
    monkeypatch.setenv("PPDBENCH_CACHE", str(tmp_path / "user-cache"))
    made = ColourEncoder()
    use_encoder(monkeypatch.setattr, made)
    return made


@pytest.fixture(scope="module")
def trained(
    tmp_path_factory: pytest.TempPathFactory, tiny_base_folder: Path
) -> Callable[[str], Path]:
    """A method's training for people that nobody disturbed, made once."""

    @cache
    def of(method: str) -> Path:
        output = tmp_path_factory.mktemp(f"{method}-people") / "out"
        return train_for_people(method, tiny_base_folder, output)

    return of


# --- the table ----------------------------------------------------------------------------------


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
    choices = choices_of(tmp_path / "pairs.parquet", opened(tmp_path / "x", kept), 4)
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
        found.append(choices_of(path, opened(path, list(read_pairs(path))), 4))
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


@pytest.mark.parametrize(
    ("split", "user", "said"),
    [
        ("train", FEW, "no user whom colours can embed"),
        ("validation", STRANGER, "left: 1 of a user without an embedding"),
    ],
)
def test_nobody_to_learn_from_is_said_before_training(
    split: Any,
    user: int,
    said: str,
    tmp_path: Path,
    tiny_base_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = PeopleSuite(tmp_path).pairs(split)
    kept = [pair for pair in read_pairs(path) if pair.user_id == user]
    path.unlink()
    write_pairs(path, kept)
    monkeypatch.setattr("trainers.recipe.fit", lambda _job: pytest.fail("trained first"))
    with pytest.raises(MissingPrerequisite, match=said):
        train_for_people("ppd", tiny_base_folder, tmp_path / "out")


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


# --- embeddings ---------------------------------------------------------------------------------


def test_groups_are_embedded_once_and_in_their_own_order(
    tmp_path: Path, encoder: ColourEncoder
) -> None:
    path = PeopleSuite(tmp_path).pairs("train")
    kept = list(read_pairs(path))
    cache = opened(path, kept)
    groups = choices_of(path, cache, 4).groups[::-1]
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
    assert sorted(files) == ["users-colours", "users-colours-of=a-b"]
    encoder.asked = len(groups)
    # The file is of these groups and this encoder; the users' cache knows contents.
    other = ColourEncoder(revision="2")
    embed_groups(groups[:3], path, cache, other, events=Silence())
    assert other.asked == 3


def test_contexts_can_be_asked_for_in_any_order_and_by_steps(tmp_path: Path) -> None:
    path = PeopleSuite(tmp_path).pairs("train")
    kept = list(read_pairs(path))
    groups = choices_of(path, opened(path, kept), 4).groups
    contexts = embeddings._Contexts(groups, path, None)
    told = [[s.caption for s in c.shots] for c in contexts]
    assert len(told) == len(groups) == 9
    assert [[s.caption for s in c.shots] for c in contexts[1:9:3]] == told[1:9:3]
    assert contexts._held.keys() <= {row for group in groups[1:] for row in group.rows}
    assert [s.caption for s in contexts[-1].shots] == told[-1]
    assert [s.caption for s in contexts[0].shots] == told[0]
    assert contexts[3:3] == []


def test_whom_the_encoder_cannot_serve_is_left_out(
    tmp_path: Path, tiny_base_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = ColourEncoder.encode
    monkeypatch.setattr(
        ColourEncoder,
        "encode",
        lambda self, users: [
            None if user.id == "2" else code
            for user, code in zip(users, real(self, users), strict=True)
        ],
    )
    log = Log()
    folder = train_for_people("ppd", tiny_base_folder, tmp_path / "out", ["steps=1"], log=log)
    facts = read_header(folder).facts
    assert facts["users"]["count"] == 4  # 0, 1, 3 and the one with five pairs
    assert facts["users"]["digest"] == users_digest(["0", "1", "3", "5"])
    assert facts["left_out"]["people"]["of a user without an embedding"] == 10
    assert any("4 people, 7 embeddings by colours" in note for note in log.notes)


# --- whole trainings ----------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["ppd", "sft"])
def test_training_for_people_says_whom_it_was_for(
    method: str, trained: Callable[[str], Path]
) -> None:
    folder = trained(method)
    header = read_header(folder)
    assert (header.method, header.user_vector, header.shape.user_dim) == (method, "embedding", 4)
    assert header.embedding is not None
    assert (header.embedding.encoder, header.embedding.revision) == ("colours", "1")
    assert len(header.embedding.mean) == len(header.embedding.std) == 4
    users = header.facts["users"]
    assert users == {
        "count": 5,
        "digest": users_digest(["0", "1", "2", "3", "5"]),
        "encoder": "colours",
        "shots": 4,
        "embeddings": 9,
    }
    assert header.facts["examples"] == 41
    card = (folder / "README.md").read_text()
    assert f"# {method}-colours on tiny" in card and users["digest"] in card
    assert "an embedding by colours" in card and "5 people" in card
    assert load_config(folder / "config.yaml").users.encoder == "colours"
    assert "implicit_accuracy_by_user" not in metrics_of(folder)[0]
    assert (folder / "validation" / "step-000006.png").is_file()
    assert json.loads((folder / "manifest.json").read_text())["figures"]["divergence"] > 0
    tensors = load_file(folder / "adapter.safetensors")
    assert tensors["user_projection.linear.weight"].shape == (4 * 64, 4)


def test_grid_is_drawn_for_three_people(
    tmp_path: Path, tiny_base_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr("trainers.recipe.draw_grid", lambda *args: drawn.append(args[-1]))
    train_for_people("ppd", tiny_base_folder, tmp_path / "out", ["steps=1"])
    (columns,) = drawn
    assert list(columns) == ["0", "1", "2"]
    assert all(len(vector) == 4 and vector.any() for vector in columns.values())
    assert len({vector.tobytes() for vector in columns.values()}) == 3


def test_each_step_takes_an_allowed_embedding_or_the_null_user(
    tmp_path: Path, tiny_base_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the table allows is what the loop learns from, row by row."""
    real = loop.batch_of
    drawn: list[Draws] = []
    met: list[tuple[Draws, Batch, NDArray[np.int64]]] = []
    tables_of: list[Examples] = []

    def noted(**how: Any) -> Draws:
        drawn.append(draw(**how))
        return drawn[-1]

    def batch_of(job: loop.Job, *where: Any, **more: Any) -> tuple[Batch, NDArray[np.int64]]:
        batch, users = real(job, *where, **more)
        met.append((drawn[-1], batch, users))
        tables_of.append(job.examples)
        return batch, users

    monkeypatch.setattr(loop, "draw", noted)
    monkeypatch.setattr(loop, "batch_of", batch_of)
    overrides = ["steps=25", "batch_size=8", "objective.user_dropout=0.3", "validation.pairs=0"]
    train_for_people("ppd", tiny_base_folder, tmp_path / "out", overrides)
    table, *others = tables_of
    assert all(other is table for other in others)
    assert table.vectors is not None and table.barred is not None
    beside, dropped, further = 0, 0, 0
    for draws, batch, users in met:
        for row, example in enumerate(draws.example):
            first, count = table.user[example], table.vectors[example]
            assert users[row] in range(first, first + count)
            assert users[row] not in table.barred[example]
            vector = batch.users[row].numpy()
            if draws.drop_user[row]:
                assert not vector.any()
            else:
                assert vector.any()
                np.testing.assert_array_equal(vector, table.users[users[row]])
            beside += first in table.barred[example]
            further += users[row] > first
            dropped += bool(draws.drop_user[row])
    assert beside > 20 and further > 20
    assert dropped / 200 == pytest.approx(0.3, abs=0.1)


def test_learns_people_apart(tmp_path: Path, tiny_base_folder: Path) -> None:
    """Forty steps on each one's own choices: implicit accuracy leaves one half behind."""
    overrides = [
        "steps=40", "batch_size=24", "optimizer.lr=3e-3", "objective.user_dropout=0",
        "validation.captions=0",
    ]  # fmt: skip
    folder = train_for_people("ppd", tiny_base_folder, tmp_path / "out", overrides)
    last = [row["implicit_accuracy"] for row in metrics_of(folder)[-10:]]
    assert sum(last) / len(last) > 0.6


def test_encoder_of_ids_learns_from_every_pair(
    tmp_path: Path, tiny_base_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_encoder(monkeypatch.setattr, ColourEncoder(uses="id"))
    folder = train_for_people("ppd", tiny_base_folder, tmp_path / "out", ["steps=1"])
    facts = read_header(folder).facts
    assert facts["users"]["count"] == facts["users"]["embeddings"] == 6
    assert facts["users"]["shots"] == 0
    assert facts["examples"] == 4 * 10 + 3 + 5
    assert facts["left_out"] == {"people": {"tie": 4, "of one picture twice": 4}}


def test_more_shots_than_the_encoder_takes_are_refused_at_once(
    tmp_path: Path, tiny_base_folder: Path, encoder: ColourEncoder
) -> None:
    encoder.info = replace(encoder.info, max_shots=3)
    with pytest.raises(UsageError, match="colours takes 3 shots at most") as caught:
        train_for_people("ppd", tiny_base_folder, tmp_path / "out")
    assert "users.shots=3" in caught.value.fix
    assert not (tmp_path / "out").exists()
    encoder.info = replace(encoder.info, max_shots=4)
    train_for_people("ppd", tiny_base_folder, tmp_path / "out", ["steps=1"])


def test_first_groups_alone(tmp_path: Path, tiny_base_folder: Path) -> None:
    folder = train_for_people(
        "ppd", tiny_base_folder, tmp_path / "out", ["steps=1", "users.groups=1"]
    )
    facts = read_header(folder).facts
    assert facts["users"]["embeddings"] == 5
    # Of ten usable pairs four are in the group, and one has a caption of it.
    assert facts["examples"] == 4 * 5 + 1


@pytest.mark.parametrize(
    ("module", "name", "call"),
    [
        (latents, "write_json", 2),
        (embeddings, "write_atomic", 1),
        (loop, "save_state", 2),
        (results, "save_adapter", 1),
    ],
    ids=place,
)
def test_killed_anywhere_resumes_bit_for_bit(
    module: Any,
    name: str,
    call: int,
    tmp_path: Path,
    tiny_base_folder: Path,
    trained: Callable[[str], Path],
) -> None:
    with killed_at(module, name, call):
        train_for_people("ppd", tiny_base_folder, tmp_path / "out")
    train_for_people("ppd", tiny_base_folder, tmp_path / "out")
    assert same_outcome(tmp_path / "out", trained("ppd"))


def test_finished_run_embeds_nobody_and_another_encoder_is_refused(
    trained: Callable[[str], Path],
    tiny_base_folder: Path,
    encoder: ColourEncoder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = trained("ppd")
    asked = encoder.asked
    train_for_people("ppd", tiny_base_folder, folder)
    assert encoder.asked == asked
    use_encoder(monkeypatch.setattr, ColourEncoder(revision="2"))
    with pytest.raises(FingerprintMismatch, match=r"encoder \(1 -> 2\)"):
        train_for_people("ppd", tiny_base_folder, folder)


def test_length_of_the_user_vector_is_the_encoders(tmp_path: Path, tiny_base_folder: Path) -> None:
    with pytest.raises(UsageError, match=r"adapter\.user_dim is 3, .* colours has 4 numbers"):
        train_for_people("ppd", tiny_base_folder, tmp_path / "out", ["adapter.user_dim=3"])
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_two_processes_take_the_same_steps(
    tmp_path: Path, tiny_base_folder: Path, trained: Callable[[str], Path]
) -> None:
    output, script = tmp_path / "out", Path(tiny_people.__file__)
    launch = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
    done = run_script(*launch, script, "ppd", tiny_base_folder, output)
    assert done.returncode == 0, done.stderr.decode()
    for key in ("embedding", "facts"):
        two, one = (getattr(read_header(folder), key) for folder in (output, trained("ppd")))
        assert two == one
    rows = zip(metrics_of(output), metrics_of(trained("ppd")), strict=True)
    for two, one in list(rows)[:2]:
        for name in ("loss", "implicit_accuracy", "win_term", "divergence", "grad_norm"):
            assert two[name] == pytest.approx(one[name], rel=2e-3, abs=1e-6)
