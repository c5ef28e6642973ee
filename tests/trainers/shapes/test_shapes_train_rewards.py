"""The small rewards' training: losses by hand, folders that the harness reads back."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ppdbench.protocols import RewardSpec
from ppdbench.rewards import aesthetic, clip, hps
from ppdbench.rewards.preprocess import ClipRecipe, HpsRecipe
from trainers.shapes import train_rewards
from trainers.shapes.reward_losses import contrastive_loss, exchange_words, style_statistics
from trainers.shapes.reward_measures import prepare
from trainers.shapes.train_rewards import train_aesthetic, train_clip, train_hps

COLOURS = ("red", "green", "blue")


def world(count: int, seed: int = 0) -> tuple[Tensor, list[str]]:
    """Plain coloured pictures of random brightness, and their colours' names."""
    rng = np.random.default_rng(seed)
    which = rng.integers(0, 3, count)
    images = np.zeros((count, 3, 64, 64), np.uint8)
    images[np.arange(count), which] = rng.integers(90, 250, count)[:, None, None]
    return torch.from_numpy(images), [f"a {COLOURS[i]} square" for i in which]


def quiet(_line: str) -> None:
    pass


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("trained")
    images, captions = world(160)
    train_clip(images, captions, seed=1, steps=60, out=root / "clip", progress=quiet, batch_size=24)
    return root


def score(kind: str, folder: Path, images: Tensor, captions: list[str]) -> NDArray[np.float64]:
    module = {"clip": clip, "aesthetic": aesthetic, "hps": hps}[kind]
    spec = RewardSpec(name=kind, kind=kind, checkpoint=folder)
    pictures = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in images]
    scores: NDArray[np.float64] = module.load(spec, "cpu").score(pictures, captions)
    return scores


def test_clip_learns_and_its_folder_loads(folders: Path) -> None:
    images, captions = world(60, seed=7)
    own = score("clip", folders / "clip", images, captions)
    wrong = [f"a {COLOURS[(COLOURS.index(c.split()[1]) + 1) % 3]} square" for c in captions]
    assert (own > score("clip", folders / "clip", images, wrong)).mean() > 0.95
    manifest = json.loads((folders / "clip" / "manifest.json").read_text())
    assert sorted(manifest["sha256"]) == ["config.json", "merges.txt.gz", "model.safetensors"]
    assert manifest["seed"] == 1
    assert not (folders / "clip" / "state.pt").exists()
    assert (folders / "clip" / "model.safetensors").stat().st_size <= 1.1e6


def test_same_seed_same_weights_other_seed_other_weights_also_in_a_used_folder(
    tmp_path: Path,
) -> None:
    images, captions = world(40)
    for name, seed in (("a", 1), ("b", 2), ("b", 1), ("c", 2)):
        torch.manual_seed(99)  # what was drawn before does not matter
        torch.rand(seed)
        train_clip(
            images, captions, seed=seed, steps=3, out=tmp_path / name, progress=quiet, batch_size=8
        )
    a, b, c = ((tmp_path / name / "model.safetensors").read_bytes() for name in "abc")
    assert a == b != c


def test_aesthetic_finds_a_linear_rating(folders: Path) -> None:
    images, captions = world(160)
    spec = RewardSpec(name="clip", kind="clip", checkpoint=folders / "clip")
    embeddings = clip.load(spec, "cpu").tower.encode_images(prepare(images)).double().numpy()
    direction = np.random.default_rng(0).normal(size=embeddings.shape[1])
    ratings = 5 + embeddings @ direction
    out = folders / "aesthetic"
    figures = train_aesthetic(folders / "clip", images, ratings, seed=0, out=out)
    assert figures["held_out_r2"] > 0.95
    assert json.loads((out / "config.json").read_text())["tower"] == "../clip"
    predicted = score("aesthetic", out, images, captions)
    assert np.corrcoef(predicted, ratings)[0, 1] > 0.97
    assert abs(predicted.mean() - ratings.mean()) < 0.05


