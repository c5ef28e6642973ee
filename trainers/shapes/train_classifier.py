"""Stage 3 of the embedded world: the held-out caption classifier, on renders of every split.

It judges pictures of test captions, so it must know every combination; it never trains anything
and nothing is trained on it. Styles are stretched and blurred a little, so that it still reads a
picture that a tuned model pushed beyond the world's own looks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from ppdbench.protocols import Split
from ppdbench.suites.shapes.classifier import ClassifierNet
from ppdbench.suites.shapes.scenes import Scene
from trainers.shapes.renders import as_unit
from trainers.shapes.scene_facts import fact_loss, fact_targets
from trainers.shapes.stage import StageConfig, run_stage

CONFIG = StageConfig(seed=31, steps=2400, batch_size=128, lr=3e-3, weight_decay=1e-3)
ROWS: dict[Split, int] = {"train": 30_000, "validation": 6_000, "test": 16_000}
"""Renders of each split that it learns from."""


def train_classifier(
    images: Tensor,
    scenes: Sequence[Scene],
    *,
    work: Path,
    report: Callable[[str], None],
    device: str = "cpu",
    config: StageConfig = CONFIG,
) -> tuple[ClassifierNet, dict[str, float]]:
    """Train on pictures, uint8 (N, 3, 64, 64), of N scenes; returned in eval mode."""
    torch.manual_seed(config.seed)
    net = ClassifierNet().to(device).to(memory_format=torch.channels_last)
    wanted = fact_targets(scenes)

    def loss_of(_step: int, generator: torch.Generator) -> Tensor:
        rows = torch.randint(len(scenes), (config.batch_size,), generator=generator)
        batch = as_unit(images[rows])
        noise = torch.randn(batch.shape, generator=generator)
        level = 0.03 * torch.rand(len(rows), 1, 1, 1, generator=generator)
        blurred = F.avg_pool2d(batch, 3, stride=1, padding=1, count_include_pad=False)
        mix = 0.6 * torch.rand(len(rows), 1, 1, 1, generator=generator)
        logits = net((torch.lerp(batch, blurred, mix) + level * noise).to(device))
        return fact_loss(logits, wanted, rows)

    figures = run_stage(
        "classifier",
        {"classifier": net},
        loss_of,
        config,
        state_file=work / "classifier.state.pt",
        report=report,
        device=device,
    )
    return net.eval(), figures
