"""What is to be drawn: one item a caption, context and sample, in a fixed order.

An item says lightly for whom it is drawn: pixels and embeddings of a user are made only when the
item is really missing (`contexts`). For benchmark `rewards` a generator that conditions on reward
weights draws every caption once for each synthetic user, the paper's one-hot mixtures; any other
draws it once, for nobody. Elsewhere: the items of benchmarks `interpolation`
(`interpolation.plan`), `tradeoff` (`tradeoff.plan`), `personal` (`personal.plan`)
and `judge` (`judge.plan`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

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

Drawn = Literal["rewards", "interpolation", "tradeoff", "personal", "judge"]
"""The benchmarks that images are drawn for."""
BY_REWARDS: frozenset[Drawn] = frozenset({"rewards", "interpolation", "tradeoff"})
"""Those whose images the suite's rewards score. They draw the same captions, so that the ids of
their items, but for those of `rewards`, begin with the benchmark."""
Arm = Literal["own", "shuffled", "nobody", "shots", "group", "between"]
"""Why `personal` draws an item: for the caption's owner; for another user; for nobody; for the
owner by another number of shots; for a user of the owner's group; between two users."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A user as some of their pairs show them."""

    user: str
    shots: tuple[str, ...]
    """Pair ids, in order."""
    weight: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Whom an item is drawn for, described without pixels or numbers of the user."""

    id: str
    reward_weights: Mapping[str, float] | None = None
    sources: tuple[Source, ...] = ()
    """One is a user; two are a mixture of two users' embeddings, weights summing to 1."""

    def weighing(self) -> UserContext:
        """The context as a user of reward weights alone."""
        return UserContext(id=self.id, reward_weights=self.reward_weights)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One image to draw and to measure."""

    generator: str
    caption: Caption
    context: Context | None
    """None is nobody."""
    sample: int
    seed: int
    benchmark: Drawn = "rewards"
    arm: Arm | None = None
    owner: str | None = None
    """The user who asked for the caption, where one did."""

    @property
    def user(self) -> str | None:
        """The context's id, as records name it."""
        return self.context.id if self.context else None

    @property
    def id(self) -> str:
        """Unique in a run: generator/context/caption/sample."""
        shared = self.benchmark in BY_REWARDS and self.benchmark != "rewards"
        before = f"{self.benchmark}/" if shared else ""
        return f"{before}{self.generator}/{self.user or '-'}/{self.caption.id}/{self.sample}"

    def request(self, sampling: SamplingSpec, user: UserContext | None) -> GenerationRequest:
        """The item as a generator is asked for it, the context made ready."""
        return GenerationRequest(
            id=self.id,
            caption=self.caption.text,
            user=user,
            seed=self.seed,
            width=sampling.width,
            height=sampling.height,
        )


def plan_rewards(
    suite: Suite, generator: str, info: GeneratorInfo, captions: Sequence[Caption], samples: int
) -> list[Item]:
    """The items of one generator, for each reward's user or for nobody."""
    hears = "reward_weights" in info.conditions_on
    contexts: list[Context | None] = [*reward_users(suite)] if hears else [None]
    return items_of(suite, generator, contexts, captions, samples)


def items_of(
    suite: Suite,
    generator: str,
    contexts: Sequence[Context | None],
    captions: Sequence[Caption],
    samples: int,
    *,
    benchmark: Drawn = "rewards",
) -> list[Item]:
    """Every caption from every noise for each context: all captions of one, then the next one's.

    Args:
        suite: by whose version noise is drawn.
        generator: its name in records.
        contexts: whom it draws for; None is nobody.
        captions: what it draws.
        samples: pictures a caption and context.
        benchmark: what they are drawn for, one of `BY_REWARDS`.
    """
    return [
        Item(
            generator=generator,
            caption=caption,
            context=context,
            sample=sample,
            seed=noise_seed(suite.version, caption.id, sample),
            benchmark=benchmark,
        )
        for context in contexts
        for caption in captions
        for sample in range(samples)
    ]


def reward_users(suite: Suite) -> list[Context]:
    """One user for each reward that is no gold reward; all weight lies on that reward."""
    rewards = [spec.name for spec in suite.rewards() if not spec.gold]
    return [
        Context(
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
