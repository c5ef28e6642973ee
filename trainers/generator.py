"""The reference entries as generators: the base alone, and the base with a shipped adapter.

Made cheaply: who a generator is comes from manifests and headers; weights are loaded at the first
picture. Elsewhere: drawing (`stable_cascade/pipeline.py`), training (`ppd.py` and its siblings).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppdbench.errors import MissingPrerequisite, UsageError
from ppdbench.protocols import GenerationRequest, Generator, GeneratorInfo, LoadContext
from trainers.assets import base_folder, model_folder

if TYPE_CHECKING:
    from PIL.Image import Image

    from trainers.checkpoints import AdapterHeader
    from trainers.stable_cascade.stage_c import Base
    from trainers.stable_cascade.user_attention import UserAdapter

VERSION = "1"
BATCH_SIZE = 64


class CascadeGenerator:
    """Stable Cascade, with an adapter or without."""

    info: GeneratorInfo

    def __init__(self, context: LoadContext, name: str, *, adapter: Path | None) -> None:
        """`adapter`: its folder; None is the base alone.

        Raises:
            MissingPrerequisite: the base or the adapter is not there.
        """
        from trainers.stable_cascade.stage_c import base_sha256, read_config

        self._suite, self._device = context.suite, context.device
        self._base_folder = base_folder(context.suite.name)
        self._adapter_folder = adapter
        self._header: AdapterHeader | None = None
        if not self._base_folder.is_dir():
            raise MissingPrerequisite(
                f"no Stable Cascade ships for the suite {context.suite.name!r}",
                fix="use a suite whose weights ship, such as shapes; if this one's should be "
                "there, reinstall ppdbench",
            )
        read_config(self._base_folder)
        try:
            base = base_sha256(self._base_folder)
        except OSError as error:
            raise MissingPrerequisite(
                f"the base model in {self._base_folder} is incomplete",
                fix="reinstall ppdbench, or rebuild the world with `python -m trainers.shapes`",
            ) from error
        settings: dict[str, Any] = {"sampling": asdict(context.suite.sampling)}
        identity: dict[str, Any] = {"base": base} | settings
        if adapter is not None:
            from trainers.checkpoints import ADAPTER_FILE, read_header

            self._header = read_header(adapter)
            file = (adapter / ADAPTER_FILE).read_bytes()
            identity["adapter"] = hashlib.sha256(file).hexdigest()
            identity["unconditional_user"] = self._header.unconditional_user
            settings["unconditional_user"] = self._header.unconditional_user
            settings["training"] = dict(self._header.facts)
        hears = self._header is not None and self._header.user_vector == "reward_weights"
        canonical = json.dumps(identity, sort_keys=True)
        self.info = GeneratorInfo(
            name=name,
            version=VERSION,
            revision=hashlib.sha256(canonical.encode()).hexdigest(),
            licence="Apache-2.0",
            conditions_on=frozenset({"reward_weights"} if hears else ()),
            settings=settings,
        )

    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[Image]:
        """Yield one RGB image a request, in order, each from its own seed.

        Raises:
            UsageError: a user weighs a reward that the adapter does not know, or another size
                than the suite's is asked for.
        """
        for start in range(0, len(requests), BATCH_SIZE):
            yield from self._draw(requests[start : start + BATCH_SIZE])

    def _draw(self, requests: Sequence[GenerationRequest]) -> list[Image]:
        import torch

        from trainers.stable_cascade.pipeline import draw, to_images
        from trainers.stable_cascade.sampler import SamplerConfig
        from trainers.stable_cascade.user_attention import audience

        sampling = self._suite.sampling
        for request in requests:
            if (request.width, request.height) != (sampling.width, sampling.height):
                raise UsageError(
                    f"{self.info.name} draws {sampling.width} x {sampling.height} only, "
                    f"{request.width} x {request.height} was asked for",
                    fix="ask for the suite's own size",
                )
        base, adapter = self._models
        user = None
        if adapter is not None and self._header is not None:
            vectors = [self._vector(request) for request in requests]
            users = torch.tensor(vectors, dtype=torch.float32, device=base.device)
            user = audience(adapter, users, self._header.unconditional_user)
        captions = [request.caption for request in requests]
        seeds = [request.seed for request in requests]
        return to_images(draw(base, captions, seeds, SamplerConfig.of(sampling), user=user))

    def _vector(self, request: GenerationRequest) -> list[float]:
        """The user vector of a request; zeros where there is no user."""
        header = self._header
        assert header is not None  # noqa: S101  (only called with an adapter)
        vector = [0.0] * header.shape.user_dim
        if header.user_vector == "null" or request.user is None:
            return vector
        for reward, weight in (request.user.reward_weights or {}).items():
            if reward in header.rewards:
                vector[header.rewards.index(reward)] = float(weight)
            elif weight:
                raise UsageError(
                    f"{self.info.name} knows no reward called {reward!r}",
                    fix=f"give weights of {', '.join(header.rewards)}",
                )
        return vector

    @cached_property
    def _models(self) -> tuple[Base, UserAdapter | None]:
        import torch

        from trainers.checkpoints import load_adapter
        from trainers.stable_cascade.stage_c import load_base

        device = self._device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        base = load_base(self._base_folder, device)
        folder = self._adapter_folder
        return base, None if folder is None else load_adapter(folder, base)


def _with_adapter(context: LoadContext, name: str) -> Generator:
    return CascadeGenerator(context, name, adapter=model_folder(context.suite.name, name))


def stable_cascade(context: LoadContext) -> Generator:
    """The base alone: what every adapter is compared with."""
    return CascadeGenerator(context, "stable-cascade", adapter=None)


def ppd(context: LoadContext) -> Generator:
    """PPD; hears reward weights."""
    return _with_adapter(context, "ppd")


def sft(context: LoadContext) -> Generator:
    """Supervised fine-tuning on the population's preferred images."""
    return _with_adapter(context, "sft")


def diffusion_dpo(context: LoadContext) -> Generator:
    """Diffusion-DPO on the population's labels."""
    return _with_adapter(context, "diffusion-dpo")


def diffusion_dpo_clip(context: LoadContext) -> Generator:
    """Diffusion-DPO on the labels of CLIP alone, its upper bound."""
    return _with_adapter(context, "diffusion-dpo-clip")


def diffusion_dpo_aesthetic(context: LoadContext) -> Generator:
    """Diffusion-DPO on the labels of the aesthetic reward alone, its upper bound."""
    return _with_adapter(context, "diffusion-dpo-aesthetic")


def diffusion_dpo_hps(context: LoadContext) -> Generator:
    """Diffusion-DPO on the labels of HPS alone, its upper bound."""
    return _with_adapter(context, "diffusion-dpo-hps")
