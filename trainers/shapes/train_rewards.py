"""The embedded world's three small rewards: a CLIP, an aesthetic head on it, an HPS tuned from it.

Each function trains one, writes a reward folder (`ppdbench.rewards` reads it back) and returns
what it measured on rows that it held out. Another seed makes the gold twin. Elsewhere: the
losses (`reward_losses.py`), the measures (`reward_measures.py`), the
tokenizer (`tokenizer.py`), the loop and its resume (`stage.py`), pictures and labels (the caller).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ppdbench.rewards.aesthetic import HEAD
from ppdbench.rewards.folder import CONFIG, WEIGHTS, read_tower_folder
from ppdbench.rewards.open_clip_tower import OpenClipTower, build_model, load_tower
from ppdbench.rewards.preprocess import OPENAI_MEAN, OPENAI_STD
from trainers.shapes.manifest import MANIFEST, save_half, write_json, write_manifest
from trainers.shapes.reward_losses import contrastive_loss, exchange_words, style_statistics
from trainers.shapes.reward_measures import (
    choice_accuracy,
    embed_images,
    measure_clip,
    pair_accuracy,
    prepare,
)
from trainers.shapes.stage import StageConfig, run_stage
from trainers.shapes.tokenizer import build_merges, vocabulary, write_tokenizer

MERGES = "merges.txt.gz"
STATE = "state.pt"
"""Of an unfinished training; gone at its end."""
CONTEXT = 20
HELD_OUT = 1024
"""Rows at the end of the caller's data that are measured on and never trained on."""

VISION = {"image_size": 64, "patch_size": 8, "width": 96, "layers": 3, "head_width": 32}
TEXT = {"context_length": CONTEXT, "width": 64, "heads": 4, "layers": 2}
EMBED_DIM = 96

STYLE_WEIGHT = 4.0
CAPTION_WEIGHT = 0.3
RIDGE = 1e-4
LOGIT_SCALE_MAX = 4.0
"""Natural log; 55. Sharper than that, scores of pictures in one caption no longer differ."""

Figures = dict[str, float]
Progress = Callable[[str], None]


def train_clip(
    images_u8: Tensor,
    captions: Sequence[str],
    *,
    seed: int,
    steps: int,
    out: Path,
    progress: Progress,
    batch_size: int = 96,
    lr: float = 2e-3,
    device: str = "cpu",
) -> Figures:
    """Train a small open_clip model by contrast and write its folder.

    Beside the other captions of its batch, a picture is told from its own caption with one word
    exchanged. A second, discarded head reads simple statistics of the picture from its embedding:
    without words of style in the captions, contrast alone would forget the style that the
    aesthetic head and HPS are to read from it.

    Args:
        images_u8: (N, 3, 64, 64) uint8; the last rows are held out.
        captions: N texts; the tokenizer is made of them.
        seed: of the weights and batches.
        steps: of the optimizer.
        out: folder to write; `out/state.pt` holds an unfinished training.
        progress: called with lines of text.
        batch_size: pictures a step.
        lr: peak learning rate.
        device: where to train.
    """
    _start_folder(out)
    _write_merges(captions, out)
    text_cfg: dict[str, Any] = TEXT | {
        "vocab_size": len(vocabulary(build_merges(captions))),
        "tokenizer_kwargs": {"bpe_path": MERGES},
    }
    config = {"embed_dim": EMBED_DIM, "vision_cfg": VISION, "text_cfg": text_cfg}
    write_json(
        out / CONFIG,
        {"model_cfg": config, "preprocess_cfg": {"mean": OPENAI_MEAN, "std": OPENAI_STD}},
    )
    torch.manual_seed(seed)
    model = _seeded(config, seed).to(device)
    style = style_statistics(images_u8)
    shift, spread = style.mean(0), style.std(0).clamp(min=1e-4)
    style_head = nn.Linear(EMBED_DIM, style.shape[1]).to(device)
    tokenizer = _tokenizer(out)
    tokens = tokenizer(list(captions))
    rows_for_training = _training_rows(len(captions))

    def loss_of(_step: int, generator: torch.Generator) -> Tensor:
        rows = torch.randint(rows_for_training, (batch_size,), generator=generator)
        texts = tokens[rows]
        wrong = exchange_words(texts, generator)
        images = model.encode_image(prepare(images_u8[rows]).to(device))
        embedded = model.encode_text(torch.cat([texts, wrong]).to(device), normalize=True)
        scale = model.logit_scale.clamp(max=LOGIT_SCALE_MAX).exp()
        logits = scale * F.normalize(images, dim=-1) @ embedded.T
        target = (style[rows] - shift) / spread
        read = style_head(F.normalize(images, dim=-1) * EMBED_DIM**0.5)
        return contrastive_loss(logits, texts, wrong) + STYLE_WEIGHT * F.mse_loss(
            read, target.to(device)
        )

    stage = _stage(seed=seed, steps=steps, batch_size=batch_size, lr=lr)
    parts = {"model": model, "style": style_head}
    figures = run_stage(
        "clip", parts, loss_of, stage, state_file=out / STATE, report=progress, device=device
    )
    _save_tower(model, out)
    held = slice(rows_for_training, None)
    figures |= measure_clip(_tower(out), images_u8[held], captions[held], seed=seed)
    (out / STATE).unlink(missing_ok=True)
    write_manifest(out, seed=seed, steps=steps, rows=len(captions), figures=figures)
    return figures


