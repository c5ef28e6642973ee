"""Benchmark `rewards` of two runs: whose images does each reward score higher, and by how much?

For reward r a run counts with the images of the user who cares for r alone, or with its only ones.
Images are paired by caption and sample and start from one noise; captions are the sample. Three
views of one difference stand beside each other: of the two images head to head, which is what
sentences are about; of mean scores, also in standard deviations of the baseline's; and of the win
rates over the baseline, which runs report. Each view is a family of its own for Holm, over all
pairs of runs and all rewards, gold ones included. Elsewhere: caption fidelity (`compare.fidelity`),
one run alone (`rewards.figures`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ppdbench.benchmarks.compare.cells import (
    NOTHING_SHARED,
    Cell,
    Compared,
    Contest,
    Key,
    Values,
    at,
    blank,
    difference,
    draws,
    head_to_head,
    leaves,
    over_baseline,
    settle,
    shared,
)
from ppdbench.benchmarks.compare.fidelity import compare_fidelity
from ppdbench.benchmarks.compare.runs import MeasuredRun, RunPair
from ppdbench.benchmarks.compare.units import pooled, standardised
from ppdbench.benchmarks.compare.unlike import unlike_baselines, unlike_scorers
from ppdbench.benchmarks.rows import Row, gold_of
from ppdbench.runs.results import reward_key, rewards_of
from ppdbench.statistics.deviation import standard_deviation
from ppdbench.statistics.win_rate import outcomes

NAME, GOLD = "rewards", "rewards_gold"
VIEWS = {"head_to_head": "win_rate", "mean": "difference", "over_baseline": "difference"}
"""Each view of a difference, and what its estimate is called."""


def compare_rewards(runs: Sequence[MeasuredRun], pairs: Sequence[RunPair]) -> Compared:
    """Pair -> reward -> the three views; the same by gold rewards; caption fidelity."""
    found = Compared()
    names = {run.letter: list(_own(run)) for run in runs}
    tests = len(pairs) * 2 * max(map(len, names.values()), default=0)
    for pair in pairs:
        rewards = list(dict.fromkeys([*names[pair.a.letter], *names[pair.b.letter]]))
        rows = {run.letter: run.row(run.model, "rewards") for run in (pair.a, pair.b)}
        own = {name: name for name in rewards}
        for key, scorers in ((NAME, own), (GOLD, gold_twins(pair, rewards))):
            cells = {
                reward: _cells(found, pair, rows, key, reward, scorer, draws(tests))
                for reward, scorer in scorers.items()
            }
            told = [str(each["reason"]) for each in cells.values() if "reason" in each]
            if cells and len(told) == len(cells):
                found.leave_out(key, pair, "; ".join(dict.fromkeys(told)))
            elif cells:
                found.put(key, pair, cells)
        compare_fidelity(
            found,
            pair,
            {letter: row.results for letter, row in rows.items()},
            "caption_fidelity",
            resamples=draws(len(pairs)),
        )
    for view in VIEWS:
        settle(
            leaf for key in (NAME, GOLD) for leaf in leaves(pairs, found.figures.get(key, {}), view)
        )
    settle(leaves(pairs, found.figures.get("caption_fidelity", {}), "all"))
    return found


def _own(run: MeasuredRun) -> dict[str, Mapping[str, Any]]:
    """Its rewards that are not gold."""
    return {name: entry for name, entry in rewards_of(run.scorers).items() if not entry["gold"]}


def gold_twins(pair: RunPair, rewards: Sequence[str]) -> dict[str, str]:
    """Reward -> the gold reward that stands for it, of those that have one in either run."""
    ours, theirs = (gold_of(rewards_of(run.scorers)) for run in (pair.a, pair.b))
    gold = {name: ours.get(name) or theirs.get(name) for name in rewards}
    return {name: twin for name, twin in gold.items() if twin}


def _cells(
    found: Compared,
    pair: RunPair,
    rows: Mapping[str, Row],
    benchmark: str,
    reward: str,
    scorer: str,
    resamples: int,
) -> dict[str, Any]:
    """The views of one reward; of one that cannot be compared, nulls and the reason."""
    a, b = (rows[run.letter] for run in (pair.a, pair.b))
    n_expected = len(planned(a, reward) | planned(b, reward))
    reason = unlike_scorers(pair, reward_key(scorer))
    ours, theirs = scores_of(a, reward, scorer), scores_of(b, reward, scorer)
    keys = shared(ours, theirs)
    if reason is None and not keys:
        reason = NOTHING_SHARED
    if reason:
        nothing = {view: blank(v, reason, n_expected=n_expected) for view, v in VIEWS.items()}
        return {**nothing, "scorer": scorer, "reason": reason}
    captions = [caption for caption, _, _ in keys]
    left, right = at(ours, keys), at(theirs, keys)
    contest = Contest(pair, outcomes(left, right), np.array(captions, dtype=np.str_))
    found.contests.setdefault((benchmark, reward), []).append(contest)
    return {
        "head_to_head": head_to_head(
            left, right, captions, n_expected=n_expected, resamples=resamples
        ),
        "mean": _means(pair, (ours, theirs), keys, scorer, n_expected, resamples),
        "over_baseline": _over_baseline(pair, (ours, theirs), scorer, n_expected, resamples),
        "scorer": scorer,
    }


def _means(
    pair: RunPair,
    scores: tuple[Values, Values],
    keys: Sequence[Key],
    scorer: str,
    n_expected: int,
    resamples: int,
) -> Cell:
    """Difference of mean scores, in the scorer's unit and in the baseline's deviations."""
    ours, theirs = (at(each, keys) for each in scores)
    captions = [caption for caption, _, _ in keys]
    cell = difference(
        ours, theirs, captions, n_expected=n_expected, bounds=None, resamples=resamples
    )
    reason = unlike_baselines(pair)
    unit = None if reason else _deviation(pair, keys, scorer)
    return standardised(cell, unit, reason)


def _over_baseline(
    pair: RunPair, own: tuple[Values, Values], scorer: str, n_expected: int, resamples: int
) -> Cell:
    """The difference of the win rates over the baseline, which must be the same in both."""
    if reason := unlike_baselines(pair):
        return blank("difference", reason, n_expected=n_expected)
    base = (baseline_scores(pair.a, scorer), baseline_scores(pair.b, scorer))
    return over_baseline(own, base, lambda key: key[0], n_expected=n_expected, resamples=resamples)


def scores_of(row: Row, reward: str, scorer: str) -> dict[Key, float]:
    """Scores of the images that count for a reward."""
    return {
        (caption, sample, result.seed): result.scores[scorer]
        for (caption, sample), result in row.for_reward(reward).items()
        if scorer in result.scores
    }


def baseline_scores(run: MeasuredRun, scorer: str) -> dict[Key, float]:
    """Scores of the baseline's images, which are for nobody."""
    base = run.row(run.baseline, "rewards")
    return {
        (caption, sample, result.seed): result.scores[scorer]
        for (caption, sample), result in base.of_user(None).items()
        if scorer in result.scores
    }


def planned(row: Row, reward: str) -> set[Key]:
    """The images that were to be drawn for a reward."""
    return {(r.caption_id, r.sample, r.seed) for r in row.for_reward(reward).values()}


def _deviation(pair: RunPair, keys: Sequence[Key], scorer: str) -> float | None:
    """Standard deviation of the baseline's scores on these items, of both runs' drawings alike."""
    bases = [baseline_scores(run, scorer) for run in (pair.a, pair.b)]
    return pooled([standard_deviation([base[k] for k in keys if k in base]) for base in bases])
