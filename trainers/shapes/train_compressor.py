"""Stage 1 of the embedded world: the semantic compressor and the previewer, together.

Noise on the latents while training makes the previewer forgive what a diffusion model leaves.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from trainers.shapes.renders import Renders, as_unit
from trainers.shapes.stage import StageConfig, run_stage
from trainers.stable_cascade.compressor import SemanticCompressor
from trainers.stable_cascade.previewer import Previewer

LATENT_NOISE = 0.1
CONFIG = StageConfig(seed=11, steps=1800, batch_size=64, lr=2e-3, weight_decay=1e-4)


def train_compressor(
    renders: Renders,
    *,
    work: Path,
    report: Callable[[str], None],
    device: str = "cpu",
    config: StageConfig = CONFIG,
) -> tuple[SemanticCompressor, Previewer, dict[str, float]]:
    """Train both on the renders; returned in eval mode with the loss and the seconds it took."""
    torch.manual_seed(config.seed)
    compressor = SemanticCompressor().to(device, memory_format=torch.channels_last)
    previewer = Previewer().to(device, memory_format=torch.channels_last)

    def loss_of(_step: int, generator: torch.Generator) -> Tensor:
        rows = torch.randint(len(renders.captions), (config.batch_size,), generator=generator)
        images = as_unit(renders.images[rows].to(device))
        latents = compressor(images)
        noise = torch.randn(latents.shape, generator=generator).to(device)
        pictures = previewer(latents + LATENT_NOISE * noise)
        return F.l1_loss(pictures, images) + 2 * F.mse_loss(pictures, images)

    figures = run_stage(
        "compressor",
        {"compressor": compressor, "previewer": previewer},
        loss_of,
        config,
        state_file=work / "compressor.state.pt",
        report=report,
        device=device,
    )
    return compressor.eval(), previewer.eval(), figures
