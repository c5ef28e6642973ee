"""How far a generator's figures move with the seed it was trained with.

A row's siblings are called `<name>-seed-<n>` and were made with its very settings but for the
training's seed, which a generator tells as `settings["training"]["seed"]`. A row and its siblings
are a family. Elsewhere: one model's figures (`rewards.figures`), how a spread widens an interval
(`statistics.training_spread`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppdbench.benchmarks.rows import Key, Row
from ppdbench.statistics.training_spread import noise_of_trainings
from ppdbench.statistics.win_rate import outcomes


@dataclass(frozen=True, slots=True, kw_only=True)
class ByTraining:
    """What each training of a family has on the same items."""

    values: NDArray[np.float64]
    """(trainings, items), the measured training first."""
    captions: Sequence[str]
    """Of each item."""

    @property
    def estimates(self) -> list[float]:
        """Each training's mean."""
        return [float(own.mean()) for own in self.values]

    @property
    def noise(self) -> float:
        """Variance of these means that so few captions alone would show."""
        return noise_of_trainings(self.values, self.captions)


def known_seed(settings: Mapping[str, Any]) -> int | None:
    """The training's seed, where a generator tells it."""
    training = settings.get("training")
    seed = training.get("seed") if isinstance(training, Mapping) else None
    return seed if isinstance(seed, int) else None


def is_sibling(row: Row, of: Row) -> bool:
    """Whether a row is `of` trained with another seed, by its name and its settings."""
    if not row.name.startswith(f"{of.name}-seed-"):
        return False
    seeds = known_seed(row.settings), known_seed(of.settings)
    if None in seeds or seeds[0] == seeds[1]:
        return False
    # What only one of them has is beside the training that they share: a second adapter, say.
    common = row.settings.keys() & of.settings.keys()
    return _seedless(row.settings, common) == _seedless(of.settings, common)


def families(rows: Sequence[Row], others: Sequence[Row]) -> dict[str, list[Row]]:
    """Row name -> the row and its siblings, by seed.

    Args:
        rows: the systems of a run; one that tells no seed, or is another's sibling, has none.
        others: further rows in which siblings are looked for.
    """
    found = {}
    for head in rows:
        if known_seed(head.settings) is None or any(is_sibling(head, row) for row in rows):
            continue
        members = {known_seed(head.settings): head}
        for row in (*rows, *others):  # what was drawn in the run before what was recorded
            if is_sibling(row, head):
                members.setdefault(known_seed(row.settings), row)
        siblings = [members[seed] for seed in sorted(s for s in members if s is not None)]
        found[head.name] = [head, *(row for row in siblings if row is not head)]
    return found


def training_seeds(
    found: Mapping[str, Sequence[Row]],
    baseline: Row,
    rewards: Sequence[str],
    *,
    withheld: bool = False,
) -> dict[str, Any]:
    """Row name -> its seeds and, where there are several, the spread of its win rates.

    Args:
        found: the families.
        baseline: what the rates are over.
        rewards: names of the rewards.
        withheld: too much failed for a rate to be given.
    """
    return {
        name: {
            "seeds": sorted(
                seed for row in family if (seed := known_seed(row.settings)) is not None
            ),
            "win_rate": {reward: _spread(family, baseline, reward) for reward in rewards}
            if len(family) > 1 and not withheld
            else None,
        }
        for name, family in found.items()
    }


def outcomes_of_trainings(
    family: Sequence[Row], opponents: Sequence[Row], reward: str, scorer: str | None = None
) -> ByTraining | None:
    """Wins of each training over the opponent, or over each of the opponent's trainings.

    One of the two varies and the other is one row; all are over the pairs that all have, the
    measured training's first. None where there are fewer than two, or no such pairs.

    Args:
        family: the model's trainings, the measured one first.
        opponents: the opponent's.
        reward: whose images count.
        scorer: who measures them, by default the reward itself.
    """
    ours = [row.scores(reward, scorer) for row in family]
    theirs = [row.scores(reward, scorer) for row in opponents]
    keys = _common([*ours, *theirs])
    games = [(one, other) for one in ours for other in theirs]
    if len(games) < 2 or not keys:
        return None
    won = [outcomes([one[k] for k in keys], [other[k] for k in keys]) for one, other in games]
    return ByTraining(values=np.stack(won), captions=[caption for caption, _ in keys])


def scores_of_trainings(
    family: Sequence[Row], reward: str, scorer: str | None, among: Set[Key]
) -> ByTraining | None:
    """Scores of each training on those items that all have, the measured training's first.

    None where there are fewer than two trainings, or no such items.

    Args:
        family: a row's trainings.
        reward: whose images count.
        scorer: who measures them, by default the reward itself.
        among: caption and sample of the items of the figure.
    """
    scores = [row.scores(reward, scorer) for row in family]
    keys = [key for key in _common(scores) if key in among]
    if len(family) < 2 or not keys:
        return None
    values = np.array([[own[key] for key in keys] for own in scores])
    return ByTraining(values=values, captions=[caption for caption, _ in keys])


def _spread(family: Sequence[Row], baseline: Row, reward: str) -> dict[str, float] | None:
    """Mean, lowest and highest rate over the n pairs that all have; None where there is none."""
    found = outcomes_of_trainings(family, [baseline], reward)
    if found is None:
        return None
    rates = found.estimates
    return {
        "mean": sum(rates) / len(rates),
        "min": min(rates),
        "max": max(rates),
        "n": len(found.captions),
    }


def _common(scores: Sequence[Mapping[Key, float]]) -> list[Key]:
    """What all have, sorted."""
    return sorted(set.intersection(*(set(own) for own in scores)))


def _seedless(settings: Mapping[str, Any], keys: Set[str]) -> dict[str, Any]:
    training = {key: value for key, value in settings["training"].items() if key != "seed"}
    return {**{key: settings[key] for key in keys}, "training": training}
