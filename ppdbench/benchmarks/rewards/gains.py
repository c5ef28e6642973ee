"""How large a gain over the baseline is: as a share of the upper bound's, and on gold rewards.

The upper bound of a reward is a generator trained for that reward alone (in the paper, Diffusion-
DPO per reward). A gold reward is one nobody trained on: a gain that is real is kept there, a gain
by exploiting a scorer is not. Both are ratios of means over paired items, resampled by caption.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ppdbench.benchmarks.rows import Key, Row
from ppdbench.statistics.deviation import standard_deviation
from ppdbench.statistics.intervals import ratio_of_means_interval


def gains(
    model: Row,
    baseline: Row,
    upper_bounds: Mapping[str, Row | None],
    rewards: Sequence[str],
    withheld: str | None = None,
) -> dict[str, Any]:
    """Reward -> mean gain over the baseline, the upper bound's, and their ratio with interval."""
    return {
        reward: _gain(model, baseline, upper_bounds.get(reward), reward, withheld)
        for reward in rewards
    }


def gold_gains(
    model: Row, baseline: Row, gold: Mapping[str, str], withheld: str | None = None
) -> dict[str, Any]:
    """Reward -> gain and gold gain, each in the scorer's baseline standard deviations; their ratio.

    Args:
        model: the measured row.
        baseline: the row that gains are over.
        gold: reward -> its gold twin.
        withheld: why no figure is given.
    """
    return {
        reward: _gold_gain(model, baseline, reward, twin, withheld) for reward, twin in gold.items()
    }


def _gain(
    model: Row, baseline: Row, bound: Row | None, reward: str, withheld: str | None
) -> dict[str, Any]:
    ours, base = model.scores(reward), baseline.scores(reward)
    theirs = bound.scores(reward) if bound else None
    keys = sorted(ours.keys() & base.keys() & (ours if theirs is None else theirs).keys())
    found: dict[str, Any] = {
        "gain": _mean([ours[key] - base[key] for key in keys]),
        "upper_bound": bound.name if bound else None,
        "upper_bound_gain": _mean([theirs[key] - base[key] for key in keys]) if theirs else None,
        "ratio": None,
        "ci_low": None,
        "ci_high": None,
        "n": len(keys),
    }
    if withheld:
        return {**found, "gain": None, "upper_bound_gain": None, "reason": withheld}
    if theirs is None:
        return {**found, "reason": "there are no results of an upper bound for this reward"}
    above, below = ([scores[key] - base[key] for key in keys] for scores in (ours, theirs))
    return {**found, **_share("ratio", above, below, keys, "the upper bound")}


def _gold_gain(
    model: Row, baseline: Row, reward: str, twin: str, withheld: str | None
) -> dict[str, Any]:
    ours, base = model.scores(reward), baseline.scores(reward)
    gold_ours, gold_base = model.scores(reward, twin), baseline.scores(reward, twin)
    keys = sorted(ours.keys() & base.keys() & gold_ours.keys() & gold_base.keys())
    blank = {"gain": None, "gold_gain": None, "kept": None, "ci_low": None, "ci_high": None}
    if withheld:
        return {**blank, "n": len(keys), "reason": withheld}
    units = [standard_deviation([scores[key] for key in keys]) for scores in (base, gold_base)]
    if None in units:
        return {**blank, "n": len(keys), "reason": "the baseline's scores do not vary"}
    gain, gold_gain = (
        [(a[key] - b[key]) / unit for key in keys]
        for a, b, unit in zip((ours, gold_ours), (base, gold_base), units, strict=True)
        if unit is not None
    )
    return {
        "gain": _mean(gain),
        "gold_gain": _mean(gold_gain),
        **_share("kept", gold_gain, gain, keys, model.name),
        "n": len(keys),
    }


def _share(
    name: str, gains: Sequence[float], whole: Sequence[float], keys: Sequence[Key], whose: str
) -> dict[str, Any]:
    """What part of `whole` the gains are; nothing is a part of a loss, though two losses divide."""
    interval = ratio_of_means_interval(gains, whole, [caption for caption, _ in keys])
    found = {name: interval.estimate, "ci_low": interval.ci_low, "ci_high": interval.ci_high}
    mean = _mean(whole)
    if interval.estimate is not None and mean is not None and mean < 0:
        reason = f"{whose} scores lower than the baseline: there is no gain to share"
        return {**dict.fromkeys(found), "reason": reason}
    return {**found, "reason": interval.reason} if interval.reason else found


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None
