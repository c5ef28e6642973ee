"""The `pickapic` suite: the paper's setting, with the reward models that the field compares by.

Captions are PartiPrompts, given by path (`eval --captions PartiPrompts.tsv`); reward models are the
published ones, weights found on this machine (`rewards.weights`). The paper says "HPSv2" without a
version: its scores fit v2.1, so v2.1 is the reward and v2.0, which nobody trains on, is reported as
its gold twin. Users are those of a copy of Pick-a-Pic v2, or of any pairs in its schema, given by
path (`--pairs`; `pickapic_pairs`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ppdbench.data.parti_prompts import PUBLISHED_CAPTIONS, SOURCE, PartiPrompts, read_parti_prompts
from ppdbench.data.people import SplitPeople
from ppdbench.errors import MissingPrerequisite
from ppdbench.protocols import (
    Caption,
    PaperRow,
    RewardSpec,
    SamplingSpec,
    Split,
    SuiteFiles,
)
from ppdbench.rewards.catalogue import published
from ppdbench.rewards.folder import CONFIG
from ppdbench.suites.paper import paper_rows
from ppdbench.suites.pickapic_pairs import PickapicPairs

VERSION = "1"


@dataclass(frozen=True)
class PickapicSuite:
    """Implements `ppdbench.protocols.Suite`."""

    files: SuiteFiles
    """What the user supplied."""
    name: str = "pickapic"
    version: str = VERSION
    baseline: str = "stable-cascade"
    opponents: tuple[str, ...] = ("stable-cascade", "diffusion-dpo", "sft")
    paper: tuple[PaperRow, ...] = paper_rows(clip="clip", aesthetic="aesthetic", hps="hpsv2.1")
    sampling: SamplingSpec = SamplingSpec(  # noqa: RUF009 - frozen
        width=1024, height=1024, steps=30, guidance_scale=4.0, shift=2.0, rescale=0.7, clip_x0=None
    )
    """Stable Cascade's own settings with the paper's 30 steps."""

    @property
    def upper_bounds(self) -> Mapping[str, str]:
        """Reward -> the Diffusion-DPO trained for it alone."""
        return {
            "clip": "diffusion-dpo-clip",
            "aesthetic": "diffusion-dpo-aesthetic",
            "hpsv2.1": "diffusion-dpo-hps",
        }

    @property
    def notes(self) -> tuple[str, ...]:
        """Where the captions are not PartiPrompts as published, or users are fewer than usual."""
        found = self.people.notes if self.people is not None else ()
        if self.files.captions is None or self._parti.published:
            return found
        return (
            f"the captions are not PartiPrompts as published: {len(self._parti.captions)} instead "
            f"of {PUBLISHED_CAPTIONS}, sha256 {self._parti.sha256[:12]}",
            *found,
        )

    def captions(self, split: Split) -> Sequence[Caption]:
        """All captions of the file, the test split; for validation, the pairs' held-out ones.

        Raises:
            MissingPrerequisite: no file was named, or no pairs, or the train split is asked for.
            PpdbenchError: a file is unusable.
        """
        if split == "test":
            return self._parti.captions
        if split == "validation" and self.people is not None:
            users = self.people.users("validation-seen")
            return [caption for user in users for caption in user.captions]
        raise MissingPrerequisite(
            f"pickapic has no {split} captions",
            fix="use the test split, PartiPrompts, or with --pairs the validation split",
        )

    def rewards(self) -> Sequence[RewardSpec]:
        """CLIP ViT-H/14, LAION Aesthetic, HPSv2.1, and HPSv2.0 as HPSv2.1's gold twin."""
        known = published()
        return [
            known["clip"],
            known["aesthetic"],
            known["hpsv2.1"],
            replace(known["hpsv2"], gold=True),
        ]

    def classifier(self, device: str) -> None:  # noqa: ARG002 - as the Protocol has it
        """None: nobody knows what a photograph shows for certain."""
        return

    @property
    def vlm(self) -> str:
        """LLaVA-OneVision 7B, as the paper used it, or what the user named."""
        return self.files.vlm or "llava-hf/llava-onevision-qwen2-7b-ov-chat-hf"

    @property
    def people(self) -> SplitPeople | None:
        """The users of the pairs; None where none were given."""
        return self._pairs.people if self._pairs is not None else None

    def pairs(self, split: Split) -> Path:
        """The split's pairs: a selection of the user's, which says where they lie.

        Validation pairs are those held out of the validation-seen users, who gave training pairs,
        too.

        Raises:
            MissingPrerequisite: no pairs were given, or they cannot be split; or the test split,
                whose pairs are its people's.
        """
        if self._pairs is None:
            raise MissingPrerequisite(
                f"the {split} pairs of pickapic are not here",
                fix="name a copy of Pick-a-Pic v2, a Parquet file or a folder: --pairs PATH",
            )
        return self._pairs.pairs(split)

    @cached_property
    def _pairs(self) -> PickapicPairs | None:
        if self.files.pairs is None:
            return None
        return PickapicPairs(self.files.pairs, self.files.events)

    @cached_property
    def _parti(self) -> PartiPrompts:
        if self.files.captions is None:
            raise MissingPrerequisite(
                "the pickapic suite needs its captions",
                fix=f"name the file of {SOURCE}: --captions FILE",
            )
        return read_parti_prompts(self.files.captions)

    @cached_property
    def digest(self) -> str:
        """sha256 over captions, sampling settings and the rewards' definitions.

        The weights that score are in a run's scorers.json by hash.
        """
        rewards = {
            spec.name: [spec.kind, spec.gold, *_definition(spec.checkpoint)]
            for spec in self.rewards()
        }
        facts = [self.version, self._parti.sha256, asdict(self.sampling), rewards]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _definition(folder: Path) -> list[Any]:
    """A reward's config and that of the tower it names; hashes that we learn later move nothing."""
    config = json.loads((folder / CONFIG).read_bytes())
    for name in ("weights", "head"):
        if isinstance(config.get(name), list):
            config[name] = [[file["repo"], file["file"]] for file in config[name]]
    tower = config.get("tower")
    return [config, *(_definition(folder / tower) if tower else [])]


def suite(files: SuiteFiles) -> PickapicSuite:
    """Entry point `ppdbench.suites: pickapic`."""
    return PickapicSuite(files)
