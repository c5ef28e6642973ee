"""Published rewards: found where users keep them, named with hash and place where missing."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

from ppdbench import plugins
from ppdbench.errors import MissingPrerequisite, PpdbenchError, UsageError
from ppdbench.rewards import catalogue, weights
from ppdbench.rewards.catalogue import known_names, published, spec_of
from ppdbench.rewards.checkpoint import read_weights
from ppdbench.rewards.load import load_reward
from ppdbench.rewards.weights import PublishedFile, find, published_files

FILES = (
    PublishedFile(repo="them/Model", file="a.safetensors", sha256="a" * 64),
    PublishedFile(repo="them/Model", file="b.pt", sha256="b" * 64),
)


@pytest.fixture(autouse=True)
def nothing_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No weights and no hub cache but what a test puts there."""
    monkeypatch.setenv("PPDBENCH_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("PPDBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path


def put(path: Path, data: bytes = b"weights") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_what_is_missing_is_named_with_hash_and_place(tmp_path: Path) -> None:
    with pytest.raises(MissingPrerequisite) as caught:
        find(FILES, None, owner="reward 'r'")
    assert "reward 'r'" in caught.value.cause
    for file in FILES:
        assert file.file in caught.value.cause
        assert str(file.sha256) in caught.value.cause
    assert str(tmp_path / "weights" / "Model" / "a.safetensors") in caught.value.fix
    assert "hf download them/Model a.safetensors" in caught.value.fix


def test_places_in_their_order(tmp_path: Path) -> None:
    revision = tmp_path / "hub" / "models--them--Model" / "snapshots" / "r1"
    put(tmp_path / "hub" / "models--them--Model" / "refs" / "main", b"r1")
    cached = put(revision / "b.pt")
    assert find(FILES, None, owner="x") == weights.Found(cached, "b" * 64)
    loose = put(tmp_path / "weights" / "b.pt")
    assert find(FILES, None, owner="x").path == loose
    sorted_in = put(tmp_path / "weights" / "Model" / "b.pt")
    assert find(FILES, None, owner="x").path == sorted_in
    preferred = put(tmp_path / "weights" / "Model" / "a.safetensors")
    assert find(FILES, None, owner="x") == weights.Found(preferred, "a" * 64)
    given = put(tmp_path / "mine" / "b.pt")
    assert find(FILES[1:], given.parent, owner="x").path == given
    assert find(FILES, given, owner="x") == weights.Found(given, "b" * 64)
    renamed = put(tmp_path / "mine" / "renamed.pt")
    assert find(FILES[1:], renamed, owner="x") == weights.Found(renamed, "b" * 64)
    # One of two it must be, and which is not said: its hash is recorded, not checked.
    assert find(FILES, renamed, owner="x") == weights.Found(renamed, None)


def test_what_the_user_names_is_not_passed_over(tmp_path: Path) -> None:
    put(tmp_path / "weights" / "Model" / "a.safetensors")
    named = put(tmp_path / "mine" / "b.pt")  # a less preferred file, but the user's
    assert find(FILES, named.parent, owner="x").path == named
    (tmp_path / "empty").mkdir()
    for place in ("empty", "nowhere"):
        with pytest.raises(MissingPrerequisite, match=place):
            find(FILES, tmp_path / place, owner="x")


def test_a_folder_as_the_hub_leaves_it_holds_weights(tmp_path: Path) -> None:
    put(tmp_path / "PickScore_v1" / "config.json", b'{"architectures": ["CLIPModel"]}')
    file = put(tmp_path / "PickScore_v1" / "model.safetensors")
    spec = spec_of(f"pickscore={tmp_path / 'PickScore_v1'}")
    assert load_reward(spec, "cpu").folder.weights == file  # type: ignore[attr-defined]


def test_a_kind_needs_its_folder() -> None:
    with pytest.raises(UsageError, match="hps is a kind of reward") as caught:
        spec_of("hps")
    assert "hpsv2.1" in caught.value.fix


def test_a_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingPrerequisite, match=r"nowhere: no such file"):
        find(FILES, tmp_path / "nowhere", owner="x")


@pytest.mark.parametrize("entry", [3, [{"file": "a"}], [{"repo": "a", "file": 3}], [{"rep": "a"}]])
def test_weights_that_cannot_be_understood(entry: object) -> None:
    with pytest.raises(PpdbenchError, match="cannot be understood"):
        published_files(entry, where=Path("config.json"))


