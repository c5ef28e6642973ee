"""What is to be drawn: one item a caption, user and sample, in a fixed order.

A generator that conditions on reward weights draws every caption once for each synthetic user, the
paper's one-hot mixtures; any other draws it once, for nobody.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ppdbench.protocols import (
    Caption,
    GenerationRequest,
    GeneratorInfo,
    SamplingSpec,
    Suite,
    UserContext,
)
from ppdbench.runs.seeds import noise_seed

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One image to draw and to measure."""

    generator: str
    caption: Caption
    user: UserContext | None
    sample: int
    seed: int

    @property
    def id(self) -> str:
        """Unique in a run: generator/user/caption/sample."""
        user = self.user.id if self.user else "-"
        return f"{self.generator}/{user}/{self.caption.id}/{self.sample}"

    def request(self, sampling: SamplingSpec) -> GenerationRequest:
        """The item as a generator is asked for it."""
        return GenerationRequest(
            id=self.id,
            caption=self.caption.text,
            user=self.user,
            seed=self.seed,
            width=sampling.width,
            height=sampling.height,
        )


def plan_rewards(
    suite: Suite, generator: str, info: GeneratorInfo, captions: Sequence[Caption], samples: int
) -> list[Item]:
    """The items of one generator: all captions of a user, then the next user's."""
    return [
        Item(
            generator=generator,
            caption=caption,
            user=user,
            sample=sample,
            seed=noise_seed(suite.version, caption.id, sample),
        )
        for user in (reward_users(suite) if "reward_weights" in info.conditions_on else [None])
        for caption in captions
        for sample in range(samples)
    ]


def reward_users(suite: Suite) -> list[UserContext]:
    """One user for each reward that is no gold reward; all weight lies on that reward."""
    rewards = [spec.name for spec in suite.rewards() if not spec.gold]
    return [
        UserContext(
            id=user_id(reward),
            reward_weights={name: float(name == reward) for name in rewards},
        )
        for reward in rewards
    ]


def user_id(reward: str) -> str:
    """The id of the user who cares for that reward alone."""
    return f"reward:{reward}"


def in_batches(things: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Consecutive slices of at most `size`."""
    return (things[start : start + size] for start in range(0, len(things), size))
