"""PPD: Diffusion-DPO that hears whose preference it learns (personalized preference DPO).

Each pair is learnt under one of the synthetic users at a time, a one-hot over the rewards, with
the winner that this user's reward picks; now and then under the null user.
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
    """Train PPD on the suite's pairs; returns the folder of adapter, card, plot and pictures.

    Started again after a kill, it goes on; finished, it returns at once. Raises what
    `workshop.open_workshop` and `loop.fit` raise.
    """
    with open_workshop(
        "ppd",
        suite,
        output=output,
        config=config,
        overrides=overrides,
        device=device,
        events=events,
    ) as shop:
        if shop.done:
            return output
        names = [spec.name for spec in shop.rewards]

        def examples(split: Split) -> Examples:
            labels = shop.reward_labels(split, names, one_hot_users=True)
            return table(labels, margin_quantile=shop.config.data.margin_quantile)

        step = PreferenceStep(shop.config.objective, shop.elements)
        return shop.finish(
            examples, step, user_vector="reward_weights", facts={"beta_eff": step.beta_eff}
        )