def train_aesthetic(
    clip_folder: Path,
    images_u8: Tensor,
    ratings: NDArray[np.float64] | Tensor,
    *,
    seed: int,
    out: Path,
) -> Figures:
    """Fit the aesthetic head on a CLIP's normalised embeddings and write its folder.

    The head has no activations, so it is linear, and ridge regression finds the best one at once.

    Args:
        clip_folder: the tower; the head's config.json points to it by a relative path.
        images_u8: (N, 3, 64, 64) uint8.
        ratings: (N,), higher is better; the score is in their unit.
        seed: which rows are held out.
        out: folder to write.
    """
    embeddings = embed_images(_tower(clip_folder), images_u8).double()
    target = torch.as_tensor(ratings, dtype=torch.float64)
    order = torch.randperm(len(target), generator=torch.Generator().manual_seed(seed))
    fit, held = order[: _training_rows(len(target))], order[_training_rows(len(target)) :]
    centre, middle = embeddings[fit].mean(0), target[fit].mean()
    centred = embeddings[fit] - centre
    gram = centred.T @ centred / len(fit)
    ridge = RIDGE * gram.diagonal().mean() * torch.eye(len(gram), dtype=torch.float64)
    weight = torch.linalg.solve(gram + ridge, centred.T @ (target[fit] - middle) / len(fit))
    bias = middle - weight @ centre

    _start_folder(out)
    save_half({"layers.0.weight": weight[None], "layers.0.bias": bias[None]}, out / HEAD)
    relative = Path(os.path.relpath(clip_folder.resolve(), out.resolve())).as_posix()
    write_json(out / CONFIG, {"tower": relative, "head": HEAD})
    predicted = embeddings[held] @ weight.half().double() + bias.half().double()
    figures = {
        "held_out_r2": _round(1 - (predicted - target[held]).var() / target[held].var()),
        "held_out_pair_accuracy": _round(pair_accuracy(predicted, target[held])),
    }
    write_manifest(out, seed=seed, steps=0, rows=len(target), figures=figures)
    return figures


