"""Aesthetic score: linear layers without activations on CLIP's normalised image embedding.

The paper's is LAION's `sac+logos+ava1-l14-linearMSE.pth` on OpenAI's ViT-L-14 (open_clip's
ViT-L-14-quickgelu; plain ViT-L-14 has another activation and other scores). `shapes` has the same
class at another width. config.json: `{"tower": "../clip", "head": "head.safetensors"}`, the tower
being a reward folder; without "tower" the folder is its own. A head that is folded into its one
linear layer beforehand is read as well, and scores the same up to float noise.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ppdbench.errors import PpdbenchError, UsageError, all_at_once
from ppdbench.protocols import RewardInfo, RewardSpec
from ppdbench.rewards.checkpoint import read_weights
from ppdbench.rewards.clip import clip_recipe
from ppdbench.rewards.embedding_reward import EmbeddingReward, info_of
from ppdbench.rewards.file_hash import file_sha256
from ppdbench.rewards.folder import (
    CONFIG,
    TowerFolder,
    changed,
    checked_sha256,
    locate,
    read_config,
    read_tower_folder,
    require_files,
)
from ppdbench.rewards.open_clip_tower import full_precision
from ppdbench.rewards.preprocess import Recipe
from ppdbench.rewards.weights import Found

if TYPE_CHECKING:
    from torch import Tensor

HEAD = "head.safetensors"

Layer = tuple["Tensor", "Tensor"]
"""Weight (out, in) and bias (out,), fp32."""


class AestheticReward(EmbeddingReward):
    """Scores in the ratings' own unit; the caption plays no part."""

    needs_caption: ClassVar[bool] = False

    def __init__(
        self, info: RewardInfo, folder: TowerFolder, recipe: Recipe, device: str, head: Found
    ) -> None:
        super().__init__(info, folder, recipe, device)
        self._head_file = head.path
        self._head_sha256 = file_sha256(head.path)

    @cached_property
    def layers(self) -> list[Layer]:
        """The head's layers, on the device."""
        layers = read_head(self._head_file)
        if file_sha256(self._head_file) != self._head_sha256:
            raise changed(self._head_file)
        return [(weight.to(self.device), bias.to(self.device)) for weight, bias in layers]

    def score_embeddings(
        self,
        embeddings: Tensor,
        captions: Sequence[str],  # noqa: ARG002 - the picture alone decides
    ) -> Tensor:
        """Scores, (N,), of normalised embeddings (N, D).

        Raises:
            PpdbenchError: the head wants embeddings of another length than its tower gives.
        """
        if embeddings.shape[-1] != self.layers[0][0].shape[1]:
            raise PpdbenchError(
                f"{self._head_file} wants embeddings of {self.layers[0][0].shape[1]} numbers, "
                f"its tower gives {embeddings.shape[-1]}",
                fix=f"name the head's own tower in {self._head_file.parent / CONFIG}",
            )
        with full_precision():
            return apply_head(self.layers, embeddings)


def load(spec: RewardSpec, device: str) -> AestheticReward:
    """Name the aesthetic score of a folder; tower and head are loaded at the first score.

    Raises:
        UsageError: one file is named as its weights, and it is made of two.
        MissingPrerequisite: files of the head or of its tower are missing; they are listed.
        PpdbenchError: a config.json is unusable, or a file is not its manifest's.
    """
    owner = f"reward {spec.name!r}"
    if spec.weights is not None and spec.weights.is_file():
        raise UsageError(
            f"{owner} is made of two files, and {spec.weights} is one",
            fix=f"name a folder that holds both: --reward {spec.name}=FOLDER",
        )
    config = read_config(spec.checkpoint, owner=owner)
    tower = (spec.checkpoint / config.get("tower", "")).resolve()
    head, folder = _head_and_tower(spec, config, tower, owner)
    recipe = clip_recipe(folder)
    # The tower's hash stands for its files; the config of the head adds only their place.
    head_sha256 = hashlib.sha256(checked_sha256(spec.checkpoint, head).encode()).hexdigest()
    both = hashlib.sha256((folder.sha256 + head_sha256).encode()).hexdigest()
    info = replace(info_of(spec, folder, recipe), checkpoint_sha256=both)
    return AestheticReward(info, folder, recipe, device, head)


def _head_and_tower(
    spec: RewardSpec, config: Mapping[str, Any], tower: Path, owner: str
) -> tuple[Found, TowerFolder]:
    """Find both; where both are missing, both are named."""

    def find_head() -> Found:
        found = locate(spec.checkpoint, config.get("head", HEAD), spec.weights, owner=owner)
        require_files([found.path], owner=owner)
        return found

    def find_tower() -> TowerFolder:
        return read_tower_folder(tower, owner=owner, weights=spec.weights)

    found: list[Any] = all_at_once(find_head, find_tower)
    return found[0], found[1]


def read_head(file: Path) -> list[Layer]:
    """Read `layers.<n>.weight|bias` (or `<n>.weight|bias`) in order of n, as fp32.

    Raises:
        PpdbenchError: the file is damaged, or its layers do not chain down to one number.
    """
    state = read_weights(file)
    names = {
        int(found[1]): name.removesuffix("weight")
        for name in state
        if (found := re.fullmatch(r"(?:layers\.)?(\d+)\.weight", name))
    }
    try:
        layers = [
            (_copied(state[f"{names[n]}weight"]), _copied(state[f"{names[n]}bias"]))
            for n in sorted(names)
        ]
    except KeyError as error:
        raise PpdbenchError(f"{file} lacks {error}", fix="copy the file again") from error
    widths = [layer[0].shape for layer in layers]
    chained = all(first[0] == then[1] for first, then in pairwise(widths))
    if not layers or not chained or widths[-1][0] != 1:
        raise PpdbenchError(
            f"{file} is no aesthetic head: its layers' shapes are {[tuple(w) for w in widths]}",
            fix="give linear layers that end in one number",
        )
    return layers


def _copied(tensor: Tensor) -> Tensor:
    """In fp32 and apart from the file, which may change under a mapped tensor."""
    import torch

    return tensor.to(torch.float32, copy=True)


def apply_head(layers: Sequence[Layer], embeddings: Tensor) -> Tensor:
    """Run the layers on embeddings (N, D); returns (N,)."""
    for weight, bias in layers:
        embeddings = embeddings @ weight.T + bias
    return embeddings.squeeze(-1)
