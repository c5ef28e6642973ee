"""The optimizer of a training and its learning rate: AdamW as torch has it, fused, or in 8 bits.

Elsewhere: settings (`config.OptimizerConfig`), the moving average (`moving_average.py`).
"""

from __future__ import annotations

import importlib
import importlib.util
import math
from collections.abc import Iterable

import torch
from torch import nn

from ppdbench.errors import MissingPrerequisite
from trainers.config import OptimizerConfig

FUSED = ("cuda", "xpu", "mps")
"""Where one kernel for all parameters is faster; a CPU has it too, and gains nothing."""


def make_optimizer(
    parameters: Iterable[nn.Parameter], config: OptimizerConfig, device: torch.device
) -> torch.optim.Optimizer:
    """AdamW over the parameters, of the kind that the configuration names.

    Raises:
        MissingPrerequisite: it is the one in 8 bits, and bitsandbytes is not installed.
    """
    if config.kind == "8bit":
        return _in_8_bits(parameters, config)
    return torch.optim.AdamW(
        parameters,
        lr=config.lr,
        betas=config.betas,
        weight_decay=config.weight_decay,
        fused=True if config.kind == "fused" and device.type in FUSED else None,
    )


def check_optimizer(config: OptimizerConfig) -> None:
    """See, before anything is loaded, that the optimizer is there.

    Raises:
        MissingPrerequisite: it is not.
    """
    if config.kind == "8bit" and importlib.util.find_spec("bitsandbytes") is None:
        raise MissingPrerequisite(
            "optimizer.kind=8bit needs bitsandbytes, which is not installed",
            fix='pip install "ppdbench[adam8bit]", or set optimizer.kind=fused',
        )


def learning_rate(step: int, total: int, config: OptimizerConfig) -> float:
    """The rate of a step, counted from 0: linear warm-up, then constant or half a cosine."""
    if step < config.warmup:
        return config.lr * (step + 1) / config.warmup
    if config.schedule == "constant":
        return config.lr
    done = (step - config.warmup) / max(1, total - config.warmup)
    cosine = 0.5 * (1 + math.cos(math.pi * done))
    return config.lr * (config.final_lr + (1 - config.final_lr) * cosine)


def _in_8_bits(
    parameters: Iterable[nn.Parameter], config: OptimizerConfig
) -> torch.optim.Optimizer:
    check_optimizer(config)
    # By name: it is an extra that few have, and it comes without types.
    eight_bits = importlib.import_module("bitsandbytes.optim")
    made: torch.optim.Optimizer = eight_bits.AdamW8bit(
        parameters, lr=config.lr, betas=config.betas, weight_decay=config.weight_decay
    )
    return made
