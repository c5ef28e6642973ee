"""What surrounds a training run, the same for every method: base, pairs, labels, output folder.

Elsewhere: its opening (`opening.py`), what a method adds (`recipe.py`), what a finished run leaves
(`results.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ppdbench.errors import MissingPrerequisite, unknown_name
from ppdbench.protocols import (
    Events,
    RewardSpec,
    Split,
    Suite,
    UserEncoder,
)
from trainers.adapters.checkpoints import load_state
from trainers.config import KTO_METHOD, TrainConfig, as_mapping
from trainers.encoded.embeddings import ShotGroup, embed_groups
from trainers.encoded.latents import LatentCache, encode_pairs, file_sha256
from trainers.encoded.pictures import embed_pictures
from trainers.encoded.relabel import reward_margins, trainable
from trainers.examples import POPULATION, Labels, one_hot
from trainers.stable_cascade.stage_c import Base
from trainers.training.batches import rows_a_forward
from trainers.training.job import TOLERATED
from trainers.training.reference_cache import ReferenceCache, reference_key
from trainers.training.results import has_results

if TYPE_CHECKING:
    from accelerate import Accelerator


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """One run's surroundings."""

    suite: Suite
    config: TrainConfig
    output: Path
    accelerator: Accelerator
    events: Events
    base: Base
    encoder: UserEncoder | None
    """That of `config.users`; None without users."""
    command: str
    """What was asked for; recorded in the manifest."""
    caches: dict[Split, LatentCache] = field(default_factory=dict)

    @cached_property
    def rewards(self) -> list[RewardSpec]:
        """The rewards that may be trained on; their order is that of the user vector."""
        return trainable(self.suite)

    def pairs(self, split: Split) -> Path:
        """The split's pair file, made by one process where it is made on first use."""
        with self.accelerator.main_process_first():
            return self.suite.pairs(split)

    def cache(self, split: Split) -> LatentCache:
        """The split's pairs, encoded."""
        if split not in self.caches:
            config = self.config
            limit = config.data.limit if split == "train" else config.validation.pairs
            self.caches[split] = encode_pairs(
                self.pairs(split),
                self.base,
                cache=self.output.parent / "cache",
                size=(self.base.image_size, self.base.image_size),
                limit=limit,
                events=self.events,
                share=self._share,
                wait=self.accelerator.wait_for_everyone,
            )
        return self.caches[split]

    def references(self, split: Split) -> ReferenceCache:
        """The base's losses on the split's pairs, as far as they are known."""
        cache = self.cache(split)
        opened = ReferenceCache(
            cache.folder,
            reference_key(self.config, self.base, cache),
            len(cache),
            main=self.accelerator.is_main_process,
            events=self.events,
        )
        self.accelerator.wait_for_everyone()  # one of another key is gone before it is read
        return opened

    @property
    def _share(self) -> tuple[int, int]:
        return self.accelerator.process_index, self.accelerator.num_processes

    @property
    def elements(self) -> int:
        """Numbers in one latent."""
        return int(np.prod(self.base.latent_shape))

    @property
    def user_dim(self) -> int:
        """Length of the user vector, which `open_workshop` has seen to."""
        if self.config.adapter.user_dim is None:
            raise ValueError("a workshop's configuration has a user_dim")
        return self.config.adapter.user_dim

    @property
    def null_user(self) -> NDArray[np.float32]:
        """(user_dim,) zeros."""
        return np.zeros(self.user_dim, np.float32)

    def embeddings(
        self, encoder: UserEncoder, groups: Sequence[ShotGroup]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Raw embeddings of groups of training pairs, as `encoded.embeddings.embed_groups`."""
        return embed_groups(
            groups,
            self.pairs("train"),
            self.cache("train"),
            encoder,
            events=self.events,
            main=self.accelerator.is_main_process,
        )

    def picture_embeddings(
        self, split: Split, encoder: UserEncoder
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Raw embeddings of every picture of a split, as `encoded.pictures.embed_pictures`."""
        return embed_pictures(
            self.pairs(split),
            self.cache(split),
            encoder,
            events=self.events,
            main=self.accelerator.is_main_process,
            wait=self.accelerator.wait_for_everyone,
        )

    def population_labels(self, split: Split) -> Labels:
        """The labels that the file has, for the null user."""
        return Labels(POPULATION, self.cache(split).label_margin, self.null_user)

    def reward_labels(
        self, split: Split, names: Sequence[str], *, one_hot_users: bool
    ) -> list[Labels]:
        """The labels of some rewards, each for its own one-hot user or all for the null user.

        Raises:
            UsageError: the suite has no such reward to train on.
        """
        specs = {spec.name: spec for spec in self.rewards}
        for name in names:
            if name not in specs:
                raise unknown_name("reward to train on", name, specs)
        margins = reward_margins(
            [specs[name] for name in names],
            self.pairs(split),
            self.cache(split),
            device=str(self.accelerator.device),
            events=self.events,
            share=self._share,
            wait=self.accelerator.wait_for_everyone,
        )
        return [
            Labels(
                name,
                margins[name],
                one_hot(list(specs), name, self.user_dim) if one_hot_users else self.null_user,
            )
            for name in names
        ]

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What the outcome depends on: configuration, data, base, and with users the encoder."""
        known: dict[str, Any] = {
            "config": as_mapping(self.config),
            "suite": self._suite_digest,
            "pairs": file_sha256(self.pairs("train")),
            "base": self.base.sha256,
        }
        if self.encoder is not None:
            known["encoder"] = self.encoder.info.revision
        processes = self.accelerator.num_processes
        rows = rows_a_forward(self.config, processes)
        if self.config.method == KTO_METHOD:  # its reference point is that of a forward's images
            known["rows_a_forward"] = rows * processes
        elif self.config.objective.dispersion:  # between the users of a process's forward
            known["rows_a_forward"] = rows
        return known

    @property
    def _suite_digest(self) -> str:
        """The suite's, or its people's where captions are not here: training needs none of them.

        Another rule than `benchmarks.job.Job.digest`, which goes by what is measured on; a folder
        that was begun is known by this one.
        """
        people = self.suite.people
        try:
            return self.suite.digest
        except MissingPrerequisite:
            if people is None:
                raise
            return people.digest

    @property
    def done(self) -> bool:
        """Whether the folder already holds this run's adapter, trained to the end."""
        state = load_state(self.output, self.identity, tolerate=TOLERATED)
        if state is None:
            return False
        total = state.get("steps", self.config.steps_over(0))
        return bool(state["step"] >= total) and has_results(self.output)
