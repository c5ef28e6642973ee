"""A trained adapter as a pipeline: captions and a user in, pictures out.

    pipe = PersonalizedStableCascade.from_pretrained("trained/pickapic/ppd", base="models")
    images = pipe("a lighthouse at dusk", user=shots, seed=7)

It draws by `CascadeGenerator`, the very pictures that the benchmarks measure. Elsewhere: that
generator (`generator.py`), one noise predictor at a time (`stable_cascade/pipeline.py`), the
command line's pictures (`ppdbench generate`).
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ppdbench.errors import MissingPrerequisite, UsageError, one_line, unknown_name
from ppdbench.protocols import (
    GenerationRequest,
    GeneratorInfo,
    LoadContext,
    Shot,
    Suite,
    SuiteFiles,
    UserContext,
    UserEncoder,
)
from ppdbench.runs.atomic import write_atomic
from ppdbench.users.load import check_revision, make_encoder
from ppdbench.users.shots_folder import read_shots
from trainers.adapters.card_results import with_run
from trainers.adapters.found import PEOPLE
from trainers.adapters.header import ADAPTER_FILE, read_header
from trainers.generator import CascadeGenerator
from trainers.stable_cascade.published import from_hub
from trainers.stable_cascade.sampler import SamplerConfig

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray
    from PIL.Image import Image

CARD_FILE = "README.md"
MOST_SEED = 2**63


class PersonalizedStableCascade:
    """Stable Cascade with an adapter, for whoever is to be drawn for."""

    sampling: SamplerConfig
    """What a call that says nothing else draws by; the suite's, and yours to set."""

    def __init__(self, generator: CascadeGenerator, context: LoadContext, folder: Path) -> None:
        """Draw by a generator that has the adapter of a folder; `from_pretrained` makes it."""
        self._generator, self._context, self._folder = generator, context, folder
        self._encoder: UserEncoder | None = None
        self.sampling = SamplerConfig.of(context.suite.sampling)

    @property
    def info(self) -> GeneratorInfo:
        """Who draws, as records have it: revision, what it hears, its encoder."""
        return self._generator.info

    @classmethod
    def from_pretrained(
        cls,
        folder: str | Path,
        *,
        base: str | Path | None = None,
        device: str = "auto",
        dtype: torch.dtype | None = None,
        suite: Suite | None = None,
    ) -> PersonalizedStableCascade:
        """Read an adapter's header; weights are loaded with the first picture.

        Args:
            folder: that holds adapter.safetensors, or the name of such a repository on the hub,
                which is looked for in the hub's cache. One for people in its `people/` is taken
                too, as `--model ppd` does.
            base: folder or hub name of the base; None is that of the suite.
            device: "auto", "cpu", "cuda", "cuda:1", "mps".
            dtype: of the base's large parts; None is bfloat16 for a published base.
            suite: whose sampling settings and user encoder; None is the one it was trained on.

        Raises:
            MissingPrerequisite: there is no adapter, or no base, or no such suite.
        """
        place = Path(folder).expanduser()
        if not place.is_dir():
            place = from_hub(place) or place
        if not place.is_dir():
            raise MissingPrerequisite(
                f"there is no adapter at {folder}: no such folder, and not in the hub's cache",
                fix="mend the path, or download the repository: hf download OWNER/NAME",
            )
        header = read_header(place)
        context = LoadContext(suite=suite or _suite(header.facts.get("suite")), device=device)
        own = None if base is None else Path(base).expanduser()
        generator = CascadeGenerator(context, None, adapter=place, base=own, dtype=dtype)
        return cls(generator, context, place)

    def save_pretrained(self, folder: str | Path, *, run: str | Path | None = None) -> None:
        """Write the adapter and its model card, for `from_pretrained` or an upload.

        The base is not written: it is not changed, and the adapter's file names it by its hash.

        Args:
            folder: made where needed; its adapter, if it has one, is never overwritten.
            run: folder of a run of `ppdbench eval`, whose win rates the card's metadata is to
                have; beside them stays what the training measured.

        Raises:
            UsageError: there is an adapter already, or the run did not measure this one.
            MissingPrerequisite: the run's figures cannot be read, or there is no card to hold them.
        """
        place = Path(folder).expanduser()
        card = None if run is None else self._card(Path(run).expanduser())
        for part in (Path(), Path(PEOPLE)):
            if (place / part / ADAPTER_FILE).exists():
                raise UsageError(
                    f"{place / part} holds an adapter already", fix="name another folder"
                )
        for part in (Path(), Path(PEOPLE)):
            for name in (CARD_FILE, ADAPTER_FILE):
                file = self._folder / part / name
                if file.is_file():
                    write_atomic(place / part / name, file.read_bytes())
        if card is not None:
            write_atomic(place / CARD_FILE, card)

    def _card(self, run: Path) -> str:
        """The adapter's card with a run's figures; raises as `save_pretrained`."""
        file = self._folder / CARD_FILE
        if not file.is_file():
            raise MissingPrerequisite(
                f"{file} is missing: a training writes it beside the adapter",
                fix="leave out run=, or put the card back",
            )
        return with_run(file.read_text(encoding="utf-8"), run, self._generator.info.revision)

    def __call__(
        self,
        prompt: str | Sequence[str],
        *,
        user: Any = None,
        guidance_scale: float | None = None,
        num_inference_steps: int | None = None,
        seed: int = 0,
        num_images_per_prompt: int = 1,
    ) -> list[Image]:
        """Draw.

        Args:
            prompt: one caption, or several.
            user: whom for: shots (`protocols.Shot`) or a folder of them (`users.shots_folder`), an
                embedding (dim,) by the encoder that the adapter was trained with, as the encoder
                gives it, weights of rewards by name, a `UserContext`; None is nobody, the null
                user.
            guidance_scale: None is `sampling`'s, and so with the next.
            num_inference_steps: of Stage C.
            seed: of each caption's first picture; its next ones count up.
            num_images_per_prompt: pictures a caption.

        Returns:
            RGB images, those of the first caption first.

        Raises:
            UsageError: the user is none that the adapter hears, or a number is out of range.
            MissingPrerequisite: weights are missing, or do not fit one another.
        """
        captions = [prompt] if isinstance(prompt, str) else list(prompt)
        config = self._config(guidance_scale, num_inference_steps, num_images_per_prompt)
        first = _whole("seed", seed)
        size = self._context.suite.sampling
        whom = self._user(user)
        requests = [
            GenerationRequest(
                id=f"{number}/{sample}",
                caption=caption,
                user=whom,
                seed=(first + sample) % MOST_SEED,
                width=size.width,
                height=size.height,
            )
            for number, caption in enumerate(captions)
            for sample in range(num_images_per_prompt)
        ]
        return list(self._generator.draw(requests, config))

    def _config(self, guidance: float | None, steps: int | None, samples: int) -> SamplerConfig:
        config = self.sampling
        if guidance is not None:
            if not math.isfinite(guidance):
                raise UsageError(f"guidance_scale is {guidance}", fix="give a finite number")
            config = replace(config, guidance_scale=float(guidance))
        if steps is not None:
            config = replace(config, steps=steps)
        _whole("num_inference_steps", config.steps, least=1)
        _whole("num_images_per_prompt", samples, least=1)
        return config

    def _user(self, user: Any) -> UserContext | None:
        """What the generator is told of a user, however the caller showed them."""
        if user is None or isinstance(user, UserContext):
            return self._embedded(user) if user is not None and _is_shown(user) else user
        if isinstance(user, str | Path):
            return self._embedded(read_shots(Path(user)))
        if isinstance(user, Mapping):
            return UserContext(id="user", reward_weights=self._weights(user))
        if isinstance(user, Sequence) and user and all(isinstance(each, Shot) for each in user):
            return self._embedded(UserContext(id="user", shots=tuple(user)))
        return UserContext(id="user", embeddings={self._encoder_name(): _vector(user)})

    def _weights(self, user: Mapping[Any, Any]) -> dict[str, float]:
        info = self._generator.info
        if "reward_weights" not in info.conditions_on:
            raise UsageError(
                f"{info.name} hears no weights of rewards",
                fix="give shots or an embedding where it hears people, or user=None",
            )
        try:
            return {str(name): float(weight) for name, weight in user.items()}
        except (TypeError, ValueError) as error:
            raise UsageError(
                f"a weight of a reward is no number: {one_line(error)}",
                fix='write them as {"clip": 1.0}',
            ) from error

    def _embedded(self, user: UserContext) -> UserContext:
        """A user by shots, with the embedding that the adapter hears.

        Raises:
            UsageError: the encoder cannot serve them.
            MissingPrerequisite: the encoder is another than the adapter was trained with.
        """
        name = self._encoder_name()
        if self._encoder is None:
            self._encoder = make_encoder(name, self._context)
            check_revision(self._generator.info, self._encoder)
        (code,) = self._encoder.encode([user])
        if code is None:
            raise UsageError(
                f"{name} cannot tell an embedding of these shots", fix="show others, or more"
            )
        return replace(user, embeddings={name: code.embedding}, profile=code.profile)

    def _encoder_name(self) -> str:
        name = self._generator.info.encoder
        if name is None:
            hears = ", ".join(sorted(self._generator.info.conditions_on)) or "nobody"
            raise UsageError(
                f"{self._generator.info.name} hears no embeddings of people but {hears}",
                fix="give user=None, or weights of rewards by name where it hears those",
            )
        return name


