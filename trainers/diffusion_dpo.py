"""Diffusion-DPO without users: by the population's labels, or by one reward's (`reward: NAME`).

By one reward it is the upper bound of that reward: the same layers, beta and number of pairs as
PPD spends on it, with nothing else to learn.
"""

from __future__ import annotations

from ppdbench.protocols import Split
from trainers.examples import Examples, table
from trainers.training.recipe import Recipe, trainer
from trainers.training.steps import PreferenceStep
from trainers.training.workshop import Workshop


def recipe(shop: Workshop) -> Recipe:
    """The DPO step on every pair once, always under the null user."""
    reward = shop.config.reward

    def examples(split: Split) -> Examples:
        if reward is None:
            labels = [shop.population_labels(split)]
        else:
            labels = shop.reward_labels(split, [reward], one_hot_users=False)
        return table(labels, margin_quantile=shop.config.data.margin_quantile)

    step = PreferenceStep(shop.config.objective, shop.elements)
    return Recipe(
        examples=examples,
        step=step,
        user_vector="null",
        columns={"diffusion-dpo": shop.null_user},
        facts={"beta_eff": step.beta_eff},
    )


train = trainer("diffusion-dpo", recipe)
