"""Manifests beside weights: whole, true, and readable by those who load the weights."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from ppdbench.suites.shapes.classifier import ClassifierNet, load_classifier
from ppdbench.suites.shapes.suite import ShapesSuite
from trainers.shapes.manifest import MANIFEST, save_half, write_json, write_manifest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_half({"w": torch.ones(3, 4), "count": torch.tensor(7)}, tmp_path / "model.safetensors")
    write_json(tmp_path / "config.json", {"a": 1})
    (tmp_path / "tokenizer").mkdir()
    (tmp_path / "tokenizer" / "vocab.json").write_text("{}")
    return tmp_path


def manifest_of(folder: Path, **figures: float) -> dict[str, Any]:
    write_manifest(folder, seed=5, steps=20, rows=30, figures=figures)
    read: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
    return read


def test_every_file_is_hashed_by_its_path_within(folder: Path) -> None:
    hashes = manifest_of(folder)["sha256"]
    assert sorted(hashes) == ["config.json", "model.safetensors", "tokenizer/vocab.json"]
    for name, sha256 in hashes.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == sha256


def test_writing_it_again_does_not_hash_the_old_one(folder: Path) -> None:
    assert manifest_of(folder) == manifest_of(folder)


def test_it_says_what_made_the_weights(folder: Path) -> None:
    manifest = manifest_of(folder, loss=0.25)
    assert (manifest["seed"], manifest["steps"], manifest["rows"]) == (5, 20, 30)
    assert manifest["command"] == "python -m trainers.shapes"
    assert manifest["parameters"] == {"model.safetensors": 13}
    assert manifest["data"] == {
        "suite": "shapes",
        "version": ShapesSuite().version,
        "world_sha256": ShapesSuite().world,
    }
    assert manifest["libraries"]["torch"].partition("+")[0] == torch.__version__.partition("+")[0]
    assert manifest["figures"] == {"loss": 0.25}


def test_what_was_not_measured_is_left_out(folder: Path) -> None:
    figures = manifest_of(folder, loss=math.nan, rate=math.inf, seconds=1.5)["figures"]
    assert figures == {"seconds": 1.5}
    assert "NaN" not in (folder / MANIFEST).read_text()


def test_no_path_of_this_machine_is_told(folder: Path) -> None:
    manifest_of(folder)
    assert str(folder) not in (folder / MANIFEST).read_text()


def test_floats_are_halved_and_the_rest_kept(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    assert tensors["w"].dtype == torch.float16
    assert torch.equal(tensors["w"], torch.ones(3, 4).half())
    assert tensors["count"].dtype == torch.int64 and tensors["count"] == 7


def test_parameters_and_views_can_be_saved(tmp_path: Path) -> None:
    weight = torch.nn.Parameter(torch.arange(12.0).reshape(3, 4))
    save_half({"turned": weight.T, "part": weight[:, :2]}, tmp_path / "x.safetensors")
    loaded = load_file(tmp_path / "x.safetensors")
    assert torch.equal(loaded["turned"].float(), weight.detach().T)
    assert torch.equal(loaded["part"].float(), weight.detach()[:, :2])


def test_the_harness_reads_what_is_written(tmp_path: Path) -> None:
    net = ClassifierNet()
    save_half(net.state_dict(), tmp_path / "model.safetensors")
    write_manifest(tmp_path, seed=0, steps=0, rows=0, figures={})
    hashes = json.loads((tmp_path / MANIFEST).read_text())["sha256"]
    assert load_classifier(tmp_path, "cpu").sha256 == hashes["model.safetensors"]
