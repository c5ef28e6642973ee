"""Which ranks the records leave open to each entry of a table.

A rank is by the true win rate on unseen users, where a table has one; else on seen users, else by
the first reward by name. Of other training seeds of one system one alone is ranked. Entries are
compared in pairs on the units that both have, which are whole users (or captions) with their mean
outcome, and Holm's correction is over both directions of all pairs of the table: with 95%
confidence no two are in the wrong order. Elsewhere: the statistics (`statistics.rank_ranges`),
which seeds are of one system (`trainings`), outcomes (`leaderboard.check`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ppdbench.leaderboard.site.cells import DASH, Cell, missing
from ppdbench.leaderboard.site.standing import Standing
from ppdbench.statistics.rank_ranges import RankRange, rank_ranges

SAID = {
    "personal.unseen.win_rate": "the true win rate on unseen users",
    "personal.seen.win_rate": "the true win rate on seen users",
}
"""By what entries are ranked, in this order; rewards come after."""
REWARD = re.compile(r"rewards\.(.+)\.win_rate")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """Ranks of a table's entries."""

    by: str = ""
    """What they are by, in words; empty where there are none."""
    ranges: Mapping[str, RankRange] = field(default_factory=dict)
    """Entry name -> its range; of those that are ranked."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """Entry name -> why it has none."""

    def cell(self, name: str) -> Cell:
        """An entry's rank as a cell."""
        found = self.ranges.get(name)
        if found is None:
            return missing(self.reasons.get(name, "no outcomes to rank it by"))
        text = f"{found.best}"
        if found.worst != found.best:
            text = f"{found.best}{DASH}{found.worst}"
        return Cell(
            text=text,
            sort=found.best + found.worst / 100_000,
            said=f"shown to beat {found.beats}, to lose to {found.loses_to} of "
            f"{len(self.ranges) - 1} others, by {self.by}",
        )


def ranks_by(column: str) -> bool:
    """Whether entries may be ranked by a column of outcomes."""
    return column in SAID or REWARD.fullmatch(column) is not None


def ranked(
    entries: Sequence[tuple[str, Standing, bool]], heads: Mapping[str, str] | None = None
) -> Ranked:
    """Ranks of the entries of one table, a place a system: other training seeds have none.

    Args:
        entries: name, standing, and whether it is the baseline, whose outcome over itself is a tie
            on every unit.
        heads: entry -> the entry that stands for its system; each for its own by default.
    """
    stands = {name: (heads or {}).get(name, name) for name, _, _ in entries}
    reasons = {
        name: f"another training seed of {head}, not a system of its own"
        for name, head in stands.items()
        if head != name
    }
    entries = [each for each in entries if each[0] not in reasons]
    columns = {column for _, standing, _ in entries for column in standing.outcomes}
    rewards = sorted(column for column in columns if REWARD.fullmatch(column))
    by = next((column for column in (*SAID, *rewards) if column in columns), None)
    if by is None:
        reason = "none of its table is checked: ranks need outcomes that follow from records"
        return Ranked(reasons=reasons | {name: reason for name, _, _ in entries})
    said = SAID.get(by) or REWARD.sub(r"the win rate by \1", by)
    own = {name: standing.outcomes.get(by) or {} for name, standing, _ in entries}
    units = sorted({unit for outcomes in own.values() for unit in outcomes})
    place = {unit: number for number, unit in enumerate(units)}
    names, rows = [], []
    for name, standing, is_baseline in entries:
        row = np.full(len(units), 0.5 if is_baseline else np.nan)
        if not is_baseline:
            if not own[name]:
                reasons[name] = _reason(standing, said)
                continue
            row[[place[unit] for unit in own[name]]] = list(own[name].values())
        names.append(name)
        rows.append(row)
    found = rank_ranges(np.vstack(rows), np.asarray(units)) if rows else ()
    return Ranked(by=said, ranges=dict(zip(names, found, strict=True)), reasons=reasons)


def _reason(standing: Standing, said: str) -> str:
    if standing.tier == "self-reported":
        return f"not ranked: {standing.why or 'it is not checked'}"
    return f"not ranked: it has no outcomes for {said}"
