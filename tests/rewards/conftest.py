"""Small reward folders with random weights; nothing is trained here."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from ppdbench.protocols import RewardSpec
from ppdbench.rewards.open_clip_tower import build_model
from trainers.shapes.tokenizer import build_merges, vocabulary, write_tokenizer

CAPTIONS = [
    "a small red circle on a teal background",
    "a large blue square on a white background",
    "a red ring left of a green star on a grey background",
]
CONFIG = {
    "embed_dim": 24,
    "vision_cfg": {
        "image_size": 64,
        "patch_size": 16,
        "width": 32,
        "layers": 2,
        "head_width": 16,
    },
    "text_cfg": {
        "context_length": 20,
        "vocab_size": len(vocabulary(build_merges(CAPTIONS))),
        "width": 32,
        "heads": 2,
        "layers": 1,
        "tokenizer_kwargs": {"bpe_path": "merges.txt.gz"},
    },
}


def write_tower(folder: Path, seed: int, **preprocess: object) -> Path:
    """A reward folder with seeded random fp16 weights."""
    write_tokenizer(CAPTIONS, folder)
    torch.manual_seed(seed)
    model = build_model(CONFIG)
    with torch.no_grad():  # an untrained text tower gives nearly equal embeddings
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    save_file({k: v.half() for k, v in model.state_dict().items()}, folder / "model.safetensors")
    config = {"model_cfg": CONFIG, "preprocess_cfg": preprocess}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def write_head(folder: Path, tower: str = "../clip", widths: tuple[int, ...] = (24, 8, 1)) -> Path:
    """An aesthetic folder with a random head of several layers."""
    folder.mkdir(parents=True)
    torch.manual_seed(9)
    state = {}
    for n, (wide, narrow) in enumerate(pairwise(widths)):
        state[f"layers.{2 * n}.weight"] = torch.randn(narrow, wide)
        state[f"layers.{2 * n}.bias"] = torch.randn(narrow)
    save_file(state, folder / "head.safetensors")
    (folder / "config.json").write_text(json.dumps({"tower": tower, "head": "head.safetensors"}))
    return folder


@pytest.fixture(scope="session")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("assets")
    write_tower(root / "clip", 1)
    write_tower(root / "hps", 2, antialias=True)
    write_head(root / "aesthetic")
    return root


@pytest.fixture(scope="session")
def spec(assets: Path) -> Callable[[str], RewardSpec]:
    return lambda kind: RewardSpec(name=kind, kind=kind, checkpoint=assets / kind)


@pytest.fixture(scope="session")
def images() -> list[Image.Image]:
    rng = np.random.default_rng(0)
    shapes = [(64, 64), (64, 64), (80, 64), (64, 100), (64, 64), (64, 64), (64, 64)]
    return [Image.fromarray(rng.integers(0, 256, (*shape, 3), np.uint8)) for shape in shapes]


@pytest.fixture(scope="session")
def captions() -> list[str]:
    return [CAPTIONS[i % 3] for i in range(7)]