def test_hps_learns_choices_and_keeps_the_captions(folders: Path) -> None:
    first, captions = world(200, seed=3)
    dimmer = (first.float() * 0.5).to(torch.uint8)
    swap = torch.rand(200, generator=torch.Generator().manual_seed(0)) < 0.5
    images_0 = torch.where(swap[:, None, None, None], dimmer, first)
    images_1 = torch.where(swap[:, None, None, None], first, dimmer)
    labels = (~swap).double().numpy()
    labels[:10] = 0.5
    figures = train_hps(
        folders / "clip",
        images_0,
        images_1,
        captions,
        labels,
        seed=1,
        steps=40,
        out=folders / "hps",
        batch_size=16,
    )
    assert figures["held_out_choice_accuracy"] > 0.9
    bright = score("hps", folders / "hps", first[:30], captions[:30])
    assert (bright > score("hps", folders / "hps", dimmer[:30], captions[:30])).mean() > 0.9


def test_exchange_words_alters_one_word_by_another_of_its_place() -> None:
    generator = torch.Generator().manual_seed(0)
    tokens = torch.tensor(
        [[9, 1, 2, 3, 8, 0, 0], [9, 1, 4, 3, 8, 0, 0], [9, 5, 4, 6, 8, 0, 0], [9, 1, 2, 3, 4, 5, 8]]
    )
    for _ in range(20):
        altered = exchange_words(tokens, generator)
        changed = altered != tokens
        assert (changed.sum(1) == torch.tensor([1, 1, 1, 0])).all()  # the last is alone
        for row, place in changed.nonzero().tolist():
            assert altered[row, place] in tokens[:3, place]
    same = tokens[:1].repeat(3, 1)
    assert torch.equal(exchange_words(same, generator), same)


def test_contrastive_loss_by_hand() -> None:
    texts = torch.tensor([[1], [2], [1]])  # pictures 0 and 2 share a caption
    wrong = torch.tensor([[3], [1], [2]])  # altered into others' true captions but for one
    logits = torch.tensor(
        [[2.0, 0.0, 2.0, 1.0, 7.0, 0.5], [0.0, 3.0, 0.0, 0.2, 0.1, 9.0], [1.0, 0, 1.0, 0, 7.0, 0.0]]
    )

    def log_softmax(values: list[float], index: int) -> float:
        return values[index] - math.log(sum(map(math.exp, values)))

    # wrong[1] is picture 0's and 2's own caption, wrong[2] picture 1's: both left out there.
    rows = [
        log_softmax([2.0, 0.0, 2.0, 1.0, 0.5], 0),  # targets 1/2 each, equal logits
        log_softmax([0.0, 3.0, 0.0, 0.2, 0.1], 1),
        log_softmax([1.0, 0.0, 1.0, 0.0, 0.0], 0),
    ]
    first = [2.0, 0.0, 1.0]
    columns = [
        (log_softmax(first, 0) + log_softmax(first, 2)) / 2,
        log_softmax([0.0, 3.0, 0.0], 1),
        (log_softmax(first, 0) + log_softmax(first, 2)) / 2,
    ]
    expected = -(sum(rows) / 3 + sum(columns) / 3) / 2
    assert float(contrastive_loss(logits, texts, wrong)) == pytest.approx(expected, rel=1e-6)


def test_training_sees_what_scoring_sees() -> None:
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.integers(0, 256, (3, 3, 64, 64), np.uint8))
    pictures = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in images]
    torch.testing.assert_close(ClipRecipe(64)(pictures), prepare(images))
    torch.testing.assert_close(HpsRecipe(64, True)(pictures), prepare(images))


def test_style_statistics_are_finite_and_tell_place() -> None:
    images = torch.zeros(3, 3, 64, 64, dtype=torch.uint8)
    images[1, :, 28:36, 48:56] = 255
    images[2, :, 28:36, 8:16] = 255
    statistics = style_statistics(images)
    assert statistics.shape == (3, 22)
    assert statistics.isfinite().all()
    distance = statistics[:, -1]
    assert distance[0] == pytest.approx(0, abs=1e-2)
    assert distance[1] == pytest.approx(0.64, abs=0.05)
    assert distance[2] == pytest.approx(0.64, abs=0.05)
    assert statistics[1, -3] == pytest.approx(0.41, abs=0.05)  # off in x, not in y
    assert statistics[1, -2] == pytest.approx(0, abs=1e-2)


def test_half_of_a_small_set_is_not_held_out() -> None:
    assert train_rewards._training_rows(100) == 80
    assert train_rewards._training_rows(100_000) == 100_000 - train_rewards.HELD_OUT
