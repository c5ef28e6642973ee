"""PickScore (arXiv 2305.01569): a CLIP ViT-H/14 tuned on Pick-a-Pic's choices.

The score is exp(logit scale) times the cosine, as its model card computes it, by transformers'
CLIP processor. That crops one pixel elsewhere than torchvision where what is cut off is odd, and
cleans captions less than open_clip; its slow form is meant (Pillow's resize), the only one when
the model was published. Weights in transformers' form or open_clip's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ppdbench.protocols import RewardSpec
from ppdbench.rewards.clip import clip_recipe
from ppdbench.rewards.embedding_reward import CosineReward, info_of
from ppdbench.rewards.folder import read_tower_folder

if TYPE_CHECKING:
    from torch import Tensor


class PickScore(CosineReward):
    """Scaled cosines; the difference of two scores is the log-odds of a choice between them."""

    def score_embeddings(self, embeddings: Tensor, captions: Sequence[str]) -> Tensor:
        """Scores, (N,)."""
        return self.tower.logit_scale * self.cosines(embeddings, captions)


def load(spec: RewardSpec, device: str) -> PickScore:
    """Name the PickScore of a folder; its model is loaded at the first score.

    Raises:
        MissingPrerequisite: files are missing; all are listed.
        PpdbenchError: config.json is unusable, or a file is not the published one.
    """
    owner = f"reward {spec.name!r}"
    found = read_tower_folder(spec.checkpoint, owner=owner, weights=spec.weights)
    folder = replace(found, text="transformers")
    recipe = replace(clip_recipe(folder), crop="floor")
    info = info_of(spec, folder, recipe)
    info = replace(info, preprocess=f"{info.preprocess}; text:nfc-lower")
    return PickScore(info, folder, recipe, device)
