"""Stage 2 of the embedded world: the text encoder learns to say which scene a caption means.

The original's text encoder is a CLIP that has read the web and stays frozen. This one reads the
captions of training scenes until linear heads, thrown away afterwards, find every fact of the
scene in its pooled embedding: above all, which of two objects is where in which colour. Trained
from Stage C's loss alone, that comes last or never.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ppdbench.protocols import Split
from ppdbench.suites.shapes.classifier import HEADS, NOT_SAID
from ppdbench.suites.shapes.scenes import Scene, caption_of
from trainers.shapes.renders import draw_scenes
from trainers.shapes.scene_facts import fact_loss, fact_targets
from trainers.shapes.stage import StageConfig, run_stage
from trainers.stable_cascade.stage_c import Base

CONFIG = StageConfig(seed=13, steps=3000, batch_size=256, lr=2e-3, weight_decay=0.01)
CAPTIONS, CAPTIONS_SEED = 120_000, 3
HELD_OUT = 4_000


def train_text(
    base: Base,
    *,
    work: Path,
    report: Callable[[str], None],
    device: str = "cpu",
    config: StageConfig = CONFIG,
) -> dict[str, float]:
    """Train the base's text encoder in place; measured on scenes of the validation split."""
    torch.manual_seed(config.seed)
    width = base.config["text_encoder"]["projection_dim"]
    heads = nn.ModuleDict({name: nn.Linear(width, n) for name, n in HEADS.items()}).to(device)
    base.to(device)
    tokens, wanted = _examples(base, CAPTIONS, CAPTIONS_SEED, "train")

    def logits_of(rows: Tensor) -> dict[str, Tensor]:
        pooled = base.encode_tokens(rows).pooled[:, 0]
        return {name: head(pooled) for name, head in heads.items()}

    def loss_of(_step: int, generator: torch.Generator) -> Tensor:
        rows = torch.randint(len(tokens), (config.batch_size,), generator=generator)
        return fact_loss(logits_of(tokens[rows]), wanted, rows)

    figures = run_stage(
        "text",
        {"text_encoder": base.text_encoder, "heads": heads},
        loss_of,
        config,
        state_file=work / "text.state.pt",
        report=report,
        device=device,
    )
    tokens, wanted = _examples(base, HELD_OUT, CAPTIONS_SEED + 1, "validation")
    right = torch.ones(len(tokens), dtype=torch.bool)
    with torch.no_grad():
        for name, logits in logits_of(tokens).items():
            said = wanted[name] != NOT_SAID
            right &= ~said | (logits.argmax(1).cpu() == wanted[name])
    return figures | {"held_out_scene_accuracy": round(float(right.float().mean()), 4)}


def _examples(base: Base, count: int, seed: int, split: Split) -> tuple[Tensor, dict[str, Tensor]]:
    rng = np.random.default_rng(seed)
    scenes: list[Scene] = draw_scenes(count, rng, split)
    captions = [caption_of(scene, reverse=bool(rng.random() < 0.5)) for scene in scenes]
    return base.tokenize(captions), fact_targets(scenes)
