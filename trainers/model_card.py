"""The model card of a trained adapter, in the form the model hubs read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from trainers.checkpoints import AdapterHeader
from trainers.config import TrainConfig, to_yaml

LAST = 100
"""Steps that the figures at the end are means over."""
WHAT = {
    "ppd": "draws for a user, given as weights over rewards: personalized preference DPO (PPD)",
    "sft": "supervised fine-tuning on the images that the population prefers",
    "diffusion-dpo": "Diffusion-DPO on {labels}, without users",
}
MEANING = {
    "loss": "loss",
    "implicit_accuracy": "implicit accuracy",
    "win_term": "preferred images: noise error less the base's",
    "lose_term": "other images: noise error less the base's",
    "divergence": "divergence: mean squared difference from the base's predicted noise",
}


def model_card(
    header: AdapterHeader,
    config: TrainConfig,
    metrics: Sequence[Mapping[str, Any]],
    held_out: Mapping[str, float],
    seconds: float,
) -> str:
    """README.md of an adapter: what it is, what it learnt from, how it went, how to load it."""
    facts, shape = header.facts, header.shape
    labels = f"the labels of {config.reward}" if config.reward else "the population's labels"
    name = f"{config.method}{f'-{config.reward}' if config.reward else ''}"
    user = (
        f"weights of {', '.join(header.rewards)}, in this order; zeros are the null user"
        if header.user_vector == "reward_weights"
        else "zeros (the null user); nothing else was trained"
    )
    left_out = "; ".join(
        f"{who}: " + ", ".join(f"{count} {why}" for why, count in reasons.items())
        for who, reasons in facts["left_out"].items()
    )
    tail, minutes = metrics[-LAST:], f"{seconds / 60:.1f}"
    figures = "\n".join(
        f"| {meaning} | {np.mean([row[key] for row in tail]):.5f} | "
        f"{f'{held_out[key]:.5f}' if key in held_out else 'not measured'} |"
        for key, meaning in MEANING.items()
        if tail and key in tail[-1]
    )
    beta = f"\n- beta_eff {facts['beta_eff']:g}" if "beta_eff" in facts else ""
    return f"""---
license: apache-2.0
library_name: ppdbench
tags: [text-to-image, stable-cascade, preference-optimization, {config.method}]
---
# {name} on {facts["suite"]}

An adapter for Stable Cascade's Stage C that {WHAT[config.method].format(labels=labels)}.
It adds user attention to every attention block; the base itself is not changed.

- base: sha256 `{header.base_sha256}`
- user vector, {shape.user_dim} numbers: {user}
- {shape.tokens} user tokens of {shape.token_dim}, attention scale {shape.scale:g}
- the empty-caption half of guidance is drawn for: {header.unconditional_user}
- suite {facts["suite"]} {facts["suite_version"]}, pairs sha256 `{facts["pairs_sha256"]}`
- {facts["examples"]} examples; pairs left out: {left_out}
- seed {config.seed}, {config.total_steps} steps of {config.batch_size}, {minutes} minutes{beta}

## How it went

Means over the last {len(tail)} steps, and over validation pairs after the last. Every step is in
`metrics.jsonl`, the curves in `loss.png`.

| | training | validation |
|---|---|---|
{figures}

## Loading

```python
from trainers.checkpoints import load_adapter

adapter = load_adapter(folder, base)  # attached to base, and off
with adapter.tokens(users):  # (B, {shape.user_dim})
    noise = base.predict_noise(latents, timestep, text)
```

## Configuration

```yaml
{to_yaml(config)}```
"""
