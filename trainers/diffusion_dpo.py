"""Diffusion-DPO without users: by the population's labels, or by one reward's (`reward: NAME`).

By one reward it is the upper bound of that reward: the same layers, beta and number of pairs as
PPD spends on it, with nothing else to learn.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ppdbench.protocols import Split, Suite
from trainers.examples import Examples, table
from trainers.progress import Events
from trainers.steps import PreferenceStep
from trainers.workshop import open_workshop


def train(
    suite: Suite,
    *,
    output: Path,
    config: Path | None,
    overrides: Sequence[str],
    device: str,
    events: Events,
) -> Path:
    """Train Diffusion-DPO on the suite's pairs; as `ppd.train`, which says the rest."""
    with open_workshop(
        "diffusion-dpo",
        suite,
        output=output,
        config=config,
        overrides=overrides,
        device=device,
        events=events,
    ) as shop:
        if shop.done:
            return output
        reward = shop.config.reward

        def examples(split: Split) -> Examples:
            if reward is None:
                labels = [shop.population_labels(split)]
            else:
                labels = shop.reward_labels(split, [reward], one_hot_users=False)
            return table(labels, margin_quantile=shop.config.data.margin_quantile)

        step = PreferenceStep(shop.config.objective, shop.elements)
        return shop.finish(examples, step, user_vector="null", facts={"beta_eff": step.beta_eff})
