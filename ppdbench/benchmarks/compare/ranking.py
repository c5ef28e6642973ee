"""Three runs or more in one order: strengths by Bradley and Terry, and ranks as ranges.

A rank is what the tests of every two runs leave open: nobody stands above a run but those shown to
beat it, and nobody below it but those shown to lose to it. So runs that cannot be told apart share
ranks, and a strength's last digits decide nothing. Elsewhere: the formula
(`statistics.bradley_terry`), the tests (`compare.cells`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ppdbench.benchmarks.compare.cells import ALIKE, Compared, Contest
from ppdbench.benchmarks.compare.runs import MeasuredRun
from ppdbench.statistics.bradley_terry import BradleyTerry, bradley_terry

FEWEST = 3
"""Of two runs the head-to-head rate says it all."""


def rankings(runs: Sequence[MeasuredRun], found: Compared) -> dict[str, Any]:
    """Benchmark -> reward or split -> the runs' strengths and ranks; nothing for two runs."""
    ranked: dict[str, Any] = {}
    if len(runs) < FEWEST:
        return ranked
    for (benchmark, what), contests in found.contests.items():
        met = {run.letter for contest in contests for run in (contest.pair.a, contest.pair.b)}
        # By label, so that the order in which they are named moves no interval.
        present = sorted((r for r in runs if r.letter in met), key=lambda r: (r.label, r.letter))
        if len(present) < FEWEST:
            continue
        strengths = _strengths(present, contests)
        verdicts = _verdicts(found.figures[benchmark], what)
        ranked.setdefault(benchmark, {})[what] = {
            "runs": {
                run.letter: _standing(run, number, present, strengths, verdicts)
                for number, run in enumerate(present)
            },
            "n": strengths.n,
            "n_clusters": strengths.n_clusters,
            **({"reason": _named(strengths.reason, present)} if strengths.reason else {}),
        }
    return ranked


def _strengths(runs: Sequence[MeasuredRun], contests: Sequence[Contest]) -> BradleyTerry:
    number = {run.letter: place for place, run in enumerate(runs)}
    sizes = [len(contest.outcomes) for contest in contests]
    return bradley_terry(
        np.repeat([number[contest.pair.a.letter] for contest in contests], sizes),
        np.repeat([number[contest.pair.b.letter] for contest in contests], sizes),
        np.concatenate([contest.outcomes for contest in contests]),
        np.concatenate([contest.clusters for contest in contests]),
        len(runs),
    )


def _verdicts(figures: Mapping[str, Any], what: str) -> dict[str, str | None]:
    """Pair -> what its head-to-head test says."""
    return {
        pair: cells[what]["head_to_head"]["verdict"]
        for pair, cells in figures.items()
        if what in cells
    }


def _standing(
    run: MeasuredRun,
    number: int,
    runs: Sequence[MeasuredRun],
    strengths: BradleyTerry,
    verdicts: Mapping[str, str | None],
) -> dict[str, Any]:
    """One run's strength with interval, and the ranks that the tests leave open to it."""
    won = _told(run, verdicts, wins=True)
    lost = _told(run, verdicts, wins=False)
    return {
        **strengths.strengths[number].fields("strength"),
        **strengths.win_rate_over_average[number].fields("win_rate_over_average"),
        "best_rank": 1 + len(lost),
        "worst_rank": len(runs) - len(won),
        "beats": won,
        "loses_to": lost,
    }


def _told(run: MeasuredRun, verdicts: Mapping[str, str | None], *, wins: bool) -> list[str]:
    """Letters of the runs that it is shown to beat, or to lose to."""
    found = []
    for pair, verdict in verdicts.items():
        letters = pair.split("-")
        if run.letter not in letters or verdict in (None, ALIKE):
            continue
        if (verdict == f"{run.letter} higher") == wins:
            found += [letter for letter in letters if letter != run.letter]
    return sorted(found)


def _named(reason: str, runs: Sequence[MeasuredRun]) -> str:
    """A reason that counts systems, by their labels."""
    return re.sub(r"\bsystem (\d+)", lambda match: runs[int(match[1])].label, reason)