def train_hps(
    clip_folder: Path,
    images_0: Tensor,
    images_1: Tensor,
    captions: Sequence[str],
    labels: NDArray[np.float64] | Tensor,
    *,
    seed: int,
    steps: int,
    out: Path,
    progress: Progress | None = None,
    batch_size: int = 48,
    lr: float = 4e-4,
    device: str = "cpu",
) -> Figures:
    """Tune a copy of a CLIP on choices between two pictures of a caption, as HPSv2 was.

    The loss is the cross-entropy of the labels against the softmax over the two pictures'
    logits (HPSv2, Eq. 2), plus the contrast that made the CLIP: both pictures of a pair follow its
    caption, so choices alone would teach a model this small to forget the captions.

    Args:
        clip_folder: where to start from.
        images_0: (N, 3, 64, 64) uint8; the last rows of all are held out.
        images_1: the other picture of each pair, alike.
        captions: N texts.
        labels: (N,), label of picture 0: 1 preferred, 0 not, 0.5 a tie.
        seed: of the batches.
        steps: of the optimizer.
        out: folder to write; `out/state.pt` holds an unfinished training.
        progress: called with lines of text.
        batch_size: pairs a step.
        lr: peak learning rate.
        device: where to train.
    """
    _start_folder(out)
    shutil.copyfile(clip_folder / MERGES, out / MERGES)
    config = json.loads((clip_folder / CONFIG).read_text(encoding="utf-8"))
    config["preprocess_cfg"] = config["preprocess_cfg"] | {"antialias": True}
    write_json(out / CONFIG, config)
    model = _seeded(config["model_cfg"], seed).to(device)
    model.load_state_dict(_tower(clip_folder).model.state_dict())
    tokens = _tokenizer(out)(list(captions))
    target = torch.as_tensor(labels, dtype=torch.float32)
    rows_for_training = _training_rows(len(captions))

    def loss_of(_step: int, generator: torch.Generator) -> Tensor:
        rows = torch.randint(rows_for_training, (batch_size,), generator=generator)
        texts, wrong = tokens[rows].repeat(2, 1), exchange_words(tokens[rows], generator)
        pictures = torch.cat([images_0[rows], images_1[rows]])
        images = model.encode_image(prepare(pictures).to(device), normalize=True)
        embedded = model.encode_text(torch.cat([tokens[rows], wrong]).to(device), normalize=True)
        own, altered = embedded.chunk(2)
        scale = model.logit_scale.clamp(max=LOGIT_SCALE_MAX).exp()
        chosen = scale * (images.unflatten(0, (2, -1)) * own).sum(-1)
        choice = F.binary_cross_entropy_with_logits(chosen[0] - chosen[1], target[rows].to(device))
        logits = scale * images @ torch.cat([own, own, altered, altered]).T
        return choice + CAPTION_WEIGHT * contrastive_loss(logits, texts, wrong.repeat(2, 1))

    stage = _stage(seed=seed, steps=steps, batch_size=batch_size, lr=lr)
    report = progress or (lambda _line: None)
    figures = run_stage(
        "hps", {"model": model}, loss_of, stage, state_file=out / STATE, report=report,
        device=device,
    )  # fmt: skip
    _save_tower(model, out)
    held = slice(rows_for_training, None)
    tower = _tower(out)
    texts = tower.encode_texts(captions[held])
    score_0, score_1 = (
        (embed_images(tower, images[held]) * texts).sum(-1) for images in (images_0, images_1)
    )
    figures |= {
        "held_out_choice_accuracy": _round(choice_accuracy(score_0 - score_1, target[held]))
    } | measure_clip(tower, images_0[held], captions[held], seed=seed)
    (out / STATE).unlink(missing_ok=True)
    write_manifest(out, seed=seed, steps=steps, rows=len(captions), figures=figures)
    return figures


def _stage(*, seed: int, steps: int, batch_size: int, lr: float) -> StageConfig:
    """How both towers are trained."""
    return StageConfig(
        seed=seed, steps=steps, batch_size=batch_size, lr=lr, weight_decay=0.05, ema=0.99
    )


def _training_rows(count: int) -> int:
    return count - min(HELD_OUT, count // 5)


def _seeded(config: Mapping[str, Any], seed: int) -> Any:
    torch.manual_seed(seed)
    return build_model(dict(config))


def _tokenizer(folder: Path) -> Any:
    from open_clip import SimpleTokenizer

    return SimpleTokenizer(bpe_path=str(folder / MERGES), context_length=CONTEXT)


def _tower(folder: Path) -> OpenClipTower:
    return load_tower(read_tower_folder(folder, owner=folder.name), "cpu")


def _start_folder(out: Path) -> None:
    """Make the folder; what an earlier training promised of its files holds no longer."""
    out.mkdir(parents=True, exist_ok=True)
    (out / MANIFEST).unlink(missing_ok=True)


def _write_merges(captions: Sequence[str], out: Path) -> None:
    """Keep of the tokenizer's files the one that open_clip reads."""
    scratch = out / "tokenizer.partial"
    write_tokenizer(captions, scratch, context_length=CONTEXT)
    (scratch / MERGES).replace(out / MERGES)
    shutil.rmtree(scratch)


def _save_tower(model: nn.Module, out: Path) -> None:
    save_half(model.state_dict(), out / WEIGHTS)


def _round(value: Tensor) -> float:
    return round(float(value), 4)
