"""The weight simplex on a grid: every mixture of rewards whose weights are multiples of a step.

Three rewards at step 0.25 make fifteen mixtures: three corners, three edges of five places each,
and three inside. An edge mixes two rewards; each of them should gain from place to place as its
weight grows. Elsewhere: the items (`interpolation.plan`), what is found along edges
(`interpolation.figures`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from ppdbench.benchmarks.plan import Context
from ppdbench.errors import UsageError

STEP = 0.25
ROUNDING = 1e-9
Edge = tuple[str, str]
"""Two rewards; the weights of all others are 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Simplex:
    """Mixtures of rewards on a grid."""

    rewards: tuple[str, ...]
    divisions: int
    """Steps from a weight of 0 to one of 1, at least 2."""

    @classmethod
    def of(cls, rewards: Sequence[str], step: float) -> Simplex:
        """The grid of a step.

        Raises:
            UsageError: the step is not one over a whole number from 2.
        """
        divisions = round(1 / step) if step > 0 else 0
        if divisions < 2 or abs(divisions * step - 1) > ROUNDING:
            raise UsageError(
                f"the weight step is {step}", fix="give one over a whole number: 0.5, 0.25, 0.1"
            )
        return cls(rewards=tuple(rewards), divisions=divisions)

    @property
    def step(self) -> float:
        """Between neighbouring weights."""
        return 1 / self.divisions

    @property
    def points(self) -> list[Context]:
        """All mixtures, the first reward's corner first and the last one's last."""
        return [self._context(parts) for parts in _parts(self.divisions, len(self.rewards))]

    @property
    def edges(self) -> list[Edge]:
        """The pairs of rewards, in the rewards' order."""
        return list(combinations(self.rewards, 2))

    def path(self, edge: Edge, rising: str) -> list[str]:
        """Context ids along an edge, from a weight of 0 for `rising` to one of 1."""
        (other,) = (reward for reward in edge if reward != rising)
        return [
            self._context(
                [
                    place if reward == rising else self.divisions - place if reward == other else 0
                    for reward in self.rewards
                ]
            ).id
            for place in range(self.divisions + 1)
        ]

    def _context(self, parts: Sequence[int]) -> Context:
        weights = {
            reward: part / self.divisions for reward, part in zip(self.rewards, parts, strict=True)
        }
        return Context(id=mixture_id(weights), reward_weights=weights)


def mixture_id(weights: dict[str, float]) -> str:
    """A mixture as records name it: "weights:clip=0.25,hps=0.75"."""
    told = ",".join(f"{reward}={weight:.6g}" for reward, weight in weights.items() if weight)
    return f"weights:{told}"


def edge_name(edge: Edge) -> str:
    """An edge as files name it: "clip+hps"."""
    return "+".join(edge)


def _parts(whole: int, count: int) -> Iterator[tuple[int, ...]]:
    """All ways to write `whole` as a sum of `count` numbers from 0, the largest first ones first.

    For two parts of 2: (2, 0), (1, 1), (0, 2).
    """
    if count == 1:
        yield (whole,)
        return
    for first in range(whole, -1, -1):
        for rest in _parts(whole - first, count - 1):
            yield (first, *rest)
