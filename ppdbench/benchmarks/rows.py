"""A row: one generator's results in one benchmark, drawn in this run or recorded before.

Elsewhere: where results come from (`runs.results`, `leaderboard.recorded`), how rows are made of
them (`run_rows`), what is made of rows (`rewards`, `gains`, `fidelity`, `personal`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ppdbench.benchmarks.plan import user_id
from ppdbench.runs.results import Result

Key = tuple[str, int]
"""(caption id, sample): what two rows are paired by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One generator's results."""

    name: str
    version: str
    revision: str
    licence: str
    settings: Mapping[str, Any]
    source: Literal["fresh", "recorded"]
    results: tuple[Result, ...]
    n_ok: int
    """Items drawn and measured by every scorer."""
    n_expected: int

    @property
    def conditioned(self) -> bool:
        """Whether it has images for each reward user; else they are for nobody."""
        return any(result.user is not None for result in self.results)

    def of_user(self, user: str | None) -> dict[Key, Result]:
        """The results for one user, by caption and sample."""
        return {(r.caption_id, r.sample): r for r in self.results if r.user == user}

    def for_reward(self, reward: str) -> dict[Key, Result]:
        """The results that count for a reward: those of its own user, or the only ones."""
        return self.of_user(user_id(reward) if self.conditioned else None)

    def scores(self, reward: str, scorer: str | None = None) -> dict[Key, float]:
        """Scores of the images that count for `reward`, by `scorer` (by default the same)."""
        return scores_by(self.for_reward(reward), scorer or reward)


def scores_by(results: Mapping[Key, Result], scorer: str) -> dict[Key, float]:
    """The scores that there are of one scorer."""
    return {key: r.scores[scorer] for key, r in results.items() if scorer in r.scores}


def paired(
    ours: Mapping[Key, float], theirs: Mapping[Key, float]
) -> tuple[list[float], list[float], list[Key]]:
    """Scores of the keys that both have, and those keys, sorted: equal inputs, equal draws."""
    keys = sorted(ours.keys() & theirs.keys())
    return [ours[key] for key in keys], [theirs[key] for key in keys], keys


def count_ok(results: Iterable[Result], rewards: Iterable[str], classified: bool) -> int:
    """How many results were drawn and measured by every scorer of their benchmark."""
    wanted = set(rewards)
    drawn = [result for result in results if result.image is not None]
    return sum(
        (
            result.attributes is not None
            if result.benchmark == "personal"
            else wanted <= result.scores.keys()
        )
        and (result.facts is not None or not classified)
        for result in drawn
    )


def gold_of(rewards: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Reward -> its gold twin: called `<reward>-gold`, or the only gold one of its kind.

    Args:
        rewards: reward name -> mapping with `kind` and `gold`.
    """
    twins = {}
    for name, reward in rewards.items():
        if reward["gold"]:
            continue
        alike = [n for n, r in rewards.items() if r["gold"] and r["kind"] == reward["kind"]]
        if f"{name}-gold" in rewards:
            twins[name] = f"{name}-gold"
        elif len(alike) == 1:
            twins[name] = alike[0]
    return twins
