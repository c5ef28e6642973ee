"""Whole trainings of the baselines: Diffusion-KTO, IP-Adapter, learnt users."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file
from tiny_cascade import OVERRIDES, Log
from tiny_people import (
    ColourEncoder,
    LikedColourEncoder,
    PeopleSuite,
    train_for_people,
    use_encoder,
)
from trained import killed_at, metrics_of, same_outcome

from ppdbench.data.images import decode_image
from ppdbench.data.pickapic import read_pairs
from ppdbench.errors import FingerprintMismatch, UsageError
from ppdbench.protocols import Shot, UserContext
from trainers import diffusion_kto
from trainers.adapters.header import Embedding, read_header
from trainers.config_file import CONFIGS
from trainers.encoded import pictures
from trainers.ip_adapter import own_pictures
from trainers.training import loop

KINDS: dict[str, Callable[[], ColourEncoder]] = {
    "diffusion-kto": ColourEncoder,
    "ip-adapter": LikedColourEncoder,
    "ppd-learnt": partial(ColourEncoder, uses="id or shots"),
}


@pytest.fixture(autouse=True)
def encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts a method's kind of encoder in place."""
    monkeypatch.setenv("PPDBENCH_CACHE", str(tmp_path / "user-cache"))

    def of(method: str) -> None:
        use_encoder(monkeypatch.setattr, KINDS[method]())

    return of


@pytest.fixture(scope="module")
def trained(
    tmp_path_factory: pytest.TempPathFactory, tiny_base_folder: Path
) -> Callable[[str], Path]:
    """A method's training that nobody disturbed, made once."""

    @cache
    def of(method: str) -> Path:
        output = tmp_path_factory.mktemp(method) / "out"
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PPDBENCH_CACHE", str(output.parent / "cache"))
            use_encoder(patch.setattr, KINDS[method]())
            return train_for_people(method, tiny_base_folder, output)

    return of


@pytest.mark.parametrize("method", KINDS)
def test_killed_and_started_again_it_ends_the_same(
    method: str,
    tmp_path: Path,
    tiny_base_folder: Path,
    trained: Callable[[str], Path],
    encoder: Callable[[str], None],
) -> None:
    encoder(method)
    with killed_at(loop, "save_state", 2):
        train_for_people(method, tiny_base_folder, tmp_path / "out")
    train_for_people(method, tiny_base_folder, tmp_path / "out")
    assert same_outcome(tmp_path / "out", trained(method))


# --- Diffusion-KTO ------------------------------------------------------------------------------


def test_kto_of_the_population_hears_nobody(tmp_path: Path, tiny_base_folder: Path) -> None:
    folder = diffusion_kto.train(
        PeopleSuite(tmp_path),
        output=tmp_path / "out",
        config=CONFIGS / "shapes" / "diffusion-kto.yaml",
        overrides=[*OVERRIDES, f"base={tiny_base_folder}"],
        device="cpu",
        events=Log(),
    )
    header = read_header(folder)
    assert (header.method, header.user_vector, header.embedding) == ("diffusion-kto", "null", None)
    assert header.facts["beta_eff"] == 1000
    first, *_, last = metrics_of(folder)
    assert first["loss"] == pytest.approx(0.5, abs=1e-4)  # 1 - sigmoid(0): the policy is the base
    assert first["reference_point"] == 0 and last["divergence"] > 0
    assert "Diffusion-KTO: preferred images are desirable" in (folder / "README.md").read_text()


def test_kto_of_people_hears_them(trained: Callable[[str], Path]) -> None:
    folder = trained("diffusion-kto")
    header = read_header(folder)
    assert (header.user_vector, header.facts["users"]["count"]) == ("embedding", 5)
    assert "for a person given as an embedding" in (folder / "README.md").read_text()


def test_kto_learns_people_apart(
    tmp_path: Path, tiny_base_folder: Path, encoder: Callable[[str], None]
) -> None:
    """Forty steps on each one's own choices: implicit accuracy leaves one half behind."""
    encoder("diffusion-kto")
    overrides = [
        "steps=40", "batch_size=24", "optimizer.lr=3e-3", "objective.user_dropout=0",
        "objective.desirable_share=0.5", "validation.captions=0",
    ]  # fmt: skip
    folder = train_for_people("diffusion-kto", tiny_base_folder, tmp_path / "out", overrides)
    last = [row["implicit_accuracy"] for row in metrics_of(folder)[-10:]]
    assert sum(last) / len(last) > 0.6


def test_kto_refuses_to_go_on_with_other_images_a_forward(
    tmp_path: Path, tiny_base_folder: Path, encoder: Callable[[str], None]
) -> None:
    """Its reference point is a mean over them; other methods may change them (`job.TOLERATED`)."""
    encoder("diffusion-kto")
    with killed_at(loop, "save_state", 2):
        train_for_people("diffusion-kto", tiny_base_folder, tmp_path / "out")
    with pytest.raises(FingerprintMismatch, match="rows_a_forward"):
        train_for_people("diffusion-kto", tiny_base_folder, tmp_path / "out", ["micro_batch=2"])


@pytest.mark.parametrize("weight", [0.1, 0.0])
def test_dispersion_refuses_to_go_on_with_other_users_a_forward(
    weight: float, tmp_path: Path, tiny_base_folder: Path, encoder: Callable[[str], None]
) -> None:
    """It keeps those of a forward apart; without it `micro_batch` may change."""
    encoder("ppd-learnt")
    settings = [f"objective.dispersion={weight}"]
    with killed_at(loop, "save_state", 2):
        train_for_people("ppd-learnt", tiny_base_folder, tmp_path / "out", settings)
    other = [*settings, "micro_batch=2"]
    if not weight:
        assert train_for_people("ppd-learnt", tiny_base_folder, tmp_path / "out", other).is_dir()
        return
    with pytest.raises(FingerprintMismatch, match="rows_a_forward"):
        train_for_people("ppd-learnt", tiny_base_folder, tmp_path / "out", other)


