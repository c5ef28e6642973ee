"""The figures of an entry, from its records and the baseline's alone: what `check` recomputes.

Win rates are over the baseline on the same captions and noise, ties half; intervals resample
captions, or users, and are about these very weights. The functions are those of `eval`
(`benchmarks.rewards.figures`, `personal.figures`, `fidelity`), so that an entry says what its run
said. What is unknown is null with a `reason`. Beside each figure stand its outcomes unit by unit,
by which entries are compared in pairs. Elsewhere: form and bounds of a figure (`entries.schema`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppdbench.benchmarks.fidelity import fidelity, fidelity_difference
from ppdbench.benchmarks.personal.pictures import (
    Attributes,
    Case,
    Pictures,
    cases,
    users_of,
    utilities,
)
from ppdbench.benchmarks.personal.roles import SPLITS, PersonalSplit, Roles
from ppdbench.benchmarks.rows import Row, paired
from ppdbench.entries.result_lines import PERSONAL
from ppdbench.leaderboard.items import FACT, REWARDS
from ppdbench.leaderboard.world import World
from ppdbench.runs.results import Result
from ppdbench.statistics.deviation import standard_deviation
from ppdbench.statistics.intervals import cluster_bootstrap_mean
from ppdbench.statistics.win_rate import WinRate, outcomes, win_rate

Units = dict[str, dict[str, float]]
"""Column -> unit -> mean outcome. A column is the place of a figure: "rewards.clip.win_rate"; a
unit is a caption's id, of people a user's."""
IS_BASELINE = "it is the baseline"
NO_BASELINE = "the board has no entry of its baseline"


@dataclass(slots=True)
class Computed:
    """All figures of an entry, and what they are means of."""

    figures: dict[str, Any] = field(default_factory=dict)
    units: Units = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """One generator's records, as rows."""

    rewards: Row
    personal: Row
    """All arms."""
    own: Row
    """Of benchmark `personal`, the pictures for the captions' owners, or the only ones."""
    samples: int
    """Of benchmark `personal`."""

    @classmethod
    def of(cls, name: str, results: Sequence[Result]) -> Records:
        """The records of an entry."""
        people = [result for result in results if result.benchmark == PERSONAL]
        arm = "own" if any(result.arm == "own" for result in people) else "nobody"
        return cls(
            rewards=_row(name, [r for r in results if r.benchmark == REWARDS]),
            personal=_row(name, people),
            own=_row(name, [r for r in people if r.arm == arm]),
            samples=1 + max((r.sample for r in people), default=0),
        )


def compute(
    world: World,
    records: Records,
    baseline: Records | None,
    *,
    is_baseline: bool,
    unserved: Mapping[str, int],
) -> Computed:
    """All figures.

    Args:
        world: the suite.
        records: of the entry.
        baseline: of the baseline's entry; None where the board has none.
        is_baseline: whether the entry is that one.
        unserved: split -> users whom it cannot serve.
    """
    found = Computed()
    missing = IS_BASELINE if is_baseline else NO_BASELINE if baseline is None else None
    beside = None if missing else baseline
    expected = len(world.captions) * _samples(records.rewards)
    for name, scorers in (("rewards", {r: r for r in world.rewards}), ("rewards_gold", world.gold)):
        found.figures[name] = {
            reward: _reward(found, f"{name}.{reward}", records, beside, reward, scorer, expected)
            for reward, scorer in scorers.items()
        }
    found.figures["personal"] = {}
    if world.roles is not None:
        roles = world.roles_of(records.samples)
        for split in SPLITS:
            found.figures["personal"][split] = _personal(
                found, world, roles, records, beside, split, bool(unserved.get(split))
            )
    found.figures["caption_fidelity"] = _fidelities(found, world, records, beside)
    if missing:
        for figures in found.figures.values():
            for figure in figures.values():
                figure["reason"] = missing
    return found


def _reward(
    found: Computed,
    column: str,
    records: Records,
    baseline: Records | None,
    reward: str,
    scorer: str,
    n_expected: int,
) -> dict[str, Any]:
    """One reward, in the pictures that count for it, by one scorer."""
    theirs = baseline.rewards.scores(reward, scorer) if baseline else {}
    mine, base, keys = paired(records.rewards.scores(reward, scorer), theirs)
    captions = [caption for caption, _ in keys]
    won = win_rate(mine, base, captions)
    unit = standard_deviation(base)
    gains = np.subtract(mine, base) / (unit or 1.0)
    gain = cluster_bootstrap_mean(gains, captions)
    reason = won.reason or gain.reason
    if not records.rewards.results:
        reason = "it has no pictures of benchmark rewards"
    if keys:
        _keep(found, f"{column}.win_rate", captions, outcomes(mine, base))
    if unit is not None:
        _keep(found, f"{column}.gain", captions, gains)
    elif keys:
        gain = replace(gain, estimate=None, ci_low=None, ci_high=None)
        reason = reason or "the baseline's scores do not vary"
    return {
        **_rate("", won),
        **gain.fields("gain"),
        "n": won.n,
        "n_expected": n_expected,
        **({"reason": reason} if reason else {}),
    }


