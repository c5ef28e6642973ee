"""SFT: the same added layers, trained to draw the images that the population prefers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ppdbench.protocols import Split, Suite
from trainers.examples import Examples, table
from trainers.progress import Events
from trainers.steps import SftStep
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
    """Fine-tune on the suite's preferred images; as `ppd.train`, which says the rest."""
    with open_workshop(
        "sft",
        suite,
        output=output,
        config=config,
        overrides=overrides,
        device=device,
        events=events,
    ) as shop:
        if shop.done:
            return output

        def examples(split: Split) -> Examples:
            return table([shop.population_labels(split)])

        return shop.finish(examples, SftStep(shop.config.objective), user_vector="null", facts={})
