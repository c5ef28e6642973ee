"""The tiny VLM's language: to say from a user's shots what the user likes, and to choose for them.

Over `vlm_lessons.Lesson` the model learns the answer's tokens and the choice between "1" and "2".
An in-context task this abstract it learns very slowly or not at all by itself, so linear heads,
thrown away afterwards, say step by step what is to be found where:

    after layer 1, at each image of a shot: whether it is the preferred one
    after layer 2, at the end of each shot: what the preferred and the other image are like
    after layer 3, at the end of the shots: how their images differ on average
    after layer 4, where a choice is made: the taste to be expected, and how the candidates differ
    after the last, there: the products of the two; and, at the end of the shots and of the answer,
        the taste to be expected

Each is easy once the one before is found. The vision tower is frozen; what it sees of every picture
is computed once.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ppdbench.suites.shapes.attributes import ATTRIBUTES
from trainers.shapes.stage import StageConfig, run_stage
from trainers.shapes.train_vision import features
from trainers.shapes.vlm_data import PicturePairs
from trainers.shapes.vlm_lessons import Lesson, Lessons
from trainers.shapes.vlm_parts import IMAGE_TOKENS

CONFIG = StageConfig(
    seed=37, steps=5000, batch_size=24, lr=2e-3, warmup=100, weight_decay=0.01, ema=0.998
)
WEIGHTS = {
    "answer": 1.0,
    "choice": 2.0,
    "taste": 2.0,
    "preferred": 1.0,
    "shot": 1.0,
    "evidence": 1.0,
    "gathered": 1.0,
    "product": 0.5,
}
GATHERED_SCALE = 4.0
"""Tastes are small numbers beside differences: so much larger, both weigh alike."""
HELD_OUT_LESSONS = 12


@torch.no_grad()
def seen(tower: Any, pairs: PicturePairs, device: str = "cpu") -> Tensor:
    """What the tower sees of every picture: (2, N, 4, 96), half precision."""
    sides = []
    for pixels in pairs.pixels:
        parts = [
            features(tower, pixels[at : at + 500], device).half().cpu()
            for at in range(0, len(pixels), 500)
        ]
        sides.append(torch.cat(parts))
    return torch.stack(sides)


class Heads(nn.Module):
    """Linear readings that make the language model gather what it needs; thrown away."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.taste = nn.Linear(width, len(ATTRIBUTES))
        self.preferred = nn.Linear(width, 1)
        self.shot = nn.Linear(width, 2 * len(ATTRIBUTES))
        self.evidence = nn.Linear(width, len(ATTRIBUTES))
        self.gathered = nn.Linear(width, 2 * len(ATTRIBUTES))
        self.product = nn.Linear(width, len(ATTRIBUTES))


def states(model: Any, lesson: Lesson, table: Tensor) -> tuple[Tensor, ...]:
    """Hidden states (B, T, width) of a lesson: the input, and after each layer.

    `table` has what the tower sees of every picture, as `seen` gives it.
    """
    core = model.model
    device = table.device
    embedded = core.language_model.embed_tokens(lesson.ids.to(device))
    image = lesson.image.to(device)
    known = table[image[:, 0], image[:, 1]].to(embedded.dtype)
    shown = core.multi_modal_projector(known)
    newline = core.image_newline.to(shown).expand(len(shown), 1, -1)
    shown = torch.cat([shown, newline], dim=1)
    rows = lesson.image_at[:, :1].expand(-1, IMAGE_TOKENS + 1).to(device)
    places = (lesson.image_at[:, 1:] + torch.arange(IMAGE_TOKENS + 1)).to(device)
    embedded = embedded.index_put((rows.reshape(-1), places.reshape(-1)), shown.flatten(0, 1))
    out = core.language_model(
        inputs_embeds=embedded,
        attention_mask=lesson.mask.to(device),
        position_ids=lesson.positions.to(device),
        use_cache=False,
        output_hidden_states=True,
    )
    return cast(tuple[Tensor, ...], out.hidden_states)


