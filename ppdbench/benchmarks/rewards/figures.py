"""Benchmark `rewards` (Table 1 and Fig. 3 of the PPD paper): who wins by which reward.

For reward r a conditioned generator is judged by the images of the user who cares for r alone,
any other by its only images. Pairs share caption and noise; ties are half a win; intervals
resample captions, and where either row was trained with several seeds they take in how far the
figure moves from one training to another (`statistics.training_spread`). Estimates and p-values
stay those of the weights measured; p-values of one opponent are corrected over its rewards (Holm).
By category of the captions, as PartiPrompts' are reported, rates are described, not tested: a
category has few captions, and there are many of them. What is unknown is null with a `reason`.
Elsewhere: the size of gains (`rewards.gains`), caption fidelity (`fidelity`), who is whose sibling
(`training_seeds`), the arithmetic (`ppdbench.statistics`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ppdbench.benchmarks.fidelity import fidelity, fidelity_difference
from ppdbench.benchmarks.plan import user_id
from ppdbench.benchmarks.rewards.gains import gains, gold_gains
from ppdbench.benchmarks.rows import Key, Row, gold_of, paired, scores_by
from ppdbench.benchmarks.training_seeds import (
    ByTraining,
    outcomes_of_trainings,
    scores_of_trainings,
)
from ppdbench.runs.results import Result
from ppdbench.statistics.holm import holm
from ppdbench.statistics.intervals import Interval, cluster_bootstrap_mean
from ppdbench.statistics.training_spread import WithTraining, with_training_spread
from ppdbench.statistics.win_rate import WinRate, win_rate

MEANS = tuple(
    f"{whose}mean{end}"
    for whose in ("", "opponent_")
    for end in ("", "_ci_low", "_ci_high", "_items_ci_low", "_items_ci_high", "_training_share")
)
RATES = (
    "win_rate",
    "ci_low",
    "ci_high",
    "items_ci_low",
    "items_ci_high",
    "training_share",
    "p_value",
    "p_holm",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Everything the benchmark is computed from."""

    rows: Mapping[str, Row]
    model: str
    baseline: str
    opponents: Sequence[str]
    """In the order of the table; one without a row is listed with nulls."""
    upper_bounds: Mapping[str, str]
    """Reward -> generator trained for it alone."""
    rewards: Mapping[str, Mapping[str, Any]]
    """Reward name -> its title, kind and gold flag."""
    categories: Mapping[str, str]
    """Caption id -> category, in the order of the captions."""
    n_expected: int
    """Pairs an opponent: captions times samples."""
    families: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    """Row name -> the row and its siblings, which other seeds trained."""
    withheld: str | None = None
    """Why the headline is not given, where too much failed."""


def summarise(comparison: Comparison) -> dict[str, Any]:
    """The `benchmarks` part of summary.json."""
    own = {name: name for name, r in comparison.rewards.items() if not r["gold"]}
    gold = gold_of(comparison.rewards)
    model, baseline = comparison.rows[comparison.model], comparison.rows[comparison.baseline]
    found: dict[str, Any] = {
        "rewards": {name: _against(comparison, name, own) for name in comparison.opponents},
        "rewards_gold": {name: _against(comparison, name, gold) for name in comparison.opponents},
    }
    against_itself = model.name == baseline.name
    if model.conditioned and not against_itself:
        found["matrix"] = {
            user: {
                reward: cell(model.of_user(user_id(user)), baseline, reward, comparison.withheld)
                for reward in own
            }
            for user in own
        }
    if not against_itself:
        if len(set(comparison.categories.values())) > 1:
            found["categories"] = by_category(
                model, baseline, list(own), comparison.categories, comparison.withheld
            )
        bounds = {r: comparison.rows.get(n) for r, n in comparison.upper_bounds.items()}
        found["gain"] = gains(model, baseline, bounds, list(own), comparison.withheld)
        found["gold_gain"] = gold_gains(model, baseline, gold, comparison.withheld)
    if any(r.facts is not None for r in model.results):
        found["caption_fidelity"] = {row.name: fidelity(row) for row in comparison.rows.values()}
        if not against_itself:
            found["caption_fidelity_difference"] = fidelity_difference(model, baseline)
    return found


def by_category(
    model: Row,
    baseline: Row,
    rewards: Sequence[str],
    category_of: Mapping[str, str],
    withheld: str | None,
) -> dict[str, dict[str, Any]]:
    """Category -> reward -> win rate with interval and n; in the order of the captions.

    Args:
        model: each reward counts on its own user's images, or on the only ones.
        baseline: whom the win rates are over.
        rewards: names of the rewards.
        category_of: caption id -> category.
        withheld: why no figure is given, if so.
    """
    return {
        category: {
            reward: cell(
                {
                    key: result
                    for key, result in model.for_reward(reward).items()
                    if category_of.get(key[0]) == category
                },
                baseline,
                reward,
                withheld,
            )
            for reward in rewards
        }
        for category in dict.fromkeys(category_of.values())
    }


