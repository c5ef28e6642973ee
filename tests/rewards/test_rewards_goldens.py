"""Scores of a tiny world as the originals' own code gave them (`perf/parity/goldens.py`)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import golden_world as world
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ppdbench.protocols import RewardSpec
from ppdbench.rewards import score
from ppdbench.rewards.open_clip_tower import build_model

GOLDENS = json.loads((Path(__file__).parent / "golden" / "goldens.json").read_bytes())
TOLERANCE = 1e-3
"""In 100 x cosine: 1e-5 in cosine, as at full scale."""


def write(folder: Path, config: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))


def tower(folder: Path, seed: int, **more: Any) -> Path:
    cfg = {**world.CLIP_CONFIG, "quick_gelu": more.pop("quick_gelu", False)}
    shapes = {name: tensor.shape for name, tensor in build_model(cfg).state_dict().items()}
    write(folder, {"model_cfg": cfg, "preprocess_cfg": more}, world.state(shapes, seed))
    return folder


def clip(folder: Path) -> RewardSpec:
    return RewardSpec(name="clip", kind="clip", checkpoint=tower(folder / "clip", 1))


def hps(folder: Path) -> RewardSpec:
    checkpoint = tower(folder / "hps", 2, antialias=True)
    return RewardSpec(name="hps", kind="hps", checkpoint=checkpoint)


def hps_no_antialias(folder: Path) -> RewardSpec:
    checkpoint = tower(folder / "hps", 2, antialias=False)
    return RewardSpec(name="hps-no-antialias", kind="hps", checkpoint=checkpoint)


def aesthetic(folder: Path) -> RewardSpec:
    tower(folder / "l14", 3, quick_gelu=True)
    checkpoint = folder / "aesthetic"
    checkpoint.mkdir()
    torch.save(world.head(4), checkpoint / "head.pth")
    (checkpoint / "config.json").write_text(json.dumps({"tower": "../l14", "head": "head.pth"}))
    return RewardSpec(name="aesthetic", kind="aesthetic", checkpoint=checkpoint)


def pickscore(folder: Path) -> RewardSpec:
    config = {"model_cfg": world.CLIP_CONFIG}
    write(folder / "pickscore", config, world.state(world.hf_shapes(), 5))
    return RewardSpec(name="pickscore", kind="pickscore", checkpoint=folder / "pickscore")


RECIPES = {
    "clip": clip,
    "hps": hps,
    "hps-no-antialias": hps_no_antialias,
    "aesthetic": aesthetic,
    "pickscore": pickscore,
}


@pytest.mark.parametrize("name", RECIPES)
def test_scores_are_the_originals(name: str, tmp_path: Path) -> None:
    make: Callable[[Path], RewardSpec] = RECIPES[name]
    drawn = world.pictures()
    captions = [world.CAPTIONS[n % len(world.CAPTIONS)] for n in range(len(drawn))]
    table = score(list(drawn.values()), captions, [make(tmp_path)], device="cpu", cache=None)
    golden = GOLDENS["scores"][name]
    assert list(golden) == list(drawn)
    there = [row for row, value in enumerate(golden.values()) if value is not None]
    assert len(there) >= len(drawn) - 1  # hpsv2 reads no RGBA; ours does
    assert np.isfinite(table.scores[name]).all()
    expected = [value for value in golden.values() if value is not None]
    np.testing.assert_allclose(table.scores[name][there], expected, atol=TOLERANCE, rtol=0)


def test_the_goldens_can_tell_recipes_apart() -> None:
    on, off = GOLDENS["scores"]["hps"], GOLDENS["scores"]["hps-no-antialias"]
    moved = {
        name for name in on if on[name] is not None and abs(on[name] - off[name]) > 10 * TOLERANCE
    }
    assert {"landscape", "portrait", "square", "wide", "grey"} <= moved
    assert "exact" not in moved
