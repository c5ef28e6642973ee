"""PPD: Diffusion-DPO that hears whose preference it learns (personalized preference DPO).

Each pair is learnt under one of the synthetic users at a time, a one-hot over the rewards, with
the winner that this user's reward picks; or, with `users.encoder`, under an embedding of the person
who chose in it, with that person's winner. Now and then it is learnt under the null user.
"""

from __future__ import annotations

from ppdbench.protocols import Split
from trainers import people
from trainers.examples import Examples, one_hot, table
from trainers.training.recipe import Recipe, trainer
from trainers.training.steps import PreferenceStep
from trainers.training.workshop import Workshop


def recipe(shop: Workshop) -> Recipe:
    """The DPO step on every pair once for each reward, under that reward's one-hot user.

    With users, on every pair once for the person who chose in it.
    """
    step = PreferenceStep(shop.config.objective, shop.elements)
    facts = {"beta_eff": step.beta_eff}
    if shop.encoder is not None:
        return people.recipe(shop, shop.encoder, step, facts)
    names = [spec.name for spec in shop.rewards]

    def examples(split: Split) -> Examples:
        labels = shop.reward_labels(split, names, one_hot_users=True)
        return table(labels, margin_quantile=shop.config.data.margin_quantile)

    return Recipe(
        examples=examples,
        step=step,
        user_vector="reward_weights",
        columns={name: one_hot(names, name, shop.user_dim) for name in names},
        facts=facts,
    )


train = trainer("ppd", recipe)
