"""PPD: Diffusion-DPO that hears whose preference it learns (personalized preference DPO).

Each pair is learnt under one of the synthetic users at a time, a one-hot over the rewards, with
the winner that this user's reward picks; now and then under the null user.
"""

from __future__ import annotations

from ppdbench.protocols import Split
from trainers.examples import Examples, table
from trainers.recipe import Recipe, trainer
from trainers.steps import PreferenceStep
from trainers.workshop import Workshop


def recipe(shop: Workshop) -> Recipe:
    """The DPO step on every pair once for each reward, under that reward's one-hot user."""
    names = [spec.name for spec in shop.rewards]

    def examples(split: Split) -> Examples:
        labels = shop.reward_labels(split, names, one_hot_users=True)
        return table(labels, margin_quantile=shop.config.data.margin_quantile)

    step = PreferenceStep(shop.config.objective, shop.elements)
    return Recipe(
        examples=examples,
        step=step,
        user_vector="reward_weights",
        facts={"beta_eff": step.beta_eff},
    )


train = trainer("ppd", recipe)
