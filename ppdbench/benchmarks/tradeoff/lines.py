"""From a run's records to one line a row, user and caption: means over the noises.

A caption counts whole: with one of its pictures missing it is absent, and what lacks a number for
one of them is unknown. This is also what goes on record (`entries.curves`), so that figures are
made of drawn rows and of recorded ones in one way.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ppdbench.benchmarks.tradeoff.divergence import read_divergence
from ppdbench.benchmarks.tradeoff.diversity import Group, embedder, read_diversity
from ppdbench.benchmarks.tradeoff.plan import Tradeoff
from ppdbench.entries.curves import Means, Setting
from ppdbench.entries.recorded import Baseline
from ppdbench.runs.results import Result, identities_of, read_scorers, reward_key, rewards_of

Lines = dict[str | None, dict[str, Means]]
"""User id -> caption id -> means."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a run's folder says of benchmark `tradeoff` beside scores."""

    nats: Mapping[str, Sequence[float]]
    """Item id -> nats of each step."""
    distances: Mapping[Group, float]
    """Caption and pictures -> mean distance."""


def read_measured(folder: Path, reference: str) -> Measured:
    """Read a run's divergences, from a reference of that revision, and diversities.

    Raises:
        PpdbenchError: a file of the run is damaged.
    """
    scorers = read_scorers(folder)
    reward = embedder(rewards_of(scorers))
    distances: Mapping[Group, float] = {}
    if reward is not None:
        key = reward_key(reward)
        distances = read_diversity(folder, key, identities_of(scorers)[key])
    return Measured(nats=read_divergence(folder, reference), distances=distances)


def setting_of(spec: Mapping[str, Any], scorers: Mapping[str, Mapping[str, Any]]) -> Setting:
    """What curves on record must share with a run: by its spec.json and its scorers.json."""
    rewards = rewards_of(scorers)
    name = embedder(rewards)
    baseline = spec["baseline"]
    return Setting(
        suite=spec["suite"],
        suite_version=spec["suite_version"],
        suite_digest=spec["suite_digest"],
        baseline=Baseline(name=baseline, revision=spec["generators"][baseline]["revision"]),
        scorers={reward_key(reward): entry["identity"] for reward, entry in rewards.items()},
        embedder=reward_key(name) if name else None,
        samples=spec["tradeoff"]["samples"],
    )


def lines_of(
    results: Sequence[Result],
    measured: Measured,
    rewards: Collection[str],
    layout: Tradeoff,
    *,
    is_reference: bool = False,
) -> Lines:
    """One generator's lines; each user that it drew for is there, if only without captions.

    Args:
        results: of one generator in the benchmark, failed ones included.
        measured: what the run's folder says beside.
        rewards: names of the rewards.
        layout: how many noises a caption has, and from how many divergence is.
        is_reference: whether it is what divergences are from: then its own is 0.
    """
    lines: Lines = {result.user: {} for result in results}
    groups: dict[tuple[str | None, str], list[Result]] = {}
    for result in results:
        if result.image is not None:
            groups.setdefault((result.user, result.caption_id), []).append(result)
    for (user, caption), group in groups.items():
        if len(group) == layout.samples:
            pictures = sorted(group, key=lambda result: result.sample)
            told = 0 if is_reference else layout.divergence_samples
            lines[user][caption] = _means(pictures, measured, rewards, told)
    return lines


def steps_of(results: Iterable[Result], measured: Measured) -> dict[str | None, tuple[float, ...]]:
    """User id -> mean nats of each step over the items whose nats are known, of one generator."""
    found: dict[str | None, list[Sequence[float]]] = {}
    for result in results:
        if result.item in measured.nats:
            found.setdefault(result.user, []).append(measured.nats[result.item])
    return {
        user: tuple(np.mean(rows, axis=0).tolist())
        for user, rows in found.items()
        if len({len(row) for row in rows}) == 1
    }


def _means(
    pictures: Sequence[Result], measured: Measured, rewards: Collection[str], told: int
) -> Means:
    """Of a caption's pictures; divergence is of the first `told`, and 0 where none are asked."""
    first = pictures[0]
    key = (first.generator, first.user, first.caption_id)
    nats = [measured.nats.get(picture.item) for picture in pictures[:told]]
    return Means(
        scores={
            reward: float(np.mean([picture.scores[reward] for picture in pictures]))
            for reward in rewards
            if all(reward in picture.scores for picture in pictures)
        },
        divergence=_over(nats, sum) if told else 0.0,
        before_last=_over(nats, _all_but_last) if told else 0.0,
        diversity=measured.distances.get((key, tuple(p.image or "" for p in pictures))),
    )


def _over(
    nats: Sequence[Sequence[float] | None], total: Callable[[Any], float | None]
) -> float | None:
    """Mean of what is made of each picture's nats; None where one of them has none."""
    found = [None if steps is None else total(steps) for steps in nats]
    known = [number for number in found if number is not None]
    return float(np.mean(known)) if len(known) == len(found) else None


def _all_but_last(steps: Sequence[float]) -> float | None:
    """None where there is but the sum of an unknown number of steps."""
    return sum(steps[:-1]) if len(steps) > 1 else None
