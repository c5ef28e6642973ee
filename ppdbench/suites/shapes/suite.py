"""The `shapes` suite as the harness sees it: names, splits, rewards, defaults, digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from ppdbench.errors import MissingPrerequisite, UsageError
from ppdbench.protocols import (
    Caption,
    CaptionClassifier,
    PaperRow,
    RewardSpec,
    SamplingSpec,
    Split,
    SuiteFiles,
)
from ppdbench.runs.cache_folder import cache_folder
from ppdbench.suites.paper import paper_rows
from ppdbench.suites.shapes.captions import captions
from ppdbench.suites.shapes.evaluated import ShapesPeople

VERSION = "1"
ASSETS = Path(__file__).parent / "assets"
REWARDS = (("clip", "CLIP"), ("aesthetic", "Aesthetic"), ("hps", "HPS"))


@dataclass(frozen=True)
class ShapesSuite:
    """Implements `ppdbench.protocols.Suite`."""

    name: str = "shapes"
    version: str = VERSION
    baseline: str = "stable-cascade"
    opponents: tuple[str, ...] = ("stable-cascade", "diffusion-dpo", "sft")
    paper: tuple[PaperRow, ...] = paper_rows(clip="clip", aesthetic="aesthetic", hps="hps")
    notes: tuple[str, ...] = ()
    sampling: SamplingSpec = SamplingSpec(  # noqa: RUF009 - frozen
        width=64, height=64, steps=14, guidance_scale=2.5, shift=1.0, rescale=0.0, clip_x0=4.0
    )

    @property
    def vlm(self) -> str:
        """The shipped tiny LLaVA-OneVision."""
        return str(ASSETS / "vlm")

    @property
    def vlm_max_shots(self) -> int:
        """The most shots that `vlm` was taught to read (`trainers/shapes/vlm_lessons.py`)."""
        return 8

    @property
    def rewriter(self) -> str:
        """The shipped tiny language model that rewrites captions (`generators.rewritten`)."""
        return str(ASSETS / "rewriter")

    @property
    def upper_bounds(self) -> Mapping[str, str]:
        """Reward -> the Diffusion-DPO trained for it alone."""
        return {name: f"diffusion-dpo-{name}" for name, _ in REWARDS}

    def captions(self, split: Split) -> Sequence[Caption]:
        """The frozen caption list of `validation` or `test`."""
        return captions(split)

    def rewards(self) -> Sequence[RewardSpec]:
        """Three rewards and, of each, a gold twin that nobody trained on."""
        return [
            RewardSpec(
                name=f"{name}-gold" if gold else name,
                kind=name,
                checkpoint=ASSETS / (f"{name}-gold" if gold else name),
                gold=gold,
                title=f"{title} (gold)" if gold else title,
            )
            for gold in (False, True)
            for name, title in REWARDS
        ]

    def classifier(self, device: str) -> CaptionClassifier:
        """The held-out caption classifier."""
        from ppdbench.suites.shapes.classifier import load_classifier

        return load_classifier(ASSETS / "classifier", device)

    def pairs(self, split: Split) -> Path:
        """The split's preference pairs as Parquet, rendered on first use into the user's cache.

        Raises:
            MissingPrerequisite: the cache folder cannot be written; or the test split, which
                has no pairs.
        """
        from ppdbench.suites.shapes.pairs import PAIRS_PER_PERSON, choices, kept

        if split not in PAIRS_PER_PERSON:
            raise MissingPrerequisite(
                f"the {split} split of shapes has no pairs",
                fix=f"use one of {', '.join(PAIRS_PER_PERSON)}",
            )
        made = choices("train", split, PAIRS_PER_PERSON[split])
        return kept(self._cache / f"{split}.parquet", made, megabytes=100)

    @cached_property
    def people(self) -> ShapesPeople:
        """The simulated people who are evaluated."""
        return ShapesPeople(training_pairs=lambda: self.pairs("train"), cache=lambda: self._cache)

    @property
    def _cache(self) -> Path:
        return cache_folder() / "shapes" / f"v{self.version}-{self.world[:12]}"

    @cached_property
    def world(self) -> str:
        """sha256 over the world without its models: constants, captions and people.

        How a scene becomes pixels and pixels become attributes is held by golden tests.
        """
        from ppdbench.suites.shapes import attributes, evaluated, pairs, people, renderer

        facts = {
            "version": self.version,
            "radii": {str(size): radius for size, radius in renderer.RADII.items()},
            "colours": renderer.COLOUR_RGB | renderer.BACKGROUND_RGB,
            "attributes": attributes.ATTRIBUTES,
            "attribute_scale": people.ATTRIBUTE_SCALE.tolist(),
            "sharpness": people.CHOICE_SHARPNESS,
            "ties": pairs.TIE_LOG_ODDS,
            "pairs": pairs.PAIRS_PER_PERSON,
            "evaluated": evaluated.ASSIGNMENT,
            "people": {
                group: [asdict(person) for person in people.people(group)]
                for group in people.GROUP_SIZES
            },
            "captions": [
                asdict(caption)
                for split in ("validation", "test")
                for caption in self.captions(split)
            ],
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    @cached_property
    def digest(self) -> str:
        """sha256 over the world, the sampling settings and the weights that measure.

        Raises:
            MissingPrerequisite: a model's manifest is missing or damaged.
        """
        digest = hashlib.sha256(self.world.encode())
        digest.update(json.dumps(asdict(self.sampling), sort_keys=True).encode())
        for name in [*(spec.name for spec in self.rewards()), "classifier"]:
            manifest = ASSETS / name / "manifest.json"
            if not manifest.is_file():
                raise MissingPrerequisite(
                    f"the shapes suite lacks its model {name!r}", fix="reinstall ppdbench"
                )
            try:
                hashes = json.loads(manifest.read_text())["sha256"]
            except (ValueError, RecursionError, KeyError, TypeError) as error:
                raise MissingPrerequisite(
                    f"{manifest}, of the shapes suite's model {name!r}, is damaged",
                    fix="reinstall ppdbench",
                ) from error
            digest.update(json.dumps(hashes, sort_keys=True).encode())
        return digest.hexdigest()


def suite(files: SuiteFiles) -> ShapesSuite:
    """Entry point `ppdbench.suites: shapes`.

    Raises:
        UsageError: a file is supplied; everything here is built in.
    """
    own = {
        "captions": "captions",
        "pairs": "pairs",
        "vlm": "a vision-language model",
        "base": "a base model",
    }
    for option, what in own.items():
        if getattr(files, option) is not None:
            raise UsageError(f"the shapes suite has {what} of its own", fix=f"leave out --{option}")
    return ShapesSuite()
