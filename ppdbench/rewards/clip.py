"""CLIP score: 100 times the cosine between a picture and its caption (PPD's Table 1).

The paper's is open_clip ViT-H-14, laion2b_s32b_b79k; `shapes` has a small one of its own.
"""

from __future__ import annotations

from ppdbench.errors import PpdbenchError
from ppdbench.protocols import RewardSpec
from ppdbench.rewards.embedding_reward import CosineReward, info_of
from ppdbench.rewards.folder import TowerFolder, read_tower_folder
from ppdbench.rewards.open_clip_tower import image_size
from ppdbench.rewards.preprocess import OPENAI_MEAN, OPENAI_STD, ClipRecipe


def load(spec: RewardSpec, device: str) -> CosineReward:
    """Name the CLIP score of a folder; its model is loaded at the first score.

    Raises:
        MissingPrerequisite: files are missing; all are listed.
        PpdbenchError: config.json is unusable, or a file is not the manifest's.
    """
    owner = f"reward {spec.name!r}"
    folder = read_tower_folder(spec.checkpoint, owner=owner, weights=spec.weights)
    recipe = clip_recipe(folder)
    return CosineReward(info_of(spec, folder, recipe), folder, recipe, device)


def clip_recipe(folder: TowerFolder, *, resize_mode: str = "shortest") -> ClipRecipe:
    """CLIP's preprocessing at the model's size, with the folder's mean and std if it has any.

    Args:
        folder: the model; its preprocess_cfg may say what is done anyway, and nothing else.
        resize_mode: what is done.

    Raises:
        PpdbenchError: the folder asks for another way to resize, which would score otherwise.
    """
    for name, done in (("interpolation", "bicubic"), ("resize_mode", resize_mode)):
        if (asked := folder.preprocess_cfg.get(name, done)) != done:
            raise PpdbenchError(
                f"{folder.path} asks for {name} {asked!r}, and its reward's is {done!r}",
                fix=f"leave {name} out of preprocess_cfg if the model was trained so",
            )
    mean, std = (
        tuple(map(float, folder.preprocess_cfg.get(name) or default))
        for name, default in (("mean", OPENAI_MEAN), ("std", OPENAI_STD))
    )
    return ClipRecipe(image_size(folder), (mean[0], mean[1], mean[2]), (std[0], std[1], std[2]))