def _personal(
    found: Computed,
    world: World,
    roles: Roles,
    records: Records,
    baseline: Records | None,
    split: PersonalSplit,
    strangers: bool,
) -> dict[str, Any]:
    """A split's users, in the true utility of the pictures' owners."""
    chosen = cases(roles, split)
    ours = Pictures(records.personal)
    nothing = np.full(len(chosen), np.nan)
    own = shuffled = theirs = nothing
    if world.tastes is not None and records.personal.results and not strangers:
        own = utilities(chosen, world.tastes, ours.own)
        if baseline is not None:
            theirs = utilities(chosen, world.tastes, Pictures(baseline.personal).own)
        if ours.conditioned:
            partners = {m.number: roles.partner(m) for m in roles.members}

            def of_partner(case: Case) -> Attributes | None:
                partner = partners[case.owner.number]
                return ours.of(partner.own, case.caption, case.sample) if partner else None

            shuffled = utilities(chosen, world.tastes, of_partner)
    users = users_of(chosen)
    there, control = np.isfinite(own) & np.isfinite(theirs), np.isfinite(shuffled)
    control &= np.isfinite(theirs)
    won = win_rate(own[there], theirs[there], users[there])
    other = win_rate(shuffled[control], theirs[control], users[control])
    gain = cluster_bootstrap_mean(own[there] - theirs[there], users[there])
    if there.any():
        ids = {member.number: member.user.id for member in roles.members}
        named = [ids[number] for number in users[there].tolist()]
        _keep(found, f"personal.{split}.win_rate", named, outcomes(own[there], theirs[there]))
        _keep(found, f"personal.{split}.gain", named, own[there] - theirs[there])
    reason = won.reason or gain.reason
    if not records.personal.results:
        reason = "it has no pictures for people"
    elif strangers:
        reason = f"it cannot serve {split} users"
    return {
        **_rate("", won),
        "n": won.n,
        "n_users": won.n_clusters,
        **gain.fields("gain"),
        **_rate("shuffled_", other),
        "n_shuffled": other.n,
        **({"reason": reason} if reason else {}),
    }


def _fidelities(
    found: Computed, world: World, records: Records, baseline: Records | None
) -> dict[str, Any]:
    """How many pictures of a benchmark show all that their caption says."""
    own: dict[str, tuple[Row, Row | None, Mapping[str, str] | None]] = {
        "rewards": (records.rewards, baseline.rewards if baseline else None, None)
    }
    ids: dict[str, str] = {}
    if world.roles is not None:
        owners = {c.id: str(m.number) for m in world.roles.members for c in m.captions}
        ids = {str(m.number): m.user.id for m in world.roles.members}
        own["personal"] = (records.own, baseline.own if baseline else None, owners)
    figures = {}
    for name, (row, base, clusters) in own.items():
        checked = _of_fact(row, clusters)
        figures[name] = _fidelity(checked, base and _of_fact(base, clusters), clusters)
        captions = [result.caption_id for result in checked.results]
        values = np.array([float(bool(r.facts and r.facts[FACT])) for r in checked.results])
        if captions:
            units = [ids[clusters[caption]] for caption in captions] if clusters else captions
            _keep(found, f"caption_fidelity.{name}.rate", units, values)
    return figures


def _fidelity(row: Row, baseline: Row | None, clusters: Mapping[str, str] | None) -> dict[str, Any]:
    rate = fidelity(row, clusters).get(FACT)
    blank = {"rate": None, "ci_low": None, "ci_high": None, "n": 0}
    apart = fidelity_difference(row, baseline, clusters).get(FACT) if baseline else None
    apart = apart or {"difference": None, "ci_low": None, "ci_high": None}
    reason = apart.get("reason") if rate else "no picture of this benchmark was checked"
    return {
        **(rate or blank),
        "difference": apart["difference"],
        "difference_ci_low": apart["ci_low"],
        "difference_ci_high": apart["ci_high"],
        **({"reason": reason} if reason else {}),
    }


def _of_fact(row: Row, captions: Mapping[str, str] | None) -> Row:
    """A row with the one fact that counts, on the captions that there are."""
    return replace(
        row,
        results=tuple(
            replace(result, facts={FACT: result.facts[FACT]})
            for result in row.results
            if result.facts
            and FACT in result.facts
            and (captions is None or result.caption_id in captions)
        ),
    )


def _keep(found: Computed, column: str, units: Sequence[str], values: NDArray[np.float64]) -> None:
    """A unit's mean outcome."""
    sums: dict[str, list[float]] = {}
    for unit, value in zip(units, values.tolist(), strict=True):
        sums.setdefault(unit, []).append(value)
    found.units[column] = {unit: sum(own) / len(own) for unit, own in sums.items()}


def _rate(before: str, found: WinRate) -> dict[str, Any]:
    return {
        f"{before}win_rate": found.rate,
        f"{before}ci_low": found.ci_low,
        f"{before}ci_high": found.ci_high,
    }


def _row(name: str, results: Sequence[Result]) -> Row:
    return Row(
        name=name,
        version="",
        revision="",
        licence="",
        settings={},
        source="recorded",
        results=tuple(results),
        n_ok=len(results),
        n_expected=len(results),
    )


def _samples(row: Row) -> int:
    return 1 + max((result.sample for result in row.results), default=0)
