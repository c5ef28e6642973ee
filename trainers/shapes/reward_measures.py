"""How good a small reward is on pictures that it was not trained on; written into its manifest.

Elsewhere: the trainings (`train_rewards.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ppdbench.rewards.open_clip_tower import OpenClipTower
from ppdbench.rewards.preprocess import OPENAI_MEAN, OPENAI_STD
from trainers.shapes.reward_losses import exchange_words


def prepare(images_u8: Tensor) -> Tensor:
    """Scale and normalise (N, 3, 64, 64) uint8, as the rewards' recipes do at this size."""
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (OPENAI_MEAN, OPENAI_STD))
    return (images_u8.float() / 255 - mean) / std


def embed_images(tower: OpenClipTower, images_u8: Tensor, *, batch_size: int = 256) -> Tensor:
    """Normalised embeddings, (N, D) on the CPU."""
    return torch.cat(
        [
            tower.encode_images(prepare(images_u8[i : i + batch_size])).cpu()
            for i in range(0, len(images_u8), batch_size)
        ]
    )


def measure_clip(
    tower: OpenClipTower, images_u8: Tensor, captions: Sequence[str], *, seed: int
) -> dict[str, float]:
    """How often a picture's own caption scores above 63 others, and above an altered one."""
    images, texts = embed_images(tower, images_u8), tower.encode_texts(captions)
    generator = torch.Generator().manual_seed(seed)
    tokens = tower.tokenizer(list(captions))
    wrong = exchange_words(tokens, generator)
    altered = (tokens != wrong).any(1)
    model: Any = tower.model  # torch's types take a method of a module for a tensor
    with torch.inference_mode():
        wrong_texts = model.encode_text(wrong, normalize=True)
    own = (images * texts).sum(-1)
    beats = own[altered] > (images * wrong_texts).sum(-1)[altered]
    first = []
    for start in range(0, len(captions) - 63, 64):
        rows = slice(start, start + 64)
        same = (tokens[rows, None] == tokens[None, rows]).all(-1)
        best = (images[rows] @ texts[rows].T).argmax(1)
        first.append(same[torch.arange(64), best])
    retrieved = torch.cat(first).float().mean() if first else torch.tensor(float("nan"))
    return {
        "held_out_retrieval_of_64": round(float(retrieved), 4),
        "held_out_altered_word_accuracy": round(float(beats.float().mean()), 4),
    }


def choice_accuracy(margin: Tensor, labels: Tensor) -> Tensor:
    """Share of choices (ties aside) that the margin, score 0 minus score 1, gets right."""
    decided = labels != 0.5
    return ((margin > 0) == (labels > 0.5))[decided].float().mean()


def pair_accuracy(predicted: Tensor, target: Tensor) -> Tensor:
    """Share of random pairs that the prediction orders as the target does."""
    half = len(target) // 2
    return (
        (
            (predicted[:half] > predicted[half : 2 * half])
            == (target[:half] > target[half : 2 * half])
        )
        .float()
        .mean()
    )
