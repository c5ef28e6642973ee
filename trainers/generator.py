"""Stable Cascade as a generator: the base alone, and the base with adapters.

Made cheaply: who a generator is comes from manifests and headers; weights are loaded at the first
picture. Elsewhere: the entries by their names (`entries.py`), what an adapter hears
(`adapters/hearing.py`), drawing (`stable_cascade/pipeline.py`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from weakref import WeakValueDictionary

import numpy as np

from ppdbench.errors import MissingPrerequisite, UsageError
from ppdbench.protocols import (
    GenerationRequest,
    GeneratorInfo,
    LoadContext,
)
from ppdbench.rewards.folder import changed
from ppdbench.runs.device import resolve
from trainers.adapters.found import PEOPLE, find_adapters
from trainers.adapters.hearing import listener, user_vector
from trainers.bases import DECODER, base_identity, base_of

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

    from trainers.stable_cascade.pipeline import Audience
    from trainers.stable_cascade.sampler import SamplerConfig
    from trainers.stable_cascade.stage_c import Base
    from trainers.stable_cascade.user_attention import UserAdapter

Made = TypeVar("Made")
VERSION = "1"
BATCH_SIZE = 64
LARGE_BATCH = 8
"""Pictures that are drawn together of a published base."""
LICENCE, PUBLISHED_LICENCE = "Apache-2.0", "stable-cascade-nc-community"
"""Of our own weights; and of what is derived from Stability AI's."""
_BASES: WeakValueDictionary[tuple[str, str], Base] = WeakValueDictionary()
"""Bases in use, by their identity and device; one that nobody draws with any more is let go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batch:
    """Pictures that one adapter draws together, or the base."""

    base: Base
    captions: list[str]
    seeds: list[int]
    config: SamplerConfig
    user: Audience | None


class CascadeGenerator:
    """Stable Cascade: alone, with an adapter, or with one for reward weights and one for people."""

    info: GeneratorInfo

    def __init__(
        self,
        context: LoadContext,
        name: str | None,
        *,
        adapter: Path | None,
        base: Path | None = None,
        dtype: torch.dtype | None = None,
        scale: float | None = None,
    ) -> None:
        """Read who it is.

        Args:
            context: for whom.
            name: what records call it; None goes by what the adapter says of itself.
            adapter: its folder, with that of a second one, for people, in it; None is the base.
            base: the base's folder; None is the suite's (`bases.base_of`).
            dtype: as `load.load_base` has it.
            scale: weight of the added attention, in place of the one that was trained with.

        Raises:
            MissingPrerequisite: the base or the adapter is not there, the adapter is of another
                base, or both adapters hear the same.
        """
        self._suite, self._device = context.suite, context.device
        self._base_folder = base or base_of(context.suite)
        self._dtype, self._scale = dtype, scale
        identity = base_identity(self._base_folder, context.suite.name, dtype)
        self._batch_size = LARGE_BATCH if DECODER in identity else BATCH_SIZE
        self._base_known_as = _digest(identity)
        settings: dict[str, Any] = {"sampling": asdict(context.suite.sampling)}
        identity |= settings
        self._reference = _digest(identity)
        self._adapters = [] if adapter is None else find_adapters(adapter, identity["base"])
        for own in self._adapters[:1]:
            identity |= own.identity
            settings |= own.settings
        if scale is not None:
            identity["scale"] = settings["scale"] = scale
        for people in self._adapters[1:]:
            identity[PEOPLE] = people.identity
            settings[PEOPLE] = people.settings
        heard: dict[str, Literal["reward_weights", "embeddings"]] = {
            "reward_weights": "reward_weights",
            "embedding": "embeddings",
        }
        kinds = [each.header.user_vector for each in self._adapters]
        known = next((e.header for e in self._adapters if e.header.embedding), None)
        first = self._adapters[0] if self._adapters else None
        self.info = GeneratorInfo(
            name=name or (first.name if first else "stable-cascade"),
            version=VERSION,
            revision=_digest(identity),
            licence=PUBLISHED_LICENCE if DECODER in identity else LICENCE,
            conditions_on=frozenset(heard[kind] for kind in kinds if kind in heard),
            training_users_digest=known.facts.get("users", {}).get("digest") if known else None,
            encoder=known.embedding.encoder if known and known.embedding else None,
            encoder_revision=known.embedding.revision if known and known.embedding else None,
            settings=settings,
            checkpoint=first.checkpoint if first else None,
        )

    @property
    def reference(self) -> str:
        """Revision of the base alone: what every adapter leaves when it is taken off."""
        return self._reference

    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[Image]:
        """Yield one RGB image a request, in order, each from its own seed.

        Who is drawn by which adapter, and the null user: `adapters.hearing.listener`.

        Raises:
            UsageError: a user has what the adapter does not know
                (`adapters.hearing.user_vector`), or another size than the suite's is asked for.
            MissingPrerequisite: weights are missing, or the base draws another size.
            PpdbenchError: a file of the base or the adapter is not the one that `info` is about.
        """
        return self.draw(requests, None)

    def draw(
        self, requests: Sequence[GenerationRequest], config: SamplerConfig | None
    ) -> Iterator[Image]:
        """The same by other sampling settings than the suite's; None is the suite's."""
        self._check_sizes(requests)
        for start in range(0, len(requests), self._batch_size):
            yield from self._together(
                requests[start : start + self._batch_size],
                lambda batch: self._draw(replace(batch, config=config or batch.config)),
            )

    def divergence(self, requests: Sequence[GenerationRequest]) -> list[list[float]]:
        """Nats of each step of each request's path; how: `stable_cascade/divergence.py`.

        Raises:
            UsageError: as `generate`.
        """
        self._check_sizes(requests)
        if not self._adapters:  # the reference itself, whose weights need not be loaded for that
            return [[0.0] * self._suite.sampling.steps for _ in requests]
        return [
            nats
            for start in range(0, len(requests), self._batch_size)
            for nats in self._together(requests[start : start + self._batch_size], self._diverge)
        ]

    def _check_sizes(self, requests: Sequence[GenerationRequest]) -> None:
        sampling = self._suite.sampling
        for request in requests:
            if (request.width, request.height) != (sampling.width, sampling.height):
                raise UsageError(
                    f"{self.info.name} draws {sampling.width} x {sampling.height} only, "
                    f"{request.width} x {request.height} was asked for",
                    fix="ask for the suite's own size",
                )

    def _together(
        self, requests: Sequence[GenerationRequest], make: Callable[[_Batch], Sequence[Made]]
    ) -> list[Made]:
        """What is made of each request of a batch: of those of one adapter together."""
        headers = [adapter.header for adapter in self._adapters]
        by_adapter: dict[int, list[int]] = {}
        for place, request in enumerate(requests):
            number = listener(headers, request.user)
            by_adapter.setdefault(number, []).append(place)
        made: dict[int, Made] = {}
        for number, places in by_adapter.items():
            batch = self._batch(number, [requests[place] for place in places])
            made |= zip(places, make(batch), strict=True)
        return [made[place] for place in range(len(requests))]

    def _batch(self, number: int, requests: Sequence[GenerationRequest]) -> _Batch:
        """Requests that are all heard by one adapter, or by none: the base."""
        import torch

        from trainers.stable_cascade.sampler import SamplerConfig
        from trainers.stable_cascade.user_attention import audience

        base, adapters = self._models
        user = None
        if adapters:
            header, adapter = self._adapters[number].header, adapters[number]
            vectors = [user_vector(header, each.user, self.info.name) for each in requests]
            users = torch.from_numpy(np.stack(vectors)).to(base.device)
            adapter.attach(base.unet)  # the base hears one adapter at a time
            user = audience(adapter, users, header.unconditional_user)
        return _Batch(
            base=base,
            captions=[request.caption for request in requests],
            seeds=[request.seed for request in requests],
            config=SamplerConfig.of(self._suite.sampling),
            user=user,
        )

    def _draw(self, batch: _Batch) -> list[Image]:
        from trainers.stable_cascade.pipeline import draw, to_images

        drawn = draw(batch.base, batch.captions, batch.seeds, batch.config, user=batch.user)
        sampling = self._suite.sampling
        height, width = drawn.shape[-2:]
        if (width, height) != (sampling.width, sampling.height):
            raise MissingPrerequisite(
                f"{self._base_folder} draws {width} x {height}, and pictures of the suite "
                f"{self._suite.name!r} are {sampling.width} x {sampling.height}",
                fix="name a base that draws this size with --base (docs/model.md)",
            )
        return to_images(drawn)

    def _diverge(self, batch: _Batch) -> list[list[float]]:
        from trainers.stable_cascade.divergence import divergence

        nats = divergence(batch.base, batch.captions, batch.seeds, batch.config, user=batch.user)
        found: list[list[float]] = nats.tolist()
        return found

    @cached_property
    def _models(self) -> tuple[Base, list[UserAdapter]]:
        from trainers.adapters.checkpoints import load_adapter

        base = self._base()
        adapters = [load_adapter(adapter.folder, base) for adapter in self._adapters]
        for found in self._adapters:
            found.require_unchanged()
        if self._scale is not None:
            for adapter in adapters:
                adapter.shape = replace(adapter.shape, scale=self._scale)  # heard when attached
        return base, adapters

    def _base(self) -> Base:
        """The base, which generators of one process share: it is large, and adapters come off."""
        from trainers.stable_cascade.load import load_base

        key = (self._base_known_as, resolve(self._device))
        if (base := _BASES.get(key)) is None:
            base = load_base(self._base_folder, key[1], dtype=self._dtype, decoder=True)
            # Looked at again: who draws was told before the weights were read.
            now = base_identity(self._base_folder, self._suite.name, self._dtype)
            if (base.sha256, _digest(now)) != (now["base"], self._base_known_as):
                raise changed(self._base_folder)
            _BASES[key] = base
        return base


def _digest(identity: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
