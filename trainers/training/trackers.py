"""TensorBoard and Weights & Biases beside metrics.jsonl, by accelerate's trackers.

Elsewhere: metrics are sent by the loop; the setting is `config.tracker`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from ppdbench.errors import MissingPrerequisite, one_line
from ppdbench.runs.fingerprint import flat
from trainers.config import TrainConfig, as_mapping

if TYPE_CHECKING:
    from accelerate import Accelerator
    from PIL.Image import Image

NAME = "ppdbench"
GRID = "validation"


def check_tracker(name: str | None) -> None:
    """See, before anything is loaded, that a tracker can be used.

    Raises:
        MissingPrerequisite: it is not installed; accelerate would go on without it.
    """
    from accelerate.utils import is_tensorboard_available, is_wandb_available

    there = {"tensorboard": is_tensorboard_available, "wandb": is_wandb_available}
    if name is not None and not there[name]():
        raise MissingPrerequisite(
            f"tracker={name} needs {name}, which is not installed",
            fix=f"pip install {name}, or set tracker=null: metrics.jsonl is always written",
        )


@contextmanager
def tracking(accelerator: Accelerator, config: TrainConfig) -> Iterator[None]:
    """Within: metrics reach the configured tracker; what it was told is not lost at a stop.

    Raises:
        MissingPrerequisite: the tracker cannot be used, as one that nobody logged in to.
    """
    if config.tracker:
        settings = {key: str(value) for key, value in flat(as_mapping(config))}
        try:
            accelerator.init_trackers(NAME, config=settings)
        except Exception as error:  # whatever a tracker stumbles over
            raise MissingPrerequisite(
                f"tracker={config.tracker} cannot be used: {one_line(error)}",
                fix="mend that, or set tracker=null: metrics.jsonl is always written",
            ) from error
    try:
        yield
    finally:
        for tracker in accelerator.trackers:
            tracker.finish()
        accelerator.trackers.clear()


def send_grid(accelerator: Accelerator, grid: Image, *, step: int) -> None:
    """Show the validation pictures in the tracker, too; main process only."""
    for tracker in accelerator.trackers:
        options: dict[str, Any] = {}
        if tracker.name == "tensorboard":
            options["dataformats"] = "NHWC"
        tracker.log_images({GRID: np.asarray(grid)[None]}, step=step, **options)
