"""Adapters that were never trained and change pictures all the same."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from trainers.adapters.checkpoints import save_adapter
from trainers.adapters.header import AdapterHeader, Embedding, UserVector
from trainers.stable_cascade.adapter_shape import AdapterShape, UnconditionalUser
from trainers.stable_cascade.stage_c import Base
from trainers.stable_cascade.user_attention import attention_blocks
from trainers.training.policy import Policy

REWARDS = ("clip", "aesthetic", "hps")
COLOURS = Embedding(encoder="colours", revision="r1", mean=(1.0,) * 5, std=(0.5,) * 5)


def write_adapter(
    folder: Path,
    base: Base,
    *,
    hears: UserVector = "reward_weights",
    unconditional_user: UnconditionalUser = "null-user",
    seed: int = 0,
    method: str = "ppd",
    facts: Mapping[str, Any] | None = None,
    embedding: Embedding = COLOURS,
) -> None:
    """One with random K' and V', as it were trained for reward weights, people, or nobody."""
    people = hears == "embedding"
    shape = AdapterShape(user_dim=len(embedding.mean) if people else 3, tokens=4, token_dim=8)
    policy = Policy(base, shape, seed=seed)
    draws = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in policy.adapter.tensors().items():
            if "to_v" in name:
                tensor.copy_(torch.randn(tensor.shape, generator=draws))
    header = AdapterHeader(
        method=method,
        base_sha256=base.sha256,
        shape=shape,
        width=max(int(block.to_q.out_features) for block in attention_blocks(base.unet).values()),
        user_vector=hears,
        rewards=REWARDS,
        unconditional_user=unconditional_user,
        facts=({"users": {"digest": "d" * 64}} if people else {}) | dict(facts or {}),
        embedding=embedding if people else None,
    )
    save_adapter(folder, policy.adapter.tensors(), header)
