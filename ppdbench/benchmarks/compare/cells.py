"""One difference between two runs as files hold it: estimate, interval, test, power, verdict.

Every difference is A minus B on the items that both have, clusters whole; swapping the runs
mirrors every figure to the last bit. "Higher" is said only where the 95% interval does not hold
the value of no difference and Holm's p, over the family of such differences, is below `LEVEL`;
else the two are not distinguishable, and the minimum detectable effect (80% power at a level of
5%, for one test) says how large a difference would have had to be to be found. Elsewhere: the
formulas (`statistics.paired`, `mirrored`, `holm`, `power`), what is held against what
(`compare.rewards` and its neighbours).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ppdbench.benchmarks.compare.runs import RunPair
from ppdbench.runs.results import Result
from ppdbench.statistics.clusters import Clusters
from ppdbench.statistics.holm import holm
from ppdbench.statistics.mirrored import mirrored_mean
from ppdbench.statistics.paired import FEWEST_TO_FIND, PairedDifference, paired_difference
from ppdbench.statistics.power import minimum_detectable_rate
from ppdbench.statistics.win_rate import outcomes

LEVEL = 0.05
"""Holm's p-values below this count as a difference."""
ALIKE = "not distinguishable"
RATES = (-1.0, 1.0)
"""The bounds of a difference of rates."""
NOTHING_SHARED = "no item of both runs was measured"
NO_SPREAD = "all items differ alike: how small a difference would be found cannot be known"

Floats = NDArray[np.float64]
Cell = dict[str, Any]
Key = tuple[str, int, int]
"""Caption id, sample and seed: what pictures of two runs are paired by."""
Values = Mapping[Key, float]
Noises = tuple[str, tuple[tuple[int, int], ...]]
"""Caption id, and each sample with its seed: what captions that count whole are paired by."""


@dataclass(frozen=True, slots=True)
class Contest:
    """Who did better on each item that two runs share; what rankings are made of."""

    pair: RunPair
    outcomes: Floats
    """(N,) 1 where A did better, 0.5 alike, 0 where B did."""
    clusters: NDArray[np.str_]


@dataclass(slots=True)
class Compared:
    """What a benchmark comes to: figures by their keys in summary.json, and what is missing."""

    figures: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Benchmark -> pair of runs -> its cells."""
    contests: dict[tuple[str, str], list[Contest]] = field(default_factory=dict)
    """(benchmark, what of it) -> its contests."""
    left_out: list[dict[str, str]] = field(default_factory=list)

    def leave_out(self, benchmark: str, pair: RunPair, reason: str) -> None:
        """Say that a pair is not compared in a benchmark, and why."""
        self.left_out.append({"benchmark": benchmark, "runs": pair.key, "reason": reason})

    def put(self, benchmark: str, pair: RunPair, cells: Any) -> None:
        """Keep the cells of a pair."""
        self.figures.setdefault(benchmark, {})[pair.key] = cells


def draws(tests: int) -> int:
    """Random signings a test needs so that Holm's p over so many tests can fall below `LEVEL`."""
    return max(10_000, 100 * tests)


def difference(
    ours: ArrayLike,
    theirs: ArrayLike,
    clusters: Clusters,
    *,
    n_expected: int,
    bounds: tuple[float, float] | None = RATES,
    resamples: int = 10_000,
) -> Cell:
    """A's mean minus B's.

    Args:
        ours: A's values of the items, (N,), finite.
        theirs: B's of the same items, (N,).
        clusters: caption or user of each, (N,).
        n_expected: items that either run set out to have.
        bounds: smallest and largest difference possible; None of scores.
        resamples: of interval and test.
    """
    a, b = np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
    found = paired_difference(a, b, clusters, bounds=bounds, resamples=resamples)
    head = {
        "difference": found.difference.estimate,
        "ci_low": found.difference.ci_low,
        "ci_high": found.difference.ci_high,
        "a": float(a.mean()) if found.n else None,
        "b": float(b.mean()) if found.n else None,
    }
    return head | _test(found, n_expected, found.difference.method)


def head_to_head(
    ours: ArrayLike,
    theirs: ArrayLike,
    clusters: Clusters,
    *,
    n_expected: int,
    resamples: int = 10_000,
) -> Cell:
    """How often A scores higher than B on the same item, ties half; arguments as `difference`.

    Its minimum detectable effect is how far from one half a rate must lie.
    """
    won = outcomes(ours, theirs)
    rate = mirrored_mean(won, clusters, bounds=(0.0, 1.0), resamples=resamples)
    tested = paired_difference(
        won, np.full(len(won), 0.5), clusters, bounds=(-0.5, 0.5), resamples=resamples
    )
    head = {
        "win_rate": rate.estimate,
        "ci_low": rate.ci_low,
        "ci_high": rate.ci_high,
        "ties": float((won == 0.5).mean()) if len(won) else None,
    }
    cell: Cell = {**head, **_test(tested, n_expected, rate.method)}
    if tested.n and tested.n == tested.n_clusters:
        # Trials that are independent: exact, and right also where one side wins them all.
        decided = int((won != 0.5).sum())
        level = minimum_detectable_rate(decided)
        cell["minimum_detectable"] = None if level is None else (level - 0.5) * decided / len(won)
        if level is None:
            cell["minimum_detectable_reason"] = f"{decided} of {len(won)} are no ties: too few"
        else:
            cell.pop("minimum_detectable_reason", None)
    return cell


