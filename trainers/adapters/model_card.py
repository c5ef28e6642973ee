"""The model card of a trained adapter, in the form the model hubs read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from trainers.adapters.card_metadata import front_matter
from trainers.adapters.header import AdapterHeader
from trainers.config import TrainConfig, to_yaml

LAST = 100
"""Steps that the figures at the end are means over."""
WHAT = {
    "ppd": "draws for a user, given as weights over rewards: personalized preference DPO (PPD)",
    "sft": "supervised fine-tuning on the images that the population prefers",
    "diffusion-dpo": "Diffusion-DPO on {labels}, without users",
    "diffusion-kto": "Diffusion-KTO: preferred images are desirable, the others undesirable, by "
    "the population's labels, without users",
}
WHAT_FOR_PEOPLE = {
    "ppd": "draws for a person, given as an embedding of what that person chose: personalized "
    "preference DPO (PPD)",
    "sft": "supervised fine-tuning on the images that each person prefers, for a person given as "
    "an embedding of what that person chose",
    "ppd-learnt": "personalized preference DPO (PPD) with a learnt embedding of each training "
    "person; anybody else is a combination of these",
    "diffusion-kto": "Diffusion-KTO on the images that each person prefers and does not, for a "
    "person given as an embedding of what that person chose",
    "ip-adapter": "IP-Adapter: redraws a picture from its own embedding, and so draws after the "
    "mean embedding of the pictures that a person likes",
}
MEANING = {
    "loss": "loss",
    "implicit_accuracy": "implicit accuracy",
    "win_term": "preferred images: noise error less the base's",
    "lose_term": "other images: noise error less the base's",
    "reference_point": "reference point Q_ref of the utility",
    "divergence": "divergence: mean squared difference from the base's predicted noise",
}


def model_card(
    header: AdapterHeader,
    config: TrainConfig,
    metrics: Sequence[Mapping[str, Any]],
    held_out: Mapping[str, float],
    seconds: float,
    *,
    published: bool = False,
) -> str:
    """README.md of an adapter: what it is, what it learnt from, how it went, how to load it.

    Args:
        header: what the adapter's file says of itself.
        config: what it was trained by.
        metrics: what was logged, a row a step.
        held_out: figures on validation pairs; what is not in it was not measured.
        seconds: time spent on steps.
        published: whether the base is a published Stable Cascade, whose licence binds adapters.
    """
    facts, shape = header.facts, header.shape
    labels = f"the labels of {config.reward}" if config.reward else "the population's labels"
    name = "-".join(filter(None, (config.method, config.reward, config.users.encoder)))
    what = (WHAT_FOR_PEOPLE if header.embedding else WHAT)[config.method].format(labels=labels)
    left_out = "; ".join(
        f"{who}: " + (", ".join(f"{count} {why}" for why, count in reasons.items()) or "none")
        for who, reasons in facts["left_out"].items()
    )
    title = f"{name} on {facts['suite']}"
    tail, minutes = metrics[-LAST:], f"{seconds / 60:.1f}"
    beta = ""
    if "beta_eff" in facts:
        beta = f"\n- beta {config.objective.beta:g}, beta_eff {facts['beta_eff']:g}"
    front = front_matter(header, title, held_out, MEANING, published=published)
    return f"""---
{front}---
# {title}

An adapter for Stable Cascade's Stage C: {what}.
It adds user attention to every attention block; the base itself is not changed.

- base: sha256 `{header.base_sha256}`
- user vector, {shape.user_dim} numbers: {_user(header)}
- {shape.tokens} user tokens of {shape.token_dim}, attention scale {shape.scale:g}
- the empty-caption half of guidance is drawn for: {header.unconditional_user}
- suite {facts["suite"]} {facts["suite_version"]}, pairs sha256 `{facts["pairs_sha256"]}`
- {facts["examples"]} examples; pairs left out: {left_out}
- seed {config.seed}, {facts["steps"]} steps of {config.batch_size}, {minutes} minutes{beta}

## How it went

Means over the last {len(tail)} steps, and over validation pairs after the last. Training leaves
every step in `metrics.jsonl` and the curves in `loss.png`.

| | training | validation |
|---|---|---|
{_figures(tail, held_out)}

{_loading(header)}
## Configuration

```yaml
{to_yaml(config)}```
"""


def _loading(header: AdapterHeader) -> str:
    """The part that says how the adapter is loaded, and how it draws."""
    return f"""## Loading

In this folder:

```python
from pathlib import Path

import torch

from trainers.bases import find_base
from trainers.adapters.checkpoints import load_adapter
from trainers.stable_cascade.load import load_base

base = load_base(find_base("{header.facts["suite"]}"))  # or the folder of the one it was trained on
adapter = load_adapter(Path(), base)  # attached to base, and off
latents, timestep = torch.randn(1, *base.latent_shape), torch.ones(1)
users = torch.zeros(1, {header.shape.user_dim})  # the null user
with adapter.tokens(users), torch.no_grad():
    noise = base.predict_noise(latents, timestep, base.encode_text(["a caption"]))
```

Pictures, the very ones that `ppdbench` measures:

```python
from trainers.pipeline import PersonalizedStableCascade

pipe = PersonalizedStableCascade.from_pretrained(".")
images = pipe("a caption", user={_example(header)}, seed=0)
```
"""


def _user(header: AdapterHeader) -> str:
    """What the user vector is, and whom it was trained for."""
    if header.embedding is not None:
        what = (
            f"an embedding by {header.embedding.encoder} "
            f"(revision `{header.embedding.revision[:12]}`), less `embedding.mean` of the "
            "adapter's header and over its `embedding.std`; zeros are the null user\n"
        )
        users = header.facts.get("users")
        if users is None:
            return f"{what}- trained on embeddings of {header.facts['pictures']} single pictures"
        return (
            f"{what}- trained for {users['count']} people (sha256 of their ids "
            f"`{users['digest']}`), by {users['embeddings']} embeddings of them"
        )
    if header.user_vector == "reward_weights":
        return f"weights of {', '.join(header.rewards)}, in this order; zeros are the null user"
    return "zeros (the null user); nothing else was trained"


def _example(header: AdapterHeader) -> str:
    """Somebody whom the adapter hears, as the pipeline takes them."""
    if header.embedding is not None:
        return '"folder of shots"'
    if header.user_vector == "reward_weights":
        return f'{{"{header.rewards[0]}": 1.0}}'
    return "None"


def _figures(tail: Sequence[Mapping[str, Any]], held_out: Mapping[str, float]) -> str:
    """Rows of the table: what is logged, its mean over the last steps, and on validation pairs."""
    return "\n".join(
        f"| {meaning} | {f'{np.mean(known):.5f}' if known else 'not measured'} | "
        f"{f'{held_out[key]:.5f}' if key in held_out else 'not measured'} |"
        for key, meaning in MEANING.items()
        if (known := [row[key] for row in tail if key in row]) or key in held_out
    )
