"""Differences between runs as people read them: value, interval, verdict, what would be found.

Pure functions of a comparison's summary.json. Runs are called by their labels; a sign or a rate is
always of the first one of a pair. Elsewhere: the page's sections (`compare.sections`), the
terminal's tables (`compare.table`), the sentence over both (`compare.headline`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ppdbench.reports.figures import (
    EN_DASH,
    NO_REASON,
    Cell,
    Shown,
    Verdict,
    count,
    decimals_for,
    is_number,
    named,
    number,
    p_value,
    percent,
    points,
    rate,
)
from ppdbench.reports.plots import RATE_AXIS, Axis, Bar, bar

Summary = Mapping[str, Any]
Unit = Literal["rate", "points", "deviations", "gain", "correlation", "nats", "diversity", "score"]
"""A win rate; a difference of rates; of scores in deviations of the baseline's; of gains, which are
in these already; of correlations; of divergences; of diversities; of plain scores."""
DECIMALS: Mapping[str, int] = {
    "deviations": 2,
    "gain": 2,
    "correlation": 2,
    "nats": 2,
    "diversity": 3,
}
"""Unit -> decimals; the others know theirs."""
AFTER: Mapping[str, str] = {
    "points": " points",
    "deviations": " SD",
    "gain": " SD",
    "nats": " nats",
}
"""Unit -> what stands after a difference."""

ALIKE = "not distinguishable"
SPLITS = {"seen": "seen users", "unseen": "unseen users", "all": "all users"}
SHOTS = {"shared": "shared shots, as in the paper", "disjoint": "disjoint shots"}
KINDS = {"topics": "by own captions", "common": "by common captions"}
FIDELITY = {"caption_fidelity": "Suite's captions", "personal_fidelity": "Users' captions"}
"""Benchmark -> whose captions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One difference, ready to print."""

    name: str
    """What differs: a reward, users of a split, a fact."""
    runs: str
    """Which runs: "ppd over sft" of a rate, "ppd minus sft" of a difference."""
    pair: str
    """By their letters: "A-B"."""
    shown: Shown
    bar: Bar | None
    kind: Verdict
    """"above" where the first run is shown to be higher, "below" where the second is."""
    verdict: str
    """By the runs' letters, as in the file; empty where nothing was tested."""
    says: str
    """By their labels."""
    detectable: str
    """What would have been found, in words."""
    found_from: str
    """The same as a figure alone."""
    first: str
    """The first run's own value; empty of a rate, which has none."""
    second: str
    sample: str
    clusters: str
    p: str
    holm: str
    how: str
    """Interval and test."""


def labels(summary: Summary) -> dict[str, str]:
    """Letter -> what a run is called."""
    return {run["run"]: str(run["label"]) for run in summary["runs"]}


def pairs(summary: Summary) -> list[str]:
    """The pairs of runs, in order: "A-B"."""
    letters = list(labels(summary))
    return [f"{a}-{b}" for number, a in enumerate(letters) for b in letters[number + 1 :]]


def runs_of(summary: Summary, pair: str, word: str) -> str:
    """Both runs of a pair with a word between them."""
    found = labels(summary)
    return f" {word} ".join(found[letter] for letter in pair.split("-"))


def figures(summary: Summary, benchmark: str) -> Mapping[str, Any]:
    """Pair -> its cells; empty where the benchmark was not compared."""
    found: Mapping[str, Any] = summary["benchmarks"].get(benchmark) or {}
    return found


def difference(
    summary: Summary, pair: str, name: str, cell: Cell, unit: Unit, axis: Axis = RATE_AXIS
) -> Difference:
    """One cell of summary.json.

    Args:
        summary: the comparison's.
        pair: which runs.
        name: what differs.
        cell: its figures.
        unit: what they are in; of "deviations" the cell's `standardised` ones.
        axis: where the drawing ends.
    """
    seen = in_unit(cell, unit)
    key = "win_rate" if unit == "rate" else "difference"
    kind = kind_of(pair, cell)
    return Difference(
        name=name,
        runs=runs_of(summary, pair, "over" if unit == "rate" else "minus"),
        pair=pair,
        shown=shown(cell, unit),
        bar=bar(seen, key, axis),
        kind=kind,
        verdict=str(cell.get("verdict") or ""),
        says=says(summary, pair, cell),
        detectable=detectable(cell, unit),
        found_from=found_from(cell, unit),
        first=own_value(cell, "a", unit),
        second=own_value(cell, "b", unit),
        sample=sample(cell),
        clusters=count(cell.get("n_clusters")),
        p=p_value(cell.get("p_value")),
        holm=p_value(cell.get("p_holm")),
        how="; ".join(str(cell[k]) for k in ("interval", "test") if cell.get(k)),
    )


