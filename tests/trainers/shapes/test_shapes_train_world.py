"""The stages that make the base: each learns what the next one needs, on few steps."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ppdbench.suites.shapes.scenes import caption_of, double_scenes, single_scenes
from trainers.shapes import train_base, train_compressor, train_text
from trainers.shapes.renders import Renders, make_renders
from trainers.shapes.stage import StageConfig, _learning_rate_factor
from trainers.shapes.tokenizer import write_tokenizer
from trainers.stable_cascade.schedule import add_noise
from trainers.stable_cascade.stage_c import Base


def silent(_line: str) -> None:
    """Nobody listens."""


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    scenes = [*single_scenes(), *list(double_scenes())[::50]]
    write_tokenizer([caption_of(scene) for scene in scenes], folder, context_length=20)
    return folder


@pytest.fixture
def base(tokenizer: Path) -> Base:
    return train_base.build_base(tokenizer, 0)


def test_an_object_pixel_weighs_as_much_as_its_share_is_small() -> None:
    """Two errors of one size: on a small object it must cost far more than on the background."""
    images = torch.zeros(1, 3, 16, 16)
    errors = train_compressor.pixel_errors(images + 0.1, images)
    assert errors.shape == (1, 1, 16, 16)
    assert torch.allclose(errors, torch.full_like(errors, 0.1 + 2 * 0.01))  # no edge, no edge error
    spot = images.clone()
    spot[..., 5, 5] = 0.1
    edged = train_compressor.pixel_errors(spot, images)
    assert edged[0, 0, 5, 5] > errors[0, 0, 5, 5]
    assert edged[0, 0, 5, 4] == pytest.approx(0.1) and edged[0, 0, 9, 9] == 0


def test_the_text_encoder_learns_which_object_is_where(
    base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_text, "CAPTIONS", 2_000)
    monkeypatch.setattr(train_text, "HELD_OUT", 200)
    config = replace(train_text.CONFIG, steps=80, batch_size=32, warmup=5)
    before = base.text_encoder.text_projection.weight.clone()
    figures = train_text.train_text(base, work=tmp_path, report=silent, config=config)
    assert figures["loss"] < 10.5  # a running mean; guessing is 11.7 nats
    assert 0 <= figures["held_out_scene_accuracy"] < 1
    assert not torch.equal(before, base.text_encoder.text_projection.weight)


def test_stage_c_learns_and_leaves_what_it_stands_on(base: Base, tmp_path: Path) -> None:
    renders = make_renders(60, seed=2)
    config = replace(train_base.CONFIG, steps=12, batch_size=8, warmup=2)

    def frozen() -> list[Tensor]:
        parts = (base.compressor, base.previewer, base.text_encoder)
        return [tensor.clone() for part in parts for tensor in part.state_dict().values()]

    base.eval()
    before, stage_c = frozen(), base.unet.state_dict()["clf.1.weight"].clone()
    figures = train_base.train_base(base, renders, work=tmp_path, report=silent, config=config)
    assert figures["loss"] > 0
    assert all(torch.equal(a, b) for a, b in zip(before, frozen(), strict=True))
    assert not torch.equal(stage_c, base.unet.state_dict()["clf.1.weight"])


def test_stage_c_sees_two_objects_as_often_as_it_should(
    base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    renders = make_renders(60, seed=2)
    seen: list[Tensor] = []
    latents = torch.tensor([float(len(scene.things)) for scene in renders.scenes])
    monkeypatch.setattr(
        train_base, "encode_all", lambda *_: latents[:, None, None, None].expand(-1, 8, 8, 8)
    )

    def spy(clean: Tensor, noise: Tensor, timestep: Tensor) -> Tensor:
        seen.append(clean[:, 0, 0, 0])
        return add_noise(clean, noise, timestep)

    monkeypatch.setattr(train_base, "add_noise", spy)
    config = replace(train_base.CONFIG, steps=3, batch_size=10)
    train_base.train_base(base, renders, work=tmp_path, report=silent, config=config)
    assert [(rows == 2).float().mean().item() for rows in seen] == [train_base.TWO_OBJECTS] * 3


def test_the_compressor_stage_returns_frozen_statistics(tmp_path: Path) -> None:
    renders: Renders = make_renders(40, seed=3)
    config = replace(train_compressor.CONFIG, steps=4, batch_size=8)
    compressor, previewer, figures = train_compressor.train_compressor(
        renders, work=tmp_path, report=silent, config=config
    )
    assert not compressor.training and not previewer.training and figures["loss"] > 0
    one = compressor.encode(renders.images[:1].float() / 255)
    many = compressor.encode(renders.images[:8].float() / 255)
    assert torch.allclose(one, many[:1], atol=1e-5)  # batch norm no longer looks at the batch


def test_the_learning_rate_falls_over_the_last_share_alone() -> None:
    config = StageConfig(seed=0, steps=1000, batch_size=1, lr=1.0, warmup=10, decay=0.25)
    factors = [_learning_rate_factor(step, config) for step in range(1000)]
    assert factors[:10] == pytest.approx([(n + 1) / 10 for n in range(10)])
    assert set(factors[10:750]) == {1.0}
    assert all(a > b for a, b in pairwise(factors[753:]))
    assert factors[-1] == pytest.approx(0.05, abs=1e-3)
    whole = replace(config, decay=1.0)
    assert _learning_rate_factor(505, whole) == pytest.approx(0.525, abs=0.01)
