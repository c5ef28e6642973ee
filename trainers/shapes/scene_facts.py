"""Telling a scene's facts, one head a fact: what classifier, compressor and text encoder learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ppdbench.suites.shapes.classifier import HEADS, NOT_SAID, targets
from ppdbench.suites.shapes.scenes import Scene


def fact_targets(scenes: Sequence[Scene]) -> dict[str, Tensor]:
    """Head -> (N,) class of each scene, NOT_SAID where its caption leaves it open."""
    facts = [targets(scene) for scene in scenes]
    return {name: torch.tensor([row[name] for row in facts]) for name in HEADS}


def fact_loss(logits: Mapping[str, Tensor], wanted: Mapping[str, Tensor], rows: Tensor) -> Tensor:
    """Sum over the heads of the cross-entropy on some rows of `wanted`, over what is said."""
    losses = [
        F.cross_entropy(logits[name], wanted[name][rows].to(logits[name].device),
                        ignore_index=NOT_SAID)
        for name in HEADS
    ]  # fmt: skip
    return torch.stack(losses).sum()
