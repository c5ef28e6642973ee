"""A folder that is incomplete or damaged: one line of cause, one of fix, before or at loading."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from ppdbench.errors import MissingPrerequisite, PpdbenchError
from ppdbench.protocols import RewardSpec
from ppdbench.rewards import aesthetic, clip, hps

PICTURE = [Image.new("RGB", (64, 64))]


@pytest.fixture
def root(assets: Path, tmp_path: Path) -> Path:
    shutil.copytree(assets, tmp_path / "assets")
    return tmp_path / "assets"


def spec(folder: Path) -> RewardSpec:
    return RewardSpec(name=folder.name, kind=folder.name, checkpoint=folder)


def one_cause_one_fix(error: PpdbenchError) -> None:
    cause, fix = str(error).split("\n")
    assert cause
    assert fix.startswith("  fix: ")


def test_missing_files_are_all_named(root: Path) -> None:
    (root / "clip" / "model.safetensors").unlink()
    (root / "clip" / "merges.txt.gz").unlink()
    with pytest.raises(MissingPrerequisite) as caught:
        clip.load(spec(root / "clip"), "cpu")
    assert str(root / "clip" / "model.safetensors") in caught.value.cause
    assert str(root / "clip" / "merges.txt.gz") in caught.value.cause
    assert "reward 'clip'" in caught.value.cause
    with pytest.raises(MissingPrerequisite, match=r"'aesthetic' lacks .*model\.safetensors"):
        aesthetic.load(spec(root / "aesthetic"), "cpu")  # its tower's file
    with pytest.raises(MissingPrerequisite, match=r"nowhere.config\.json"):
        clip.load(spec(root / "nowhere"), "cpu")


def test_a_file_for_a_folder_is_explained(root: Path) -> None:
    with pytest.raises(MissingPrerequisite, match="where a folder is expected") as caught:
        clip.load(spec(root / "clip" / "model.safetensors"), "cpu")
    one_cause_one_fix(caught.value)


@pytest.mark.parametrize("keep", [0, 4, 2000, -10])
def test_truncated_checkpoint(root: Path, keep: int) -> None:
    file = root / "clip" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(PpdbenchError, match=r"model\.safetensors cannot be read") as caught:
        clip.load(spec(root / "clip"), "cpu").score(PICTURE, ["a"])
    one_cause_one_fix(caught.value)


def test_truncated_torch_checkpoint_and_pickles(root: Path) -> None:
    folder = root / "clip"
    state = load_file(folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"weights": "model.pt"}))
    torch.save({"state_dict": state}, folder / "model.pt")
    clip.load(spec(folder), "cpu").score(PICTURE, ["a"])
    whole = (folder / "model.pt").read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"no checkpoint"):
        (folder / "model.pt").write_bytes(damaged)
        with pytest.raises(PpdbenchError, match="cannot be read") as caught:
            clip.load(spec(folder), "cpu").score(PICTURE, ["a"])
        one_cause_one_fix(caught.value)
    torch.save({"state_dict": state, "code": Path}, folder / "model.pt")  # more than tensors
    with pytest.raises(PpdbenchError, match="cannot be read"):
        clip.load(spec(folder), "cpu").score(PICTURE, ["a"])


def test_manifest_catches_a_changed_byte(root: Path) -> None:
    file = root / "hps" / "model.safetensors"
    hashes = {file.name: hashlib.sha256(file.read_bytes()).hexdigest()}
    (root / "hps" / "manifest.json").write_text(json.dumps({"sha256": hashes}))
    hps.load(spec(root / "hps"), "cpu")
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(PpdbenchError, match=r"model\.safetensors is damaged") as caught:
        hps.load(spec(root / "hps"), "cpu")
    one_cause_one_fix(caught.value)


def test_weights_of_another_model(root: Path) -> None:
    file = root / "clip" / "model.safetensors"
    state = load_file(file)
    state["visual.proj"] = torch.zeros(3, 3)
    save_file(state, file)
    with pytest.raises(PpdbenchError, match=r"another model's weights.*visual\.proj") as caught:
        clip.load(spec(root / "clip"), "cpu").score(PICTURE, ["a"])
    one_cause_one_fix(caught.value)


def test_hps_must_say_antialias(root: Path) -> None:
    (root / "hps" / "config.json").write_text((root / "clip" / "config.json").read_text())
    with pytest.raises(PpdbenchError, match="does not say how HPS resizes"):
        hps.load(spec(root / "hps"), "cpu")


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"model_cfg": {"embed_dim": 3}}'])
def test_unusable_config(root: Path, text: str) -> None:
    (root / "clip" / "config.json").write_text(text)
    with pytest.raises(PpdbenchError, match=r"config\.json") as caught:
        clip.load(spec(root / "clip"), "cpu")
    one_cause_one_fix(caught.value)


def test_head_and_tower_of_different_width(root: Path) -> None:
    save_file(
        {"layers.0.weight": torch.zeros(1, 7), "layers.0.bias": torch.zeros(1)},
        root / "aesthetic" / "head.safetensors",
    )
    with pytest.raises(PpdbenchError, match="wants embeddings of 7 numbers, its tower gives 24"):
        aesthetic.load(spec(root / "aesthetic"), "cpu").score(PICTURE, ["a"])


def test_unknown_architecture(root: Path) -> None:
    (root / "clip" / "config.json").write_text(
        json.dumps({"arch": "ViT-nothing", "weights": "model.safetensors"})
    )
    with pytest.raises(MissingPrerequisite, match="'ViT-nothing', which open_clip lacks"):
        clip.load(spec(root / "clip"), "cpu")


@pytest.mark.parametrize(
    ("kind", "asked"),
    [
        ("clip", {"interpolation": "bilinear"}),
        ("clip", {"resize_mode": "squash"}),
        ("hps", {"antialias": True, "resize_mode": "shortest"}),
    ],
)
def test_preprocessing_that_is_not_the_rewards(
    kind: str, asked: dict[str, object], root: Path
) -> None:
    file = root / kind / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "preprocess_cfg": asked}))
    with pytest.raises(PpdbenchError, match="and its reward's is"):
        {"clip": clip, "hps": hps}[kind].load(spec(root / kind), "cpu")


@pytest.mark.parametrize("kind", ["clip", "aesthetic"])
def test_weights_replaced_after_they_were_named(kind: str, root: Path) -> None:
    """A score must not stand under the hash of a file that it was not computed from."""
    reward = {"clip": clip, "aesthetic": aesthetic}[kind].load(spec(root / kind), "cpu")
    file = root / kind / ("model" if kind == "clip" else "head")
    file = file.with_suffix(".safetensors")
    save_file({name: 2 * tensor for name, tensor in load_file(file).items()}, file)
    with pytest.raises(PpdbenchError, match="was changed while it was read") as caught:
        reward.score(PICTURE, ["a"])
    one_cause_one_fix(caught.value)
    again = {"clip": clip, "aesthetic": aesthetic}[kind].load(spec(root / kind), "cpu")
    assert again.info.checkpoint_sha256 != reward.info.checkpoint_sha256
    again.score(PICTURE, ["a"])


def test_a_head_is_apart_from_its_file(root: Path) -> None:
    folder = root / "aesthetic"
    (folder / "config.json").write_text(json.dumps({"tower": "../clip", "head": "head.pth"}))
    torch.save(load_file(folder / "head.safetensors"), folder / "head.pth")
    reward = aesthetic.load(spec(folder), "cpu")
    before = [weight.clone() for weight, _ in reward.layers]
    size = (folder / "head.pth").stat().st_size
    with (folder / "head.pth").open("r+b") as opened:  # in place: a mapped tensor would follow
        opened.write(b"\1" * size)
    for (weight, _), kept in zip(reward.layers, before, strict=True):
        assert torch.equal(weight, kept)