def losses(
    model: Any, heads: Heads, lesson: Lesson, table: Tensor, said: tuple[int, int]
) -> dict[str, Tensor]:
    """Each loss of `WEIGHTS`, a mean; `said` are the ids of "1" and "2"."""
    layers = states(model, lesson, table)
    hidden = layers[-1]
    device = hidden.device
    rows = torch.arange(len(hidden), device=device)[:, None]
    answer, choice_at = lesson.answer.to(device), lesson.choice_at.to(device)
    spoken = answer != -100
    chosen = F.log_softmax(model.lm_head(hidden[rows, choice_at]).float(), dim=-1)
    chance = lesson.choice.to(device)
    choice = -(chance * chosen[..., said[0]] + (1 - chance) * chosen[..., said[1]])
    shot, apart = lesson.shot.to(device), lesson.apart.to(device)
    starts = lesson.shot_image_at.to(device)
    marked = layers[1][
        rows[:, None], starts[..., None] + torch.arange(IMAGE_TOKENS + 1, device=device)
    ]
    wins = lesson.preferred.to(device)[..., None].expand(-1, -1, IMAGE_TOKENS + 1)
    taste, taste_at = lesson.taste.to(device)[:, None], lesson.taste_at.to(device)
    shown = heads.shot(layers[2][rows, lesson.shot_at.to(device)]).view(shot.shape)
    evidence = heads.evidence(layers[3][rows, taste_at[:, :1]])[:, 0]
    gathered = torch.cat([GATHERED_SCALE * taste.expand_as(apart), apart], dim=-1)
    return {
        "answer": F.cross_entropy(model.lm_head(hidden[spoken]).float(), answer[spoken]),
        "choice": choice.mean(),
        "taste": (heads.taste(hidden[rows, taste_at]) - taste).square().mean() * len(ATTRIBUTES),
        "preferred": F.binary_cross_entropy_with_logits(heads.preferred(marked)[..., 0], wins),
        "shot": (shown - shot).square().mean(),
        "evidence": (evidence - (shot[:, :, 0] - shot[:, :, 1]).mean(1)).square().mean(),
        "gathered": (heads.gathered(layers[4][rows, choice_at]) - gathered).square().mean(),
        "product": (
            (heads.product(hidden[rows, choice_at]) - GATHERED_SCALE * taste * apart)
            .square()
            .mean()
        ),
    }


def train_language(
    model: Any,
    tokenizer: Any,
    train: PicturePairs,
    held_out: PicturePairs,
    *,
    work: Path,
    report: Callable[[str], None],
    device: str = "cpu",
    config: StageConfig = CONFIG,
) -> dict[str, float]:
    """Train all but the vision tower in place; measured on fresh people and held-out pictures."""
    torch.manual_seed(config.seed)
    model.to(device).train()
    tower = model.model.vision_tower.requires_grad_(False).eval()
    table = seen(tower, train, device).to(device)
    lessons = Lessons(tokenizer, train)
    heads = Heads(model.config.text_config.hidden_size).to(device)
    said = (tokenizer.convert_tokens_to_ids("1"), tokenizer.convert_tokens_to_ids("2"))

    def loss_of(step: int, _generator: torch.Generator) -> Tensor:
        rng = np.random.default_rng([config.seed, step])
        found = losses(model, heads, lessons.draw(rng, config.batch_size), table, said)
        if (step + 1) % 100 == 0:
            report(", ".join(f"{name} {float(x):.4f}" for name, x in found.items()))
        return torch.stack([weight * found[name] for name, weight in WEIGHTS.items()]).sum()

    parts = {
        "language_model": model.model.language_model,
        "projector": model.model.multi_modal_projector,
        "newline": _Newline(model.model),
        "heads": heads,
    }
    figures = run_stage(
        "vlm", parts, loss_of, config, state_file=work / "vlm.state.pt", report=report,
        device=device,
    )  # fmt: skip
    model.eval()
    return figures | _measured(
        model, heads, Lessons(tokenizer, held_out), seen(tower, held_out, device), said
    )


class _Newline(nn.Module):
    """The model's newline embedding, a bare parameter, as a module that a stage can save."""

    def __init__(self, core: Any) -> None:
        super().__init__()
        self.image_newline = core.image_newline


@torch.no_grad()
def _measured(
    model: Any, heads: Heads, lessons: Lessons, table: Tensor, said: tuple[int, int]
) -> dict[str, float]:
    """How often the choice is the ideal reader's, and how near the taste comes to its own."""
    rng = np.random.default_rng(9_000_001)
    right, errors = [], []
    for _ in range(HELD_OUT_LESSONS):
        lesson = lessons.draw(rng, 32)
        hidden = states(model, lesson, table)[-1]
        rows = torch.arange(len(hidden))[:, None]
        logits = model.lm_head(hidden[rows, lesson.choice_at])
        first = logits[..., said[0]] > logits[..., said[1]]
        right.append((first == (lesson.choice > 0.5)).float().mean())
        guess = heads.taste(hidden[rows, lesson.taste_at])
        errors.append(F.cosine_similarity(guess, lesson.taste[:, None], dim=-1).mean(0))
    cosine = torch.stack(errors).mean(0)
    return {
        "held_out_choices_as_the_ideal_reader": round(float(torch.stack(right).mean()), 4),
        "held_out_taste_cosine_after_shots": round(float(cosine[0]), 4),
        "held_out_taste_cosine_after_answer": round(float(cosine[1]), 4),
    }
