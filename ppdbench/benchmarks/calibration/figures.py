"""How far a judge's answers are those of the users themselves, beside what would explain it away.

all-call is the share of right calls; consistent-only looks better the worse a judge is, so its
coverage stands beside it (`statistics.agreement`). A judge that knows the user does better by the
user's own shots than by another's, on the same pairs: where that is not shown, it is not
personalised. Elsewhere: what is asked (`calibration.plan`), who asks (`calibration.run`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppdbench.benchmarks.calibration.plan import ARMS, TIMES, Choice, call_id
from ppdbench.benchmarks.judge.figures import PICKED
from ppdbench.statistics.agreement import agreement
from ppdbench.statistics.order_flip import FLAG_BELOW, first_pick_p_value
from ppdbench.statistics.paired import paired_difference
from ppdbench.statistics.top_k import hit_rate

PAPER = 0.83
"""The paper's agreement of its judge with users, without coverage or a control beside it."""
BINS = 4
"""Of margins, with as many choices each."""
Records = Mapping[str, Mapping[str, Any]]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Right:
    """How right one arm was on each choice, (N,): 1, 0, 0.5 where it abstained, NaN failed."""

    first: Floats
    """In order 0, which shows image 0 first."""
    second: Floats

    @property
    def share(self) -> Floats:
        """The mean over both orders; NaN where one failed."""
        return (self.first + self.second) / 2


def summarise_calibration(
    found: Sequence[Choice],
    records: Records,
    scalars: Sequence[str],
    margins: Floats | None,
    *,
    ceiling: float | None,
    withheld: str | None = None,
) -> dict[str, Any]:
    """The figures of one judge; null where they are withheld.

    Args:
        found: the choices.
        records: call id -> its last record that is ok.
        scalars: judges that see no shots, by name; their calls are under these names.
        margins: how clear each choice is, (N,); None where that is not known.
        ceiling: what nobody exceeds in the long run, all-call.
        withheld: why no figure is given.
    """
    users = np.array([choice.user for choice in found], dtype=np.int64)
    zero_first = np.array([choice.right == 0 for choice in found])
    arms = {name: right_of(found, records, name) for name in (*ARMS, *scalars)}
    cells = {
        name: agreement(a.first, a.second, users, right_shown_first=zero_first).fields()
        for name, a in arms.items()
    }
    own = arms["own"]
    differences = {
        name: _difference(own, other, users) for name, other in arms.items() if name != "own"
    }
    all_call = cells["own"]["all_call"]
    way = None
    if ceiling is not None and ceiling > 0.5 and all_call is not None:
        way = (all_call - 0.5) / (ceiling - 0.5)
    if withheld:
        cells = {name: _blank(cell, withheld) for name, cell in cells.items()}
        differences = {name: _blank(cell, withheld) for name, cell in differences.items()}
    low = differences["other_shots"]["difference_ci_low"]
    return {
        "n": cells["own"]["n"],
        "n_users": cells["own"]["n_users"],
        "n_expected": len(found),
        **{arm: cells[arm] for arm in ARMS},
        "scalars": {name: cells[name] for name in scalars},
        "differences": differences,
        "by_margin": [] if margins is None or withheld else _by_margin(arms, margins, users),
        "repeats": None if withheld else _repeats(found, records),
        "identical": None if withheld else _identical(found, records),
        "ceiling": ceiling,
        "way_to_ceiling": None if withheld else way,
        "paper": PAPER,
        "personalised": None if withheld else low is not None and low > 0,
    }


def right_of(found: Sequence[Choice], records: Records, arm: str) -> Right:
    """How right an arm was, by its calls."""
    both = [
        np.array([_right(records.get(call_id(arm, c, order)), c, order) for c in found])
        for order in (0, 1)
    ]
    return Right(*both)


def _right(record: Mapping[str, Any] | None, choice: Choice, order: int) -> float:
    """Whether the image that the user chose was picked."""
    if record is None:
        return np.nan
    first = PICKED[record["choice"]]
    return first if choice.right == order else 1 - first


def _difference(own: Right, other: Right, users: NDArray[np.int64]) -> dict[str, Any]:
    """All-call agreement by the user's own shots minus another arm's, on the same choices."""
    found = paired_difference(own.share, other.share, users)
    return {
        **found.difference.fields("difference"),
        "p_value": found.p_value,
        "n": found.n,
        "n_users": found.n_clusters,
        "test": found.test,
    }


def _blank(cell: Mapping[str, Any], reason: str) -> dict[str, Any]:
    kept = ("n", "n_users", "n_failed", "test")
    return {**{k: v if k in kept else None for k, v in cell.items()}, "reason": reason}


def _by_margin(
    arms: Mapping[str, Right], margins: Floats, users: NDArray[np.int64]
) -> list[dict[str, Any]]:
    """Agreement where choices are close and where they are clear; equal counts a bin."""
    known = np.flatnonzero(np.isfinite(margins))
    order = known[np.argsort(margins[known], kind="stable")]
    return [
        {
            "low": float(margins[rows].min()),
            "high": float(margins[rows].max()),
            "n": len(rows),
            **{
                arm: agreement(
                    arms[arm].first[rows], arms[arm].second[rows], users[rows]
                ).all_call.fields("rate")
                for arm in ("own", "other_shots")
            },
        }
        for rows in np.array_split(order, max(1, min(BINS, len(order))))
        if len(rows)
    ]


def _repeats(found: Sequence[Choice], records: Records) -> dict[str, Any] | None:
    """Whether the judge says the same when it is asked the same again, in the same order."""
    stable: list[float] = []
    users: list[int] = []
    for choice in found:
        said = [records.get(call_id("own", choice, 0))]
        said += [records.get(call_id("repeat", choice, 0, n)) for n in range(1, TIMES)]
        if None not in said:
            stable.append(float(len({record["choice"] for record in said if record}) == 1))
            users.append(choice.user)
    if not stable:
        return None
    return {**hit_rate(stable, users).fields("stable"), "n": len(stable), "asked": TIMES}


def _identical(found: Sequence[Choice], records: Records) -> dict[str, Any] | None:
    """One image shown twice: whatever is picked more often is a bias for a place."""
    said = [
        record["choice"]
        for choice in found
        if (record := records.get(call_id("identical", choice, None)))
    ]
    if not said:
        return None
    first, second = said.count("first"), said.count("second")
    p_value = first_pick_p_value(first, second)
    return {
        "n": len(said),
        "first": first,
        "second": second,
        "abstain": said.count("abstain"),
        "bias": (first - second) / len(said),
        "p_value": p_value,
        "flagged": p_value < FLAG_BELOW,
    }
