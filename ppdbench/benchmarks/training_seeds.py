"""How far a generator's win rates move with the seed it was trained with.

Other seeds of a generator are recorded entries called `<name>-seed-<n>` that were made with the
same settings but for the training's seed. Elsewhere: one model's figures (`rewards`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ppdbench.benchmarks.rows import Row, paired
from ppdbench.statistics.win_rate import wins


def known_seed(settings: Mapping[str, Any]) -> int | None:
    """The training's seed, where a generator tells it as `settings["training"]["seed"]`."""
    training = settings.get("training")
    seed = training.get("seed") if isinstance(training, Mapping) else None
    return seed if isinstance(seed, int) else None


def is_sibling(name: str, settings: Mapping[str, Any], of: Row) -> bool:
    """Whether an entry is `of` trained with another seed, by its name and its settings."""
    if not name.startswith(f"{of.name}-seed-") or known_seed(settings) is None:
        return False
    return _seedless(settings) == _seedless(of.settings)


def training_seeds(
    families: Iterable[Sequence[Row]],
    baseline: Row,
    rewards: Sequence[str],
    *,
    withheld: bool = False,
) -> dict[str, Any]:
    """Row name -> its seeds and, where there are several, the spread of its win rates.

    Args:
        families: each a row and its siblings (`is_sibling`); one that tells no training seed is
            left out.
        baseline: what the rates are over; each seed counts with the pairs it has.
        rewards: names of the rewards.
        withheld: too much failed for a rate to be given.
    """
    found: dict[str, Any] = {}
    for family in families:
        members = {known_seed(row.settings): row for row in family}
        if None in members:
            continue
        found[family[0].name] = {
            "seeds": sorted(seed for seed in members if seed is not None),
            "win_rate": {reward: _spread(members.values(), baseline, reward) for reward in rewards}
            if len(members) > 1 and not withheld
            else None,
        }
    return found


def _spread(rows: Iterable[Row], baseline: Row, reward: str) -> dict[str, float] | None:
    """Mean, lowest and highest rate; None where a seed has no pair with the baseline."""
    theirs = baseline.scores(reward)
    rates = []
    for row in rows:
        ours, others, _ = paired(row.scores(reward), theirs)
        if not ours:
            return None
        rates.append(float(wins(ours, others).mean()))
    return {"mean": sum(rates) / len(rates), "min": min(rates), "max": max(rates)}


def _seedless(settings: Mapping[str, Any]) -> dict[str, Any]:
    training = {key: value for key, value in settings["training"].items() if key != "seed"}
    return {**settings, "training": training}
