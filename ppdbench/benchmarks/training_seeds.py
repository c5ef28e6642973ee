"""How far a generator's win rates move with the seed it was trained with.

A row's siblings are called `<name>-seed-<n>` and were made with its very settings but for the
training's seed, which a generator tells as `settings["training"]["seed"]`. Elsewhere: one model's
figures (`rewards`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any

from ppdbench.benchmarks.rows import Row
from ppdbench.statistics.win_rate import outcomes


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


def training_seeds(
    rows: Sequence[Row],
    others: Sequence[Row],
    baseline: Row,
    rewards: Sequence[str],
    *,
    withheld: bool = False,
) -> dict[str, Any]:
    """Row name -> its seeds and, where there are several, the spread of its win rates.

    Args:
        rows: the systems of a run; one that tells no seed, or is another's sibling, is not listed.
        others: further rows in which siblings are looked for.
        baseline: what the rates are over.
        rewards: names of the rewards.
        withheld: too much failed for a rate to be given.
    """
    found: dict[str, Any] = {}
    for head in rows:
        if known_seed(head.settings) is None or any(is_sibling(head, row) for row in rows):
            continue
        members = {known_seed(head.settings): head}
        for row in (*rows, *others):  # what was drawn in the run before what was recorded
            if is_sibling(row, head):
                members.setdefault(known_seed(row.settings), row)
        family = list(members.values())
        found[head.name] = {
            "seeds": sorted(seed for seed in members if seed is not None),
            "win_rate": {reward: _spread(family, baseline, reward) for reward in rewards}
            if len(family) > 1 and not withheld
            else None,
        }
    return found


def _spread(family: Sequence[Row], baseline: Row, reward: str) -> dict[str, float] | None:
    """Mean, lowest and highest rate over the n pairs that all have; None where there is none."""
    theirs = baseline.scores(reward)
    ours = [row.scores(reward) for row in family]
    keys = sorted(theirs.keys() & set.intersection(*(set(scores) for scores in ours)))
    if not keys:
        return None
    opponent = [theirs[key] for key in keys]
    rates = [float(outcomes([scores[key] for key in keys], opponent).mean()) for scores in ours]
    return {"mean": sum(rates) / len(rates), "min": min(rates), "max": max(rates), "n": len(keys)}


def _seedless(settings: Mapping[str, Any], keys: Set[str]) -> dict[str, Any]:
    training = {key: value for key, value in settings["training"].items() if key != "seed"}
    return {**{key: settings[key] for key in keys}, "training": training}
