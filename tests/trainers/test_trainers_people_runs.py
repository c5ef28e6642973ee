"""Whole trainings for people: whom they are for, and the same every time."""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_people
from safetensors.torch import load_file
from tiny_cascade import Log, TinySuite
from tiny_people import FEW, STRANGER, ColourEncoder, PeopleSuite, train_for_people, use_encoder
from torch import Tensor
from trained import killed_at, metrics_of, place, run_script, same_outcome

from ppdbench.data.pickapic import read_pairs, write_pairs
from ppdbench.errors import FingerprintMismatch, MissingPrerequisite, UsageError
from ppdbench.protocols import SuiteFiles
from ppdbench.suites.pickapic import PickapicSuite
from trainers.adapters.header import read_header
from trainers.config_file import load_config
from trainers.encoded import embeddings, encoding
from trainers.examples import Examples
from trainers.people import users_digest
from trainers.training import batches, loop, results
from trainers.training.draws import Draws, draw
from trainers.training.job import Job
from trainers.training.steps import Batch


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


def test_real_pairs_teach_without_the_captions_that_only_evaluation_needs(
    tmp_path: Path, tiny_base_folder: Path
) -> None:
    """`train-reference --suite pickapic --pairs PATH --users ENCODER`, but for the size."""
    made = runpy.run_path(str(Path(__file__).parents[1] / "data" / "made_pairs.py"))
    pairs = made["write"](tmp_path / "pairs.parquet", made["crowd"](12))
    suite = PickapicSuite(SuiteFiles(pairs=pairs), sampling=TinySuite(tmp_path).sampling)
    log = Log()
    folder = train_for_people(
        "ppd", tiny_base_folder, tmp_path / "out", ["steps=1"], suite=suite, log=log
    )
    facts, people = read_header(folder).facts, suite.people
    assert people is not None
    held_out = {user.id for user in people.users("unseen")}
    assert held_out and facts["users"]["count"] > 0
    assert facts["users"]["count"] <= 12 - len(held_out)
    assert [*(folder / "validation").iterdir()]  # drawn for the captions of validation users
    assert "--pairs pairs.parquet" in json.loads((folder / "manifest.json").read_text())["command"]


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
    monkeypatch.setattr("trainers.training.recipe.fit", lambda _job: pytest.fail("trained first"))
    with pytest.raises(MissingPrerequisite, match=said):
        train_for_people("ppd", tiny_base_folder, tmp_path / "out")


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
    monkeypatch.setattr("trainers.training.recipe.draw_grid", lambda *args: drawn.append(args[-1]))
    train_for_people("ppd", tiny_base_folder, tmp_path / "out", ["steps=1"])
    (columns,) = drawn
    assert list(columns) == ["0", "1", "2"]
    assert all(len(vector) == 4 and vector.any() for vector in columns.values())
    assert len({vector.tobytes() for vector in columns.values()}) == 3


def test_each_step_takes_an_allowed_embedding_or_the_null_user(
    tmp_path: Path, tiny_base_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the table allows is what the loop learns from, row by row."""
    real = batches.batch_of
    drawn: list[Draws] = []
    met: list[tuple[Draws, Batch, list[int]]] = []
    tables_of: list[Examples] = []

    def noted(**how: Any) -> Draws:
        drawn.append(draw(**how))
        return drawn[-1]

    def batch_of(job: Job, *where: Any, **more: Any) -> tuple[Batch, Tensor]:
        batch, users = real(job, *where, **more)
        met.append((drawn[-1], batch, users.tolist()))
        tables_of.append(job.examples)
        return batch, users

    monkeypatch.setattr(batches, "draw", noted)
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
        (encoding, "write_json", 1),
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