def test_published_definitions_are_whole() -> None:
    names = {"clip", "aesthetic", "hpsv2", "hpsv2.1", "pickscore"}
    assert names <= published().keys()
    for name, spec in published().items():
        assert spec.kind in plugins.names("rewards")
        config = json.loads((spec.checkpoint / "config.json").read_text())
        if spec.kind == "hps":
            assert config["preprocess_cfg"]["antialias"] is ("no-antialias" not in name)
        text = json.dumps(config)
        assert all(
            re.fullmatch("[0-9a-f]{64}", found) for found in re.findall(r'"sha256": "(.*?)"', text)
        )
        with pytest.raises(MissingPrerequisite):  # and nothing but the weights is missing
            load_reward(spec, "cpu")
    l14 = json.loads((catalogue.FOLDER / "openai-l14" / "config.json").read_text())
    assert l14["arch"] == "ViT-L-14-quickgelu"  # plain ViT-L-14 loads as well, and scores wrong


def test_missing_head_and_tower_are_both_named() -> None:
    with pytest.raises(MissingPrerequisite) as caught:
        load_reward(published()["aesthetic"], "cpu")
    assert "sac+logos+ava1-l14-linearMSE.pth" in caught.value.cause
    assert "vit_large_patch14_clip_224.openai" in caught.value.cause


def test_another_file_under_a_published_name_is_refused(tmp_path: Path) -> None:
    wrong = put(tmp_path / "HPS_v2.1_compressed.pt")
    with pytest.raises(PpdbenchError, match="is not the published file") as caught:
        load_reward(spec_of(f"hpsv2.1={wrong}"), "cpu")
    assert hashlib.sha256(b"weights").hexdigest() in caught.value.cause
    # Where the publisher's hash is not known, the file's own says what it is.
    reward = load_reward(spec_of(f"hpsv2={wrong}"), "cpu")
    assert reward.info.checkpoint_sha256 == hashlib.sha256(b"weights").hexdigest()
    assert reward.info.architecture == "ViT-H-14"


def test_antialias_is_part_of_the_identity(tmp_path: Path) -> None:
    file = put(tmp_path / "any.pt")
    on, off = (
        load_reward(spec_of(f"{name}={file}"), "cpu").info
        for name in ("hpsv2", "hpsv2-no-antialias")
    )
    assert on.checkpoint_sha256 == off.checkpoint_sha256
    assert "antialias-on" in on.preprocess
    assert "antialias-off" in off.preprocess


def test_names_on_the_command_line(assets: Path, tmp_path: Path) -> None:
    own = spec_of(f"clip={assets / 'clip'}")
    assert (own.kind, own.checkpoint, own.weights) == ("clip", assets / "clip", None)
    assert spec_of(f"hpsv2.1={assets / 'hps'}").kind == "hps"
    named = spec_of(f"hpsv2.1={tmp_path}")
    assert (named.checkpoint, named.weights) == (published()["hpsv2.1"].checkpoint, tmp_path)
    assert spec_of(f"hps={tmp_path / 'x'}").checkpoint == tmp_path / "x"  # a plug-in's kind
    with pytest.raises(UsageError, match="names no path"):
        spec_of("clip=")
    with pytest.raises(UsageError, match="no reward is called 'hspv2'") as caught:
        spec_of("hspv2")
    assert "hpsv2" in caught.value.fix
    assert {"clip", "hps", "pickscore", "hpsv2.1"} <= set(known_names())


def test_aesthetic_is_two_files(tmp_path: Path) -> None:
    head = put(tmp_path / "sac+logos+ava1-l14-linearMSE.pth")
    with pytest.raises(UsageError, match="is made of two files"):
        load_reward(spec_of(f"aesthetic={head}"), "cpu")


@pytest.mark.parametrize("end", [b"", b"PK\5\6" + bytes(18)], ids=["plain", "a zip by its end"])
def test_a_class_of_an_endless_name_is_refused_whatever_the_file_looks_like(
    tmp_path: Path, end: bytes
) -> None:
    file = tmp_path / "model.pt"
    file.write_bytes(b"cx\n" + b"y" * 5000 + b"\n." + end)
    with pytest.raises(PpdbenchError, match="names a class in 5,002 letters"):
        read_weights(file)
