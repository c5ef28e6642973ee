"""One win rate over the baseline, of some of a generator's images by one reward."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ppdbench.benchmarks.rows import Key, Row, paired, scores_by
from ppdbench.runs.results import Result
from ppdbench.statistics.win_rate import win_rate


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
