"""A method's recipe, and the public trainer made of it: the way from workshop to finished folder.

`ppd`, `sft`, `diffusion_dpo` and their siblings each say which examples, which step and what a user
is; here is what happens with them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppdbench.protocols import Split, Suite, Trainer
from trainers.adapters.checkpoints import save_adapter
from trainers.adapters.header import AdapterHeader, Embedding, UserVector
from trainers.examples import Examples
from trainers.stable_cascade.adapter_shape import AdapterShape
from trainers.training.job import Job
from trainers.training.loop import fit, measure
from trainers.training.mishaps import mishaps
from trainers.training.opening import open_workshop
from trainers.training.policy import Policy
from trainers.training.results import adapter_header, begin_results, write_results
from trainers.training.sharding import gathered, whole
from trainers.training.steps import StepFunction
from trainers.training.stop import preemptible
from trainers.training.trackers import send_grid, tracking
from trainers.training.validation import chosen_captions, draw_grid
from trainers.training.workshop import Workshop

KEPT = "steps"
"""Folder of the adapters that are kept on the way, one a folder, named by its step."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a method adds to the workshop it is given."""

    examples: Callable[[Split], Examples]
    """The table of a split; the training one is learnt from."""
    step: StepFunction
    """The method's loss."""
    user_vector: UserVector
    """What the adapter's user vector means."""
    columns: Mapping[str, NDArray[np.float32]]
    """Title -> user vector of each column of the validation grid beside the base's."""
    embedding: Embedding | None = None
    """Of what the user vector is made, where it is an embedding."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Further facts for log, header and card."""


def trainer(method: str, recipe: Callable[[Workshop], Recipe]) -> Trainer:
    """The trainer of a method.

    Started again after a kill, it goes on; finished, it returns at once. It raises what
    `workshop.open_workshop`, `loop.fit`, `mishaps.mishaps` and `stop.preemptible` raise.
    """

    def train(suite: Suite, **request: Any) -> Path:
        with preemptible(), mishaps(), open_workshop(method, suite, **request) as shop:
            if not shop.done:
                with tracking(shop.accelerator, shop.config):
                    _run(shop, recipe(shop))
            return shop.output

    return train


def _untrained(shop: Workshop) -> Policy:
    config = shop.config
    shape = AdapterShape(
        user_dim=shop.user_dim,
        tokens=config.adapter.tokens,
        token_dim=config.adapter.token_dim,
        scale=config.adapter.scale,
        user_rank=config.adapter.user_rank,
    )
    return Policy(shop.base, shape, seed=config.seed)


def _run(shop: Workshop, recipe: Recipe) -> None:
    """Train, measure, then write what a run leaves."""
    config, main = shop.config, shop.accelerator.is_main_process
    policy = _untrained(shop)

    def validate(at: int) -> None:
        file = shop.output / "validation" / f"step-{at:06}.png" if main else None
        with gathered(policy):
            grid = draw_grid(file, policy, shop.suite, config, recipe.columns)
        if main and grid is not None:
            send_grid(shop.accelerator, grid, step=at)

    names = tuple(spec.name for spec in shop.rewards)

    def header(**facts: Any) -> AdapterHeader:
        facts = {**recipe.facts, **facts}
        return adapter_header(job, shop.suite, names, recipe.user_vector, recipe.embedding, facts)

    def keep(at: int) -> None:
        tensors = whole(policy.adapter.tensors())
        if main:
            save_adapter(shop.output / KEPT / f"{at:06}", tensors, header(step=at))

    job = Job(
        config=config,
        policy=policy,
        cache=shop.cache("train"),
        examples=recipe.examples("train"),
        step=recipe.step,
        output=shop.output,
        accelerator=shop.accelerator,
        events=shop.events,
        identity=shop.identity,
        validate=validate,
        keep=keep,
        references=shop.references("train") if config.reference_cache else None,
    )
    unseen = None
    if config.validation.pairs:  # made before training: what is missing is said at once
        cache = shop.cache("validation")
        examples = recipe.examples("validation")
        unseen = replace(job, cache=cache, examples=examples, references=None)
    chosen_captions(shop.suite, config)  # the same
    if main:
        begin_results(job)
    if told := [f"{name} {x}" for name, x in recipe.facts.items() if not isinstance(x, Mapping)]:
        shop.events.note(", ".join(told))
    seconds = fit(job)
    held_out = measure(unseen) if unseen else {}
    if job.takes_part:
        write_results(job, shop.suite, header(), shop.command, held_out, seconds)
    shop.accelerator.wait_for_everyone()
    shop.accelerator.state.destroy_process_group()