def cell(
    results: Mapping[Key, Result], baseline: Row, reward: str, withheld: str | None
) -> dict[str, Any]:
    """`win_rate`, its interval and n; what is not given is null, with a `reason`."""
    ours, theirs, keys = paired(scores_by(results, reward), baseline.scores(reward))
    found = win_rate(ours, theirs, [caption for caption, _ in keys])
    if withheld:
        blank = dict.fromkeys(("win_rate", "ci_low", "ci_high"))
        return {**blank, "n": found.n, "reason": withheld}
    known = {
        "win_rate": found.rate,
        "ci_low": found.ci_low,
        "ci_high": found.ci_high,
        "n": found.n,
    }
    return {**known, "reason": found.reason} if found.reason else known


def _against(comparison: Comparison, opponent: str, scorers: Mapping[str, str]) -> dict[str, Any]:
    """Reward -> figures against one opponent; `scorers` says who measures each reward."""
    row = comparison.rows.get(opponent)
    if row is None:
        reason = f"{opponent} has no recorded results here; --model {opponent} computes them"
        blank = {**dict.fromkeys(MEANS), **dict.fromkeys(RATES), "n": 0}
        tail = {
            "n_trainings": None,
            "n_expected": comparison.n_expected,
            "test": None,
            "interval": None,
            "source": None,
        }
        return {reward: {**blank, **tail, "reason": reason} for reward in scorers}
    cells = {reward: _figures(comparison, row, reward, scorers[reward]) for reward in scorers}
    tested = [figures for figures in cells.values() if figures["p_value"] is not None]
    corrected = holm([figures["p_value"] for figures in tested])
    for figures, p_holm in zip(tested, corrected, strict=True):
        figures["p_holm"] = float(p_holm)
    return cells


def _figures(comparison: Comparison, row: Row, reward: str, scorer: str) -> dict[str, Any]:
    model = comparison.rows[comparison.model]
    ours, theirs, keys = paired(model.scores(reward, scorer), row.scores(reward, scorer))
    captions = [caption for caption, _ in keys]
    found = win_rate(ours, theirs, captions)
    families = _trainings(comparison, row)
    won = (  # by trainings of the model, and by trainings of the opponent
        outcomes_of_trainings(families[0], families[1][:1], reward, scorer),
        outcomes_of_trainings(families[0][:1], families[1], reward, scorer),
    )
    rate = _widened(_interval(found), won, bounds=(0.0, 1.0))
    mean, other = (
        _mean(scores, captions, family, reward, scorer, set(keys))
        for scores, family in zip((ours, theirs), families, strict=True)
    )
    several = rate.share is not None
    figures = {
        **_fields("mean", mean),
        **_fields("opponent_mean", other),
        "win_rate": found.rate,
        "ci_low": rate.interval.ci_low,
        "ci_high": rate.interval.ci_high,
        "items_ci_low": found.ci_low,
        "items_ci_high": found.ci_high,
        "training_share": rate.share,
        "n_trainings": {
            whose: len(group.values) if group else 1
            for whose, group in zip(("model", "opponent"), won, strict=True)
        },
        "n": found.n,
        "n_expected": comparison.n_expected,
        "p_value": found.p_value,
        "p_holm": None,
        "test": f"{found.test}, of these weights" if several else found.test,
        "interval": rate.interval.method,
        "source": row.source,
    }
    if comparison.withheld:
        return {**figures, **dict.fromkeys(RATES), "reason": comparison.withheld}
    reason = found.reason or mean.interval.reason or other.interval.reason
    return {**figures, "reason": reason} if reason else figures


def _trainings(comparison: Comparison, row: Row) -> tuple[Sequence[Row], Sequence[Row]]:
    """The model's trainings and the opponent's, the measured ones first.

    Of two trainings of one method neither stands for the method: what is asked is how these two
    differ, and no other training can say.
    """
    model = comparison.rows[comparison.model]
    ours = comparison.families.get(model.name, [model])
    theirs = comparison.families.get(row.name, [row])
    if any(one.name == row.name for one in ours) or any(one.name == model.name for one in theirs):
        return [model], [row]
    return ours, theirs


def _mean(
    scores: Sequence[float],
    captions: Sequence[str],
    family: Sequence[Row],
    reward: str,
    scorer: str,
    among: set[Key],
) -> WithTraining:
    group = scores_of_trainings(family, reward, scorer, among)
    return _widened(cluster_bootstrap_mean(scores, captions), [group])


def _widened(
    interval: Interval,
    groups: Sequence[ByTraining | None],
    bounds: tuple[float, float] | None = None,
) -> WithTraining:
    """The interval with the spread of those rows that have several trainings."""
    known = [group for group in groups if group]
    return with_training_spread(
        interval,
        *[group.estimates for group in known],
        noise=[group.noise for group in known],
        bounds=bounds,
    )


def _interval(found: WinRate) -> Interval:
    return Interval(
        estimate=found.rate,
        ci_low=found.ci_low,
        ci_high=found.ci_high,
        n=found.n,
        n_clusters=found.n_clusters,
        confidence=0.95,  # what `win_rate` gives unless told
        method=found.interval,
        reason=found.reason,
    )


def _fields(name: str, found: WithTraining) -> dict[str, float | None]:
    return {
        **found.interval.fields(name),
        f"{name}_items_ci_low": found.items.ci_low,
        f"{name}_items_ci_high": found.items.ci_high,
        f"{name}_training_share": found.share,
    }