def _whole(name: str, value: Any, *, least: int | None = None) -> int:
    """A number as an int.

    Raises:
        UsageError: it is no whole number, or too small.
    """
    try:
        whole = operator.index(value)
    except TypeError:
        whole = None
    if whole is None or (least is not None and whole < least):
        above = "" if least is None else f" from {least}"
        raise UsageError(f"{name} is {value!r}", fix=f"give a whole number{above}")
    return whole


def _is_shown(user: UserContext) -> bool:
    """Whether only shots tell who a user is."""
    return bool(user.shots) and not user.embeddings and not user.reward_weights


def _vector(user: Any) -> NDArray[np.float32]:
    """An embedding as float32 numbers, from a tensor, an array or a list.

    Raises:
        UsageError: it is none.
    """
    try:
        if hasattr(user, "detach"):
            user = user.detach().float().cpu().numpy()
        return np.asarray(user, np.float32)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"a user cannot be {type(user).__name__}",
            fix="give shots, a folder of shots, an embedding, weights by reward, or None",
        ) from error


def _suite(name: str | None) -> Suite:
    """The suite that an adapter was trained on.

    Raises:
        MissingPrerequisite: the header names none.
        UsageError: it is not installed.
    """
    if name is None:
        raise MissingPrerequisite(
            f"{ADAPTER_FILE} does not say what it was trained on",
            fix="give suite=, which says how pictures are sampled",
        )
    found = {each.name: each for each in entry_points(group="ppdbench.suites")}
    if name not in found:
        raise unknown_name("suite", name, found)
    return cast(Suite, found[name].load()(SuiteFiles()))
