"""A resumable training stage: the loop state of one small model, saved as it goes.

Batches and noise are functions of (seed, step), so a stage that was killed and started again
walks the same path as one that was left alone. Imported by the world's training stages only;
the adapters have their own loop (`trainers/training/loop.py`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ppdbench.errors import PpdbenchError

SAVE_EVERY_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StageConfig:
    """How one stage is trained; recorded in the manifest of what it makes."""

    seed: int
    steps: int
    batch_size: int
    lr: float
    warmup: int = 100
    decay: float = 1.0
    """Share of the steps after the warm-up over which the learning rate falls; the last ones."""
    weight_decay: float = 0.0
    ema: float = 0.0
    """Decay of the weights' moving average; 0 keeps the last weights."""


def run_stage(
    name: str,
    modules: Mapping[str, nn.Module],
    loss_of: Callable[[int, torch.Generator], Tensor],
    config: StageConfig,
    *,
    state_file: Path,
    report: Callable[[str], None],
    device: str = "cpu",
) -> dict[str, float]:
    """Train `modules` for `config.steps` on `loss_of(step, generator)`; returns seconds and loss.

    With `ema` the modules end holding the averaged weights. The cosine schedule ends at a
    twentieth of the peak learning rate.

    Raises:
        PpdbenchError: the state file is that of other settings.
    """
    parameters = [p for module in modules.values() for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=config.lr, weight_decay=config.weight_decay)
    average = [p.detach().clone() for p in parameters] if config.ema else []
    start, seconds, smooth = 0, 0.0, math.nan
    if state_file.exists():
        state = torch.load(state_file, weights_only=True, map_location=device)
        if state["config"] != asdict(config):
            raise PpdbenchError(
                f"{state_file} holds a training with other settings",
                fix="delete it, or give another --work folder",
            )
        for key, module in modules.items():
            module.load_state_dict(state["modules"][key])
        optimizer.load_state_dict(state["optimizer"])
        average = [tensor.to(device) for tensor in state["average"]]
        start, seconds = int(state["step"]), float(state["seconds"])
        smooth = float(state["loss"])
        report(f"{name}: goes on at step {start}")

    began, saved = time.monotonic() - seconds, time.monotonic()
    for step in range(start, config.steps):
        for group in optimizer.param_groups:
            group["lr"] = config.lr * _learning_rate_factor(step, config)
        generator = torch.Generator().manual_seed(config.seed * 1_000_003 + step)
        loss = loss_of(step, generator)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no type for it
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        if config.ema:
            decay = min(config.ema, (1 + step) / (10 + step))
            torch._foreach_lerp_(average, [p.detach() for p in parameters], 1 - decay)
        value = float(loss.detach())
        smooth = value if math.isnan(smooth) else 0.98 * smooth + 0.02 * value
        now = time.monotonic()
        if (step + 1) % 100 == 0:
            report(f"{name}: step {step + 1}/{config.steps} loss {smooth:.4f} {now - began:.0f} s")
        if now - saved > SAVE_EVERY_SECONDS or step + 1 == config.steps:
            _save(state_file, config, modules, optimizer, average, step + 1, now - began, smooth)
            saved = now
    if config.ema:
        with torch.no_grad():
            for parameter, mean in zip(parameters, average, strict=True):
                parameter.copy_(mean)
    return {"seconds": round(time.monotonic() - began, 1), "loss": round(smooth, 5)}


def _learning_rate_factor(step: int, config: StageConfig) -> float:
    if step < config.warmup:
        return (step + 1) / config.warmup
    falling = max(1.0, config.decay * (config.steps - config.warmup))
    done = max(0.0, 1 - (config.steps - step) / falling)
    return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * done))


def _save(
    path: Path,
    config: StageConfig,
    modules: Mapping[str, nn.Module],
    optimizer: torch.optim.Optimizer,
    average: list[Tensor],
    step: int,
    seconds: float,
    loss: float,
) -> None:
    state: dict[str, Any] = {
        "config": asdict(config),
        "modules": {key: module.state_dict() for key, module in modules.items()},
        "optimizer": optimizer.state_dict(),
        "average": average,
        "step": step,
        "seconds": seconds,
        "loss": loss,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)
