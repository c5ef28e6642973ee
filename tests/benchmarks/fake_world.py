"""A whole world in one small file: a suite, generators, rewards and a classifier without torch.

Images are 8 x 8 noise drawn from the item's seed; `tuned` moves the channel its user cares for.
As a script it evaluates that world, slowly enough to be killed:
`python fake_world.py RUNS SECONDS_AN_IMAGE [MODEL BENCHMARK]`.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage
from PIL.Image import Image

from ppdbench import plugins
from ppdbench.benchmarks.evaluate import evaluate
from ppdbench.errors import MissingPrerequisite, PpdbenchError
from ppdbench.protocols import (
    Caption,
    Checkpoint,
    GenerationRequest,
    GeneratorInfo,
    LoadContext,
    RewardInfo,
    RewardSpec,
    SamplingSpec,
    SuiteFiles,
)
from ppdbench.rewards.embedding_reward import EmbeddingReward
from ppdbench.rewards.folder import TowerFolder
from ppdbench.rewards.preprocess import Recipe

CHANNELS = {"red": 0, "green": 1}
CAPTIONS = 12

calls: list[str] = []
"""What was loaded or drawn; tests clear it and look."""
sleep = 0.0
revision = "1"
settings: dict[str, Any] = {}
"""What every generator says of itself."""
classifies = True
embeds = False
"""Whether the suite has a gold reward of kind clip, whose embeddings diversity is by."""
reference = "1"
"""What `diverging` says it was made from: revision of a generator."""


def diverge_error(requests: Sequence[GenerationRequest]) -> None:
    """Called with each batch whose divergence is asked for; tests let it raise."""


def generate_error(requests: Sequence[GenerationRequest]) -> None:
    """Called with each batch before it is drawn; tests let it raise."""


class ToySuite:
    name = "toy"
    version = "1"
    digest = "d" * 64
    sampling = SamplingSpec(
        width=8, height=8, steps=1, guidance_scale=1.0, shift=1.0, rescale=0.0, clip_x0=None
    )
    baseline = "plain"
    opponents = ("plain", "other")
    upper_bounds = MappingProxyType({"red": "only-red"})
    paper = ()
    notes = ()

    def captions(self, split: str) -> list[Caption]:
        return [
            Caption(id=f"{split}-{n:03}", text=f"caption {n}", category="any")
            for n in range(CAPTIONS)
        ]

    def rewards(self) -> list[RewardSpec]:
        return [
            RewardSpec(name=name + tail, kind=name, checkpoint=Path(__file__), gold=bool(tail))
            for tail in ("", "-gold")
            for name in CHANNELS
        ] + [RewardSpec(name="clip-gold", kind="clip", checkpoint=Path(__file__), gold=True)][
            : int(embeds)
        ]

    def classifier(self, device: str) -> ToyClassifier | None:
        calls.append(f"classifier on {device}")
        return ToyClassifier() if classifies else None

    people: Any = None
    vlm = ""

    def pairs(self, split: str) -> Path:
        raise AssertionError(f"nothing here trains on {split} pairs")


class ToyClassifier:
    sha256 = "c" * 64

    def check(self, images: Sequence[Image], captions: Sequence[str]) -> list[dict[str, bool]]:
        assert len(images) == len(captions)
        facts = [np.asarray(image).mean() > 100 for image in images]
        return [{"tone": bool(fact), "all": bool(fact)} for fact in facts]


class ToyReward:
    def __init__(self, spec: RewardSpec) -> None:
        self.info = RewardInfo(
            name=spec.name,
            kind=spec.kind,
            checkpoint_sha256="a" * 64,
            preprocess="mean",
            gold=spec.gold,
        )
        self._channel = CHANNELS.get(spec.kind, 2)

    def score(self, images: Sequence[Image], captions: Sequence[str]) -> NDArray[np.float64]:
        assert len(images) == len(captions)
        time.sleep(sleep * len(images) / 8)
        return np.array([np.asarray(image)[..., self._channel].mean() for image in images])


class ToyTower:
    """Embeds an image as the means of its channels; its only object is every reward's tower."""

    def encode_images(self, pixels: Any) -> Any:
        calls.append(f"embeds {len(pixels)}")
        return pixels.mean(dim=(1, 2))


TOWER = ToyTower()


class ToyRecipe:
    identity = "as it is"

    def __call__(self, images: Sequence[Image]) -> Any:
        import torch

        return torch.tensor(np.stack([np.asarray(image, dtype=np.float64) for image in images]))


class TowerReward(EmbeddingReward):
    """`ToyReward` by way of a tower that all rewards share."""

    def __init__(self, spec: RewardSpec) -> None:
        folder, recipe = cast(TowerFolder, None), cast(Recipe, ToyRecipe())
        super().__init__(ToyReward(spec).info, folder, recipe, "cpu")
        self._channel = CHANNELS.get(spec.kind, 2)

    @property
    def tower(self) -> Any:
        return TOWER

    @property
    def view(self) -> str:
        return "toy"

    def score_embeddings(self, embeddings: Any, captions: Sequence[str]) -> Any:
        assert len(embeddings) == len(captions)
        return embeddings[:, self._channel]