def over_baseline(
    own: tuple[Values, Values],
    base: tuple[Values, Values],
    cluster: Callable[[Key], str],
    *,
    n_expected: int,
    resamples: int,
) -> Cell:
    """A's win rate over its baseline minus B's over its own, on the items that all four have.

    Args:
        own: scores of both runs.
        base: of their baselines.
        cluster: caption or user of an item.
        n_expected: items that either run set out to have.
        resamples: of interval and test.
    """
    keys = shared(*own, *base)
    ours, theirs = (
        outcomes(at(mine, keys), at(other, keys)) for mine, other in zip(own, base, strict=True)
    )
    clusters = [cluster(key) for key in keys]
    return difference(ours, theirs, clusters, n_expected=n_expected, resamples=resamples)


def shared(*values: Values) -> list[Key]:
    """The items that all have, in order: equal inputs, equal draws."""
    return sorted(set.intersection(*(set(each) for each in values)))


def noises_of(results: Iterable[Result]) -> dict[str, Noises]:
    """Caption id -> the caption with all its noises, those of failed pictures too."""
    found: dict[str, set[tuple[int, int]]] = {}
    for result in results:
        found.setdefault(result.caption_id, set()).add((result.sample, result.seed))
    return {caption: (caption, tuple(sorted(noises))) for caption, noises in found.items()}


def at(values: Values, keys: Sequence[Key]) -> Floats:
    """The values of these items, (N,)."""
    return np.array([values[key] for key in keys], dtype=np.float64)


def blank(value: str, reason: str, *, n_expected: int = 0) -> Cell:
    """A cell of which nothing is known, `value` its estimate's name."""
    unknown = ("p_value", "p_holm", "standard_error", "minimum_detectable", "verdict")
    return {
        **dict.fromkeys((value, "ci_low", "ci_high", *unknown)),
        **{"n": 0, "n_expected": n_expected, "n_clusters": 0},
        "reason": reason,
    }


def settle(pair_cells: Iterable[tuple[RunPair, Cell]]) -> None:
    """Give the cells of one family Holm's p and a verdict, by the letters of their runs."""
    family = [(pair, cell) for pair, cell in pair_cells if cell["p_value"] is not None]
    corrected = holm([cell["p_value"] for _, cell in family])
    for (pair, cell), p_holm in zip(family, corrected, strict=True):
        cell["p_holm"] = float(p_holm)
        cell["verdict"] = _verdict(pair, cell)


def leaves(pairs: Sequence[RunPair], figures: Mapping[str, Any], name: str) -> list[Any]:
    """Every cell called `name` below the figures of each pair, with its pair: one family."""
    return [(pair, cell) for pair in pairs for cell in _called(figures.get(pair.key) or {}, name)]


def _called(found: Mapping[str, Any], name: str) -> list[Cell]:
    cells: list[Cell] = []
    for key, value in found.items():
        if key == name:
            cells.append(value)
        elif isinstance(value, dict):
            cells += _called(value, name)
    return cells


def _test(found: PairedDifference, n_expected: int, method: str) -> Cell:
    cell: Cell = {
        "p_value": found.p_value,
        "p_holm": None,
        "n": found.n,
        "n_expected": n_expected,
        "n_clusters": found.n_clusters,
        "standard_error": found.standard_error,
        "minimum_detectable": found.minimum_detectable,
        "verdict": None,
        "test": found.test,
        "interval": method,
    }
    if not found.n:
        cell["reason"] = NOTHING_SHARED
    elif found.difference.reason:
        cell["reason"] = found.difference.reason
    if found.n and found.minimum_detectable is None:
        few = f"{found.n_clusters} clusters: too few for a test to find any difference"
        cell["minimum_detectable_reason"] = few if found.n_clusters < FEWEST_TO_FIND else NO_SPREAD
    return cell


def _verdict(pair: RunPair, cell: Cell) -> str:
    """Who is higher, or that this cannot be told.

    Where all clusters differ by the same amount, which has no interval, the test alone decides.
    """
    value, none = ("win_rate", 0.5) if "win_rate" in cell else ("difference", 0.0)
    low, high = (cell[value] if cell[end] is None else cell[end] for end in ("ci_low", "ci_high"))
    if cell["p_holm"] < LEVEL and low > none:
        return f"{pair.a.letter} higher"
    if cell["p_holm"] < LEVEL and high < none:
        return f"{pair.b.letter} higher"
    return ALIKE
