"""From a suite's `RewardSpec` to a `Reward`, by the entry point of its kind."""

from __future__ import annotations

from ppdbench import plugins
from ppdbench.protocols import Reward, RewardSpec


def load_reward(spec: RewardSpec, device: str) -> Reward:
    """Load the reward that a spec describes.

    Raises:
        UsageError: no reward plug-in has that kind.
        MissingPrerequisite: its checkpoint, or a module it needs, is not there.
        PpdbenchError: the plug-in is broken.
    """
    reward: Reward = plugins.make(
        "rewards",
        spec.kind,
        spec,
        device,
        called=f"reward {spec.name!r}",
        fix=f"check its checkpoint {spec.checkpoint.name}",
    )
    return reward
