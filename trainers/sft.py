"""SFT: the same added layers, trained to draw the images that the population prefers."""

from __future__ import annotations

from ppdbench.protocols import Split
from trainers.examples import Examples, table
from trainers.recipe import Recipe, trainer
from trainers.steps import SftStep
from trainers.workshop import Workshop


def recipe(shop: Workshop) -> Recipe:
    """The denoising loss on the winner of every pair by the population's labels."""

    def examples(split: Split) -> Examples:
        return table([shop.population_labels(split)])

    return Recipe(examples=examples, step=SftStep(shop.config.objective), user_vector="null")


train = trainer("sft", recipe)
