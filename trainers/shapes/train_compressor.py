"""Stage 1 of the embedded world: the semantic compressor and the previewer, together.

The original's compressor is a classifier's features, so its latents say what a picture shows
before they say how. Here a small head, thrown away afterwards, reads the scene from noisy latents
while the previewer draws the picture from them: without it a latent this small spends itself on
texture, shapes hardly matter to Stage C's loss, and Stage C learns them last or never. For the same
reason the pixels of objects, few as they are, weigh as much as all the others. Noise on the latents
also makes the previewer forgive what a diffusion model leaves.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ppdbench.suites.shapes.classifier import HEADS
from trainers.shapes.renders import Renders, as_unit, object_mask
from trainers.shapes.scene_facts import fact_loss, fact_targets
from trainers.shapes.stage import StageConfig, run_stage
from trainers.stable_cascade.compressor import SemanticCompressor
from trainers.stable_cascade.previewer import Previewer

LATENT_NOISE = 0.2
"""Most noise under which the picture is drawn; each row's is uniform below it."""
SCENE_NOISE = 0.8
"""Most noise under which the scene is read."""
SCENE_WEIGHT = 0.02
CONFIG = StageConfig(seed=11, steps=4000, batch_size=48, lr=2e-3, weight_decay=1e-4, ema=0.995)


class SceneHead(nn.Module):
    """Latents (B, C, 8, 8) to logits a fact of the scene, as the caption classifier's heads."""

    def __init__(self, latent_channels: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(latent_channels, 64, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(64, 96, 3, stride=2, padding=1),
            nn.GELU(),
            nn.Flatten(),
            nn.Linear(96 * 16, 128),
            nn.GELU(),
        )
        self.heads = nn.ModuleDict({name: nn.Linear(128, n) for name, n in HEADS.items()})

    def forward(self, latents: Tensor) -> dict[str, Tensor]:
        """Logits (B, classes) a head."""
        features = self.features(latents)
        return {name: cast(Tensor, head(features)) for name, head in self.heads.items()}


def pixel_errors(pictures: Tensor, images: Tensor) -> Tensor:
    """Error a pixel (B, 1, H, W): absolute, squared, and of the differences to its neighbours."""
    error = pictures - images
    across = F.pad(error.diff(dim=3), (0, 1))
    down = F.pad(error.diff(dim=2), (0, 0, 0, 1))
    total = error.abs() + 2 * error.square() + across.abs() + down.abs()
    return total.mean(1, keepdim=True)


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
    compressor = SemanticCompressor().to(device).to(memory_format=torch.channels_last)
    previewer = Previewer().to(device).to(memory_format=torch.channels_last)
    head = SceneHead(compressor.latent_channels).to(device)
    objects = object_mask(renders)
    wanted = fact_targets(renders.scenes)

    def loss_of(_step: int, generator: torch.Generator) -> Tensor:
        rows = torch.randint(len(renders.captions), (config.batch_size,), generator=generator)
        images = as_unit(renders.images[rows].to(device))
        latents = compressor(images)

        def noised(most: float) -> Tensor:
            level = most * torch.rand(len(rows), 1, 1, 1, generator=generator)
            noise = level * torch.randn(latents.shape, generator=generator)
            return cast(Tensor, latents + noise.to(device))

        pictures = previewer(noised(LATENT_NOISE))
        errors = pixel_errors(pictures, images)
        here = F.max_pool2d(objects[rows, None].float(), 3, stride=1, padding=1)
        here = here.to(device)
        on_objects = (errors * here).sum((1, 2, 3)) / here.sum((1, 2, 3)).clamp(min=1)
        read = fact_loss(head(noised(SCENE_NOISE)), wanted, rows)
        return errors.mean() + on_objects.mean() + SCENE_WEIGHT * read

    figures = run_stage(
        "compressor",
        {"compressor": compressor, "previewer": previewer, "head": head},
        loss_of,
        config,
        state_file=work / "compressor.state.pt",
        report=report,
        device=device,
    )
    return compressor.eval(), previewer.eval(), figures
