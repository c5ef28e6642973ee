"""HPS: a CLIP fine-tuned on human choices, scored as 100 times the cosine, on padded pictures.

The paper's is HPSv2 (xswu/HPSv2), ViT-H-14; its checkpoints, v2.0 and v2.1, are scored through
open_clip. `preprocess_cfg` in config.json must say `antialias`: scores depend on it.
"""

from __future__ import annotations

from ppdbench.errors import PpdbenchError
from ppdbench.protocols import RewardSpec
from ppdbench.rewards.clip import clip_recipe
from ppdbench.rewards.embedding_reward import CosineReward, info_of
from ppdbench.rewards.folder import CONFIG, read_tower_folder
from ppdbench.rewards.preprocess import HpsRecipe


def load(spec: RewardSpec, device: str) -> CosineReward:
    """Name the HPS score of a folder; its model is loaded at the first score.

    Raises:
        MissingPrerequisite: files are missing; all are listed.
        PpdbenchError: config.json is unusable or does not say `antialias`, or a file is not the
            manifest's.
    """
    owner = f"reward {spec.name!r}"
    folder = read_tower_folder(spec.checkpoint, owner=owner, weights=spec.weights)
    antialias = folder.preprocess_cfg.get("antialias")
    if not isinstance(antialias, bool):
        raise PpdbenchError(
            f"{folder.path / CONFIG} does not say how HPS resizes",
            fix='add "preprocess_cfg": {"antialias": true} (torchvision >= 0.17) or false (before)',
        )
    base = clip_recipe(folder, resize_mode="longest")
    recipe = HpsRecipe(base.size, antialias, base.mean, base.std)
    return CosineReward(info_of(spec, folder, recipe), folder, recipe, device)
