"""The reference entries as generators: the base alone, and the base with adapters.

Made cheaply: who a generator is comes from manifests and headers; weights are loaded at the first
picture. Elsewhere: what an adapter hears (`adapters/hearing.py`), drawing
(`stable_cascade/pipeline.py`), training (`ppd.py` and its siblings).
"""

from __future__ import annotations

import hashlib
import json
import math
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
    Generator,
    GeneratorInfo,
    LoadContext,
)
from ppdbench.rewards.folder import changed
from ppdbench.runs.device import resolve
from trainers.adapters.found import PEOPLE, find_adapters
from trainers.adapters.hearing import listener, user_vector
from trainers.assets import model_folder
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


def _trained(context: LoadContext, name: str, how: str, *, scale: float | None = None) -> Generator:
    """An entry with the weights that ship, or else those that its own command left.

    Args:
        context: for whom.
        name: of the entry and of its folder.
        how: what trains it, after `ppdbench train-reference`.
        scale: as `CascadeGenerator` has it; it is part of the name then.

    Raises:
        MissingPrerequisite: neither is there.
    """
    from trainers.adapters.checkpoints import ADAPTER_FILE

    suite = context.suite.name
    shipped, own = model_folder(suite, name), Path("trained") / suite / name
    for folder in (shipped, own):
        if (folder / ADAPTER_FILE).is_file():
            called = name if scale is None else f"{name}-scale-{scale:g}"
            return CascadeGenerator(context, called, adapter=folder, scale=scale)
    raise MissingPrerequisite(
        f"{name} does not ship its weights for the suite {suite!r}, and {own} does not hold them",
        fix=f"train it: ppdbench train-reference --suite {suite} {how} --output {own}; "
        "or name the folder of an adapter: --model adapter:DIR",
    )


def _for_reward(context: LoadContext, name: str) -> Generator:
    """Diffusion-DPO for the reward whose upper bound the suite says that this entry is."""
    bounds = context.suite.upper_bounds
    reward = next((reward for reward, entry in bounds.items() if entry == name), "REWARD")
    return _trained(context, name, f"--method diffusion-dpo reward={reward}")


def adapter(context: LoadContext) -> Generator:
    """The adapter of any folder, `adapter:DIR`: a training's, or one that was kept on the way.

    Raises:
        UsageError: no folder is named.
        MissingPrerequisite: there is no adapter in it.
    """
    from trainers.adapters.checkpoints import ADAPTER_FILE

    if not context.argument:
        raise UsageError("adapter names no folder", fix="write it as adapter:DIR")
    folder = Path(context.argument).expanduser()
    if not (folder / ADAPTER_FILE).is_file():
        raise MissingPrerequisite(
            f"no adapter can be read from {folder}: it has no {ADAPTER_FILE}",
            fix="name what ppdbench train-reference wrote: its --output, or a folder in its steps/",
        )
    return CascadeGenerator(context, None, adapter=folder)


def stable_cascade(context: LoadContext) -> Generator:
    """The base alone: what every adapter is compared with."""
    return CascadeGenerator(context, "stable-cascade", adapter=None)


def ppd(context: LoadContext) -> Generator:
    """PPD; hears reward weights, and people by their embeddings."""
    return _trained(context, "ppd", "--method ppd")


def ppd_onehot(context: LoadContext) -> Generator:
    """PPD for training people by their ids: it cannot serve anyone else."""
    return _trained(context, "ppd-onehot", "--method ppd --users onehot")


def ppd_clip_pairs(context: LoadContext) -> Generator:
    """PPD for people by differences of their shots' CLIP embeddings."""
    return _trained(context, "ppd-clip-pairs", "--method ppd --users clip-pairs")


def sft_llava_onevision(context: LoadContext) -> Generator:
    """Supervised fine-tuning on each person's own preferred images, heard by embeddings."""
    return _trained(context, "sft-llava-onevision", "--method sft --users llava-onevision")


def sft(context: LoadContext) -> Generator:
    """Supervised fine-tuning on the population's preferred images."""
    return _trained(context, "sft", "--method sft")


def diffusion_dpo(context: LoadContext) -> Generator:
    """Diffusion-DPO on the population's labels."""
    return _trained(context, "diffusion-dpo", "--method diffusion-dpo")


def diffusion_dpo_clip(context: LoadContext) -> Generator:
    """Diffusion-DPO on the labels of CLIP alone, its upper bound."""
    return _for_reward(context, "diffusion-dpo-clip")


def diffusion_dpo_aesthetic(context: LoadContext) -> Generator:
    """Diffusion-DPO on the labels of the aesthetic reward alone, its upper bound."""
    return _for_reward(context, "diffusion-dpo-aesthetic")


def diffusion_dpo_hps(context: LoadContext) -> Generator:
    """Diffusion-DPO on the labels of HPS alone, its upper bound."""
    return _for_reward(context, "diffusion-dpo-hps")


def diffusion_kto(context: LoadContext) -> Generator:
    """Diffusion-KTO on the population's labels."""
    return _trained(context, "diffusion-kto", "--method diffusion-kto")


def kto_llava_onevision(context: LoadContext) -> Generator:
    """Diffusion-KTO on what each person prefers and does not, heard by embeddings."""
    how = "--method diffusion-kto --users llava-onevision"
    return _trained(context, "kto-llava-onevision", how)


def ip_adapter(context: LoadContext) -> Generator:
    """IP-Adapter on the pictures that a person likes; `ip-adapter:scale=0.5` hears them less.

    Raises:
        UsageError: something else follows its name.
        MissingPrerequisite: its weights are not there.
    """
    scale = None
    if context.argument:
        option, _, value = context.argument.partition("=")
        try:
            scale = float(value)
        except ValueError:
            scale = math.nan
        if option.strip() != "scale" or not 0 <= scale <= 2:
            raise UsageError(
                f"ip-adapter takes a scale from 0 to 2, not {context.argument!r}",
                fix="write it as ip-adapter:scale=0.5, or ip-adapter alone",
            )
    return _trained(context, "ip-adapter", "--method ip-adapter", scale=scale)


def ppd_learnt(context: LoadContext) -> Generator:
    """PPD with a learnt embedding of each training person; others are combinations of these."""
    return _trained(context, "ppd-learnt", "--method ppd-learnt")
