"""Benchmark `judge`: win rates as a judge sees them, and beside them what would expose the judge.

The headline is tie-half: what is not decided alike in both orders is half a win. Everything has
users as the sample. Inflation is what sharing the generator's shots adds: shared minus disjoint, on
the same pictures. A control is held against the headline arm on the same pictures. Where users'
tastes are known, the true win rate on these very pairs stands beside the judged one, and the
judge's accuracy: the share of its calls that pick what the user truly likes better. A comparison
that lacks a verdict in either order is failed: never a tie, never a loss. Elsewhere: the arms
(`judge.plan`), the formulas (`statistics.order_flip`), the records (`judges.on_record`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppdbench.benchmarks.judge.calls import ORDERS, Pair, call_id
from ppdbench.benchmarks.judge.plan import CONTROLS, Arm, Protocol
from ppdbench.benchmarks.personal.pictures import Tastes
from ppdbench.benchmarks.personal.plan import cannot_serve
from ppdbench.benchmarks.personal.roles import SPLITS, PersonalSplit
from ppdbench.protocols import Truth
from ppdbench.statistics.agreement import agreement
from ppdbench.statistics.holm import holm
from ppdbench.statistics.mirrored import mirrored_mean
from ppdbench.statistics.order_flip import comparison_scores, judged
from ppdbench.statistics.paired import paired_difference
from ppdbench.statistics.win_rate import outcomes

Floats = NDArray[np.float64]
Key = tuple[int, str, int]
"""Owner's number, caption id and sample: what arms are paired by."""
PICKED = {"first": 1.0, "second": 0.0, "abstain": 0.5}
"""A verdict as the share of a win of the image shown first."""
COUNTS = ("n", "n_users", "n_expected", "n_failed", "test", "interval")


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What came of one arm's comparisons, (N,) each; NaN where there is nothing."""

    keys: list[Key]
    users: NDArray[np.int64]
    first_order: Floats
    """For the model, while its picture is shown first."""
    second_order: Floats
    first_log_odds: Floats
    second_log_odds: Floats
    truth: Floats
    """1 where the user truly likes the model's picture better, 0 where the other, 0.5 alike."""

    @property
    def whole(self) -> NDArray[np.bool_]:
        """Whether both orders have a verdict."""
        return np.isfinite(self.first_order) & np.isfinite(self.second_order)

    @property
    def scores(self) -> Floats:
        """Tie-half scores; NaN where an order has no verdict."""
        found = np.full(len(self.keys), np.nan)
        there = self.whole
        found[there] = comparison_scores(self.first_order[there], self.second_order[there])
        return found


def summarise_judge(
    pairs: Sequence[Pair],
    records: Mapping[str, Mapping[str, Any]],
    protocol: Protocol,
    truth: Truth | None,
    *,
    splits: Sequence[PersonalSplit],
    withheld: str | None = None,
    unserved: Mapping[str, Mapping[str, int]] | None = None,
) -> dict[str, Any]:
    """Split -> the figures of that split.

    Args:
        pairs: all comparisons of the run.
        records: call id -> its last record that is ok.
        protocol: how pairs were judged.
        truth: what users like, where it is known.
        splits: those of the run; "all" is given where there are several.
        withheld: why no figure is given, where too much failed.
        unserved: generator -> split -> users whom it cannot serve; those splits have no figures.
    """
    tastes = Tastes(truth) if truth else None
    wanted: dict[str, Sequence[PersonalSplit]] = {split: [split] for split in splits}
    if len(splits) == len(SPLITS):
        wanted["all"] = splits
    cells = {}
    for name, inside in wanted.items():
        here = [pair for pair in pairs if pair.comparison.owner.split in inside]
        arms = {
            arm: _outcomes([p for p in here if p.comparison.arm == arm], records, tastes)
            for arm in protocol.arms
        }
        strangers = cannot_serve(unserved or {}, list(unserved or {}), inside)
        cells[name] = _split(arms, protocol, withheld or strangers)
    _correct(cells)
    return {name: _flat(cell, protocol) for name, cell in cells.items()}


def _outcomes(
    pairs: Sequence[Pair], records: Mapping[str, Mapping[str, Any]], tastes: Tastes | None
) -> Outcomes:
    found = [[records.get(call_id(p.comparison, order)) for p in pairs] for order in ORDERS]
    shown_first, shown_second = (
        np.array([_number(record, _picked) for record in each], dtype=np.float64) for each in found
    )
    odds_first, odds_second = (
        np.array([_number(record, _log_odds) for record in each], dtype=np.float64)
        for each in found
    )
    return Outcomes(
        keys=[
            (p.comparison.owner.number, p.comparison.caption.id, p.comparison.sample) for p in pairs
        ],
        users=np.array([p.comparison.owner.number for p in pairs], dtype=np.int64),
        first_order=shown_first,
        second_order=1 - shown_second,
        first_log_odds=odds_first,
        second_log_odds=-odds_second,
        truth=np.array([truly(pair, tastes) for pair in pairs], dtype=np.float64),
    )


def _number(
    record: Mapping[str, Any] | None, of: Callable[[Mapping[str, Any]], float | None]
) -> float:
    value = None if record is None else of(record)
    return np.nan if value is None else value


def _picked(record: Mapping[str, Any]) -> float:
    return PICKED[record["choice"]]


def _log_odds(record: Mapping[str, Any]) -> float | None:
    return record.get("log_odds")