# --- IP-Adapter ---------------------------------------------------------------------------------


def test_each_picture_is_redrawn_from_its_own_embedding() -> None:
    raw = np.arange(12, dtype=np.float32).reshape(3, 2, 2)
    known = np.array([[True, True], [False, True], [True, True]])
    embedding = Embedding(encoder="e", revision="1", mean=(1.0, 1.0), std=(2.0, 1.0))
    table = own_pictures(embedding, raw, known)
    assert len(table) == 5 and table.left_out == {"pictures": {"without an embedding": 1}}
    rows = table.user_rows(np.arange(5), np.zeros(5))
    for row, pair, side in zip(rows, table.pair, table.winner, strict=True):
        wanted = (raw[pair, side] - [1, 1]) / [2, 1]
        np.testing.assert_allclose(table.users[row], wanted)


def test_ip_adapter_learns_from_every_picture_whatever_was_preferred(
    tmp_path: Path, tiny_base_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    colours = LikedColourEncoder()
    use_encoder(monkeypatch.setattr, colours)
    shown: list[Shot] = []

    def encode(users: list[UserContext]) -> Any:
        shown.extend(shot for user in users for shot in user.shots)
        return LikedColourEncoder.encode(colours, users)

    monkeypatch.setattr(colours, "encode", encode)
    suite = PeopleSuite(tmp_path)
    overrides = ["steps=1", "validation.pairs=0"]
    folder = train_for_people(
        "ip-adapter", tiny_base_folder, tmp_path / "out", overrides, suite=suite
    )
    wanted = [
        np.asarray(decode_image(data))
        for pair in read_pairs(suite.pairs("train"))
        for data in (pair.image_0, pair.image_1)
    ]
    assert len(shown) == len(wanted) == read_header(folder).facts["pictures"]
    for shot, picture in zip(shown, wanted, strict=True):
        assert np.array_equal(np.asarray(shot.preferred), picture)
    shown.clear()
    train_for_people("ip-adapter", tiny_base_folder, tmp_path / "again", overrides, suite=suite)
    assert not shown  # they are kept beside the encoded pairs


def test_ip_adapter_names_what_it_hears_and_no_people(trained: Callable[[str], Path]) -> None:
    folder = trained("ip-adapter")
    header = read_header(folder)
    assert header.embedding is not None and header.embedding.encoder == "colours"
    assert (header.user_vector, header.facts.get("users")) == ("embedding", None)
    card = (folder / "README.md").read_text()
    assert f"on embeddings of {header.facts['pictures']} single pictures" in card
    assert "implicit_accuracy" not in metrics_of(folder)[0]


@pytest.mark.parametrize("silent", [False, True])
def test_ip_adapter_refuses_an_encoder_that_tells_no_picture_apart(
    silent: bool, tmp_path: Path, tiny_base_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a picture beside itself a difference says nothing, and the adapter would hear nobody."""
    differences = ColourEncoder()
    use_encoder(monkeypatch.setattr, differences)
    if silent:
        monkeypatch.setattr(differences, "encode", lambda users: [None] * len(users))
    with pytest.raises(UsageError, match="nothing of any" if silent else "the same of every"):
        train_for_people("ip-adapter", tiny_base_folder, tmp_path / "out")


def test_ip_adapter_of_one_pair_has_two_pictures_to_show(
    tmp_path: Path, tiny_base_folder: Path, encoder: Callable[[str], None]
) -> None:
    encoder("ip-adapter")
    overrides = ["data.limit=1", "steps=1", "validation.pairs=0"]
    folder = train_for_people("ip-adapter", tiny_base_folder, tmp_path / "out", overrides)
    assert read_header(folder).facts["pictures"] == 2


def test_embeddings_of_pictures_are_made_again_after_a_kill(
    tmp_path: Path, tiny_base_folder: Path, trained: Callable[[str], Path],
    encoder: Callable[[str], None],
) -> None:  # fmt: skip
    encoder("ip-adapter")
    with killed_at(pictures, "write_atomic", 1):
        train_for_people("ip-adapter", tiny_base_folder, tmp_path / "out")
    train_for_people("ip-adapter", tiny_base_folder, tmp_path / "out")
    assert same_outcome(tmp_path / "out", trained("ip-adapter"))


# --- learnt users -------------------------------------------------------------------------------


def test_ppd_learnt_has_a_table_of_its_users(trained: Callable[[str], Path]) -> None:
    folder = trained("ppd-learnt")
    tensors = load_file(folder / "adapter.safetensors")
    assert tensors["user_projection.table.weight"].shape == (16, 4)
    assert tensors["user_projection.linear.weight"].shape == (4 * 24, 16)
    header = read_header(folder)
    assert header.shape.user_rank == 16
    assert header.facts["users"]["shots"] == 0
    assert header.facts["users"]["embeddings"] == header.facts["users"]["count"] == 6


@pytest.mark.parametrize(
    ("method", "uses", "fix"),
    [
        ("ppd-learnt", "shots", "--users known-users"),
        ("ip-adapter", "id", "--users liked-images"),
        ("ip-adapter", "id or shots", "--users liked-images"),
    ],
)
def test_an_encoder_of_the_other_kind_is_refused(
    method: str,
    uses: Any,
    fix: str,
    tmp_path: Path,
    tiny_base_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = ColourEncoder()
    made.info = replace(made.info, uses=uses)
    use_encoder(monkeypatch.setattr, made)
    with pytest.raises(UsageError) as caught:
        train_for_people(method, tiny_base_folder, tmp_path / "out")
    assert fix in caught.value.fix