def in_unit(cell: Cell, unit: Unit) -> Cell:
    """The cell's estimate and bounds in a unit."""
    return (cell.get("standardised") or {}) if unit == "deviations" else cell


def shown(cell: Cell, unit: Unit) -> Shown:
    """The estimate with its interval as text."""
    if unit == "rate":
        return rate(cell, "win_rate")
    if unit == "points":
        return points(cell, "difference")
    found = in_unit(cell, unit)
    value = found.get("difference")
    if not is_number(value):
        return Shown(value="", reason=str(found.get("reason") or cell.get("reason") or NO_REASON))
    digits, after = _decimals(cell, unit), AFTER.get(unit, "")
    ends = [number(found.get(key), digits, plus=True) for key in ("ci_low", "ci_high")]
    between = " to ".join(ends) if all(ends) else ""
    reason = "" if between else str(cell.get("reason") or "no interval")
    return Shown(value=number(value, digits, plus=True) + after, interval=between, reason=reason)


def kind_of(pair: str, cell: Cell) -> Verdict:
    """Whether the pair's first run is higher (above), its second (below), or neither."""
    first, second = pair.split("-")
    known: dict[Any, Verdict] = {
        f"{first} higher": "above",
        f"{second} higher": "below",
        ALIKE: "open",
    }
    return known.get(cell.get("verdict"), "undefined")


def says(summary: Summary, pair: str, cell: Cell) -> str:
    """The verdict with the runs' labels."""
    verdict = str(cell.get("verdict") or "")
    letter, _, rest = verdict.partition(" ")
    name = labels(summary).get(letter)
    return f"{name} {rest}" if name is not None and letter in pair.split("-") else verdict


def found_from(cell: Cell, unit: Unit) -> str:
    """The smallest effect that 80% of such comparisons would find; empty where it is not known."""
    found = in_unit(cell, unit).get("minimum_detectable")
    if not is_number(found) or (unit == "rate" and found >= 0.5):
        return ""
    if unit == "rate":
        return percent(0.5 + found)
    if unit == "points":
        return number(100 * found, 1)
    return number(found, _decimals(cell, unit))


def _decimals(cell: Cell, unit: Unit) -> int:
    return DECIMALS.get(unit, decimals_for([cell.get("a"), cell.get("b")]))


def detectable(cell: Cell, unit: Unit) -> str:
    """The same in words, or why it is not known."""
    value = found_from(cell, unit)
    if not value:
        return str(cell.get("minimum_detectable_reason") or "")
    after = " or more" if unit == "rate" else AFTER.get(unit, "")
    return f"{value}{after} would be found"


def own_value(cell: Cell, key: str, unit: Unit) -> str:
    """A run's own value of what differs: a rate in percent, a mean score or gain as it is."""
    values = [cell.get("a"), cell.get("b")]
    if not all(map(is_number, values)):
        return ""
    if unit == "points":
        return percent(cell[key])
    # Of a difference in deviations they are the plain scores.
    return number(cell[key], _decimals(cell, "score" if unit == "deviations" else unit))


def sample(cell: Cell) -> str:
    """How many items it rests on: "40 of 256"."""
    n, expected = cell.get("n"), cell.get("n_expected")
    if not is_number(n):
        return ""
    return f"{count(n)} of {count(expected)}" if expected not in (None, n) else count(n)


def around_zero(cells: Iterable[Cell]) -> Axis:
    """An axis with 0 in its middle that shows every interval of these differences."""
    widest = max(
        (
            abs(cell[key])
            for cell in cells
            for key in ("difference", "ci_low", "ci_high")
            if is_number(cell.get(key))
        ),
        default=0.0,
    )
    end = 1.06 * widest or 1.0
    return -end, end


def over_average(own: Mapping[str, Any], order: Mapping[str, Any]) -> Shown:
    """A run's win rate over one of average strength, by its place in an order of several."""
    name = "win_rate_over_average"
    reason = order.get("reason")
    return rate({**(named(own, name) or {}), "reason": reason}, name)


def rank(own: Mapping[str, Any]) -> str:
    """The ranks that are left open to a run: "1", or "1-2" with a dash."""
    best, worst = own["best_rank"], own["worst_rank"]
    return f"{best}" if best == worst else f"{best}{EN_DASH}{worst}"


def title_of(summary: Summary, reward: str) -> str:
    """A reward as printed in tables."""
    return str((summary.get("rewards") or {}).get(reward, {}).get("title") or reward)
