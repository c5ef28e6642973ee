"""SFT: the same added layers, trained to draw the images that the population prefers.

With `users.encoder`: those that each person prefers, under an embedding of that person.
"""

from __future__ import annotations

from ppdbench.protocols import Split
from trainers import people
from trainers.examples import Examples, table
from trainers.training.recipe import Recipe, trainer
from trainers.training.steps import SftStep
from trainers.training.workshop import Workshop


def recipe(shop: Workshop) -> Recipe:
    """The denoising loss on the winner of every pair: by the population's labels, or by users'."""
    step = SftStep(shop.config.objective)
    if shop.encoder is not None:
        return people.recipe(shop, shop.encoder, step, {})

    def examples(split: Split) -> Examples:
        return table([shop.population_labels(split)])

    columns = {"sft": shop.null_user}
    return Recipe(examples=examples, step=step, user_vector="null", columns=columns)


train = trainer("sft", recipe)