class ToyGenerator:
    def __init__(self, name: str, shift: dict[str, float], *, conditioned: bool = False) -> None:
        self.info = GeneratorInfo(
            name=name,
            version="1.0",
            revision=revision,
            licence="MIT",
            conditions_on=frozenset({"reward_weights"} if conditioned else ()),
            settings=settings,
        )
        self._shift = shift

    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[Image]:
        calls.append(f"{self.info.name} draws {len(requests)}")
        generate_error(requests)
        for request in requests:
            time.sleep(sleep)
            rng = np.random.default_rng(request.seed)
            pixels = rng.uniform(60, 140, (request.height, request.width, 3))
            weights = request.user.reward_weights if request.user else None
            for name, channel in CHANNELS.items():
                weight = 1.0 if weights is None else weights[name]
                pixels[..., channel] += self._shift.get(name, 0.0) * weight
                # What a generator does on its own, so that no win rate is 0 or 1 by construction.
                pixels[..., channel] += rng.normal(0, 4) if self._shift else 0
            yield PilImage.fromarray(pixels.clip(0, 255).astype(np.uint8))


class DivergingGenerator(ToyGenerator):
    """Tells three steps an image: each user's own amount, and some of the seed's."""

    def __init__(self, name: str, shift: dict[str, float], at: Checkpoint) -> None:
        super().__init__(name, shift, conditioned=True)
        self.info = replace(self.info, revision=f"{revision} of {name}", checkpoint=at)

    @property
    def reference(self) -> str:
        return reference

    def divergence(self, requests: Sequence[GenerationRequest]) -> list[list[float]]:
        calls.append(f"{self.info.name} diverges {len(requests)}")
        diverge_error(requests)
        found = []
        for request in requests:
            time.sleep(sleep)
            weights = request.user.reward_weights if request.user else None
            far = sum(self._shift[name] * (weights or {}).get(name, 0.0) for name in CHANNELS)
            own = np.random.default_rng(request.seed).uniform(0, 0.1)
            found.append([far / 2 + own, far / 4, far / 4])
        return found


def toy_suite(_: SuiteFiles) -> ToySuite:
    return ToySuite()


def plain(_: LoadContext) -> ToyGenerator:
    return ToyGenerator("plain", {})


def tuned(_: LoadContext) -> ToyGenerator:
    return ToyGenerator("tuned", {"red": 8.0, "green": 8.0}, conditioned=True)


def diverging(_: LoadContext) -> DivergingGenerator:
    """The last checkpoint of a training whose others are `diverging_at`."""
    return diverging_at(LoadContext(suite=ToySuite(), device="cpu", argument="30"))


def diverging_at(context: LoadContext) -> DivergingGenerator:
    """`at:STEP` of 30, or `at:STEP/SEED`: shifts grow with the step."""
    step, _, seed = (context.argument or "30").partition("/")
    name = f"at-{step}" + (f"-seed-{seed}" if seed else "") if step != "30" else "diverging"
    at = Checkpoint(method="push", step=int(step), steps=30, beta=2.0, seed=int(seed or 0))
    return DivergingGenerator(name, {"red": int(step) / 4, "green": int(step) / 5}, at)


def other(_: LoadContext) -> ToyGenerator:
    return ToyGenerator("other", {"red": 2.0, "green": 2.0})


def only_red(_: LoadContext) -> ToyGenerator:
    return ToyGenerator("only-red", {"red": 10.0})


def without_weights(_: LoadContext) -> ToyGenerator:
    raise MissingPrerequisite("no weights", fix="train them")


def load_reward(spec: RewardSpec, device: str) -> ToyReward:
    calls.append(f"{spec.name} on {device}")
    return ToyReward(spec)


def load_tower_reward(spec: RewardSpec, device: str) -> TowerReward:
    calls.append(f"{spec.name} on {device}")
    return TowerReward(spec)


def entry_points(group: str) -> list[EntryPoint]:
    named = {
        "suites": {"toy": "toy_suite"},
        "generators": {
            "plain": "plain",
            "tuned": "tuned",
            "diverging": "diverging",
            "at": "diverging_at",
            "other": "other",
            "only-red": "only_red",
            "without-weights": "without_weights",
        },
        "rewards": {**dict.fromkeys(CHANNELS, "load_reward"), "clip": "load_tower_reward"},
        "encoders": {},
        "judges": {},
        "trainers": {},
    }[group]
    return [
        EntryPoint(name=name, value=f"fake_world:{attribute}", group=f"ppdbench.{group}")
        for name, attribute in named.items()
    ]


class Quiet:
    """Events that are kept, not shown."""

    def __init__(self) -> None:
        self.stages: dict[str, list[int]] = {}
        self.notes: list[str] = []

    def stage(self, name: str, total: int) -> None:
        self._current = self.stages[name] = [0, total]

    def advance(self, n: int) -> None:
        self._current[0] += n

    def note(self, text: str) -> None:
        self.notes.append(text)


if __name__ == "__main__":
    import fake_world  # the plug-ins live there, not in __main__

    plugins.entry_points = entry_points
    signal.signal(signal.SIGINT, signal.default_int_handler)  # shells ignore it for background jobs
    fake_world.sleep = float(sys.argv[2])
    model, benchmark = sys.argv[3:] or ("tuned", "rewards")
    fake_world.embeds = benchmark == "tradeoff"
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    try:
        path = evaluate(
            [model],
            suite="toy",
            benchmarks=(benchmark,),
            runs=Path(sys.argv[1]),
            device="cpu",
            batch_size=5,
            events=Quiet(),
        )
    except PpdbenchError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
    sys.stdout.write(f"{path}\n")
