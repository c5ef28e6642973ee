"""The tiny VLM's eye: its SigLIP tower learns to see the attributes that tastes are about.

The original's tower has seen the web and can tell a bright picture from a dark one. This one is
trained until a linear head, thrown away afterwards, reads the measured attributes from the mean of
its patch tokens, above all how two pictures of one caption differ.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ppdbench.suites.shapes.attributes import ATTRIBUTES
from trainers.shapes.stage import StageConfig, run_stage
from trainers.shapes.vlm_data import PicturePairs

CONFIG = StageConfig(
    seed=31, steps=8000, batch_size=64, lr=2e-3, warmup=200, weight_decay=0.01, ema=0.998
)


def features(tower: Any, pixels: NDArray[np.uint8], device: str = "cpu") -> Tensor:
    """What the language model is given of pictures (N, 64, 64, 3): (N, 4, 96), final norm apart."""
    unit = torch.from_numpy(np.ascontiguousarray(pixels)).to(device).permute(0, 3, 1, 2)
    out = tower(pixel_values=unit.float() / 127.5 - 1, output_hidden_states=True)
    return cast(Tensor, out.hidden_states[-1])


def train_vision(
    tower: Any,
    train: PicturePairs,
    held_out: PicturePairs,
    *,
    work: Path,
    report: Callable[[str], None],
    device: str = "cpu",
    config: StageConfig = CONFIG,
) -> dict[str, float]:
    """Train the tower in place; measured: R^2 of attributes' differences within held-out pairs."""
    torch.manual_seed(config.seed)
    mean = train.attributes.mean((0, 1))
    spread = train.attributes.std((0, 1))
    wanted = torch.from_numpy((train.attributes - mean) / spread).float().to(device)
    units = torch.from_numpy(spread).float().to(device)
    head = nn.Linear(tower.config.hidden_size, len(ATTRIBUTES)).to(device)
    tower.to(device).train()

    def read(pixels: NDArray[np.uint8]) -> Tensor:
        return cast(Tensor, head(features(tower, pixels, device).mean(1)))

    def loss_of(_step: int, generator: torch.Generator) -> Tensor:
        rows = torch.randint(len(train), (config.batch_size,), generator=generator)
        pixels = train.pixels[:, rows.numpy()].reshape(-1, *train.pixels.shape[2:])
        right = wanted[:, rows]
        found = read(pixels).view(right.shape)
        apart = ((found[0] - found[1]) - (right[0] - right[1])) * units
        loss: Tensor = (found - right).square().mean() + 0.5 * apart.square().mean()
        return loss

    figures = run_stage(
        "vision",
        {"tower": tower, "head": head},
        loss_of,
        config,
        state_file=work / "vision.state.pt",
        report=report,
        device=device,
    )
    tower.eval()
    with torch.no_grad():
        seen = torch.stack(
            [
                torch.cat([read(side[at : at + 500]) for at in range(0, len(side), 500)])
                for side in held_out.pixels
            ]
        )
    guessed = (seen * units).double().cpu().numpy()
    error = (guessed[0] - guessed[1]) - (held_out.attributes[0] - held_out.attributes[1])
    total = (held_out.attributes[0] - held_out.attributes[1]).var(0)
    return figures | {
        f"r2_{name}": round(float(1 - x), 4)
        for name, x in zip(ATTRIBUTES, (error**2).mean(0) / total, strict=True)
    }