def truly(pair: Pair, tastes: Tastes | None) -> float:
    """1 where the caption's owner truly likes the model's picture better, 0.5 alike, 0 not.

    NaN where that is not known.
    """
    if tastes is None or pair.ours is None or pair.theirs is None:
        return np.nan
    if pair.ours.attributes is None or pair.theirs.attributes is None:
        return np.nan
    images = [pair.ours.attributes, pair.theirs.attributes]
    ours, theirs = tastes.rate(pair.comparison.owner.user.id, images)
    return float(outcomes([ours], [theirs])[0])


def _split(
    arms: Mapping[Arm, Outcomes], protocol: Protocol, withheld: str | None
) -> dict[str, Any]:
    """Arm -> its cell, and what compares arms."""
    headline = arms[protocol.headline]
    cells: dict[str, Any] = {}
    for arm, found in arms.items():
        cell = _cell(found, withheld)
        cell |= dict.fromkeys(
            ("difference", "difference_ci_low", "difference_ci_high", "difference_p_value")
        )
        if arm != protocol.headline and not withheld:
            ours, theirs, users = _aligned(headline, found)
            cell |= paired_difference(ours, theirs, users).fields("difference")
        cells[arm] = cell
    if "shared" in arms and "disjoint" in arms and not withheld:
        shared, disjoint, users = _aligned(arms["shared"], arms["disjoint"])
        cells["inflation"] = paired_difference(shared, disjoint, users).fields("inflation")
    cells["true"] = _true(headline, withheld)
    return cells


def _aligned(one: Outcomes, other: Outcomes) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Scores of both arms for the same pictures' places, and the users."""
    theirs = dict(zip(other.keys, other.scores.tolist(), strict=True))
    return one.scores, np.array([theirs.get(key, np.nan) for key in one.keys]), one.users


def _cell(found: Outcomes, withheld: str | None) -> dict[str, Any]:
    there = found.whole
    figures = judged(
        found.first_order[there],
        found.second_order[there],
        found.users[there],
        first_log_odds=found.first_log_odds[there],
        second_log_odds=found.second_log_odds[there],
    ).fields()
    cell = {
        **figures,
        "n_expected": len(found.keys),
        "n_failed": int((~there).sum()),
        **_accuracy(found),
    }
    if withheld:
        return {**{k: v if k in COUNTS else None for k, v in cell.items()}, "reason": withheld}
    return cell


def _accuracy(found: Outcomes) -> dict[str, Any]:
    """How often its calls pick what the user truly likes; pairs liked alike decide nothing."""
    known = np.isfinite(found.truth) & (found.truth != 0.5)
    if not known.any():
        return dict.fromkeys(
            ("accuracy", "accuracy_ci_low", "accuracy_ci_high", "consistent_accuracy"),
        ) | {"n_accuracy": 0}
    ours = found.truth[known] == 1
    first, second = found.first_order[known], found.second_order[known]
    right = agreement(
        np.where(ours, first, 1 - first), np.where(ours, second, 1 - second), found.users[known]
    )
    return {
        **right.all_call.fields("accuracy"),
        "n_accuracy": right.all_call.n,
        "consistent_accuracy": right.consistent.estimate,
    }


def _true(found: Outcomes, withheld: str | None) -> dict[str, Any]:
    """The true win rate of the pairs that were judged."""
    there = found.whole & np.isfinite(found.truth)
    if withheld or not there.any():
        return dict.fromkeys(("true_win_rate", "true_win_rate_ci_low", "true_win_rate_ci_high"))
    rate = mirrored_mean(found.truth[there], found.users[there], bounds=(0.0, 1.0))
    return rate.fields("true_win_rate")


def _correct(cells: Mapping[str, Mapping[str, Any]]) -> None:
    """Holm's p over the win rates of all splits, by shared and by disjoint shots."""
    family = [
        cell[arm]
        for cell in cells.values()
        for arm in ("shared", "disjoint")
        if arm in cell and cell[arm]["p_value"] is not None
    ]
    for each, corrected in zip(family, holm([each["p_value"] for each in family]), strict=True):
        each["p_holm"] = float(corrected)


def _flat(cells: Mapping[str, Any], protocol: Protocol) -> dict[str, Any]:
    """The figures as summary.json has them: the plain ones of shared shots, where those are."""
    kind = "shared" if "shared" in cells else "disjoint"
    own, apart = cells[kind], cells.get("disjoint")
    plain = ("win_rate", "ci_low", "ci_high", "consistent_win_rate", "coverage", "first_pick_bias")
    blank = dict.fromkeys(("inflation", "inflation_ci_low", "inflation_ci_high"))
    found = {
        **{name: own[name] for name in plain},
        **_named("win_rate_disjoint", apart, "win_rate", "ci_low", "ci_high"),
        **{key: value for key, value in (cells.get("inflation") or blank).items() if key in blank},
        **{name: own[name] for name in ("n", "n_users", "n_expected")},
        **cells["true"],
        **_named("judge_accuracy", own, "accuracy", "accuracy_ci_low", "accuracy_ci_high"),
        **_named(
            "judge_accuracy_disjoint", apart, "accuracy", "accuracy_ci_low", "accuracy_ci_high"
        ),
        "shots": kind,
        "shared": cells.get("shared"),
        "disjoint": apart,
        "controls_against": protocol.headline,
        "controls": {arm: cells[arm] for arm in CONTROLS if arm in protocol.arms},
    }
    return {**found, "reason": own["reason"]} if own.get("reason") else found


def _named(
    name: str, cell: Mapping[str, Any] | None, value: str, low: str, high: str
) -> dict[str, Any]:
    """A figure of a cell with its interval, under another name."""
    cell = cell or {}
    return {
        name: cell.get(value),
        f"{name}_ci_low": cell.get(low),
        f"{name}_ci_high": cell.get(high),
    }
