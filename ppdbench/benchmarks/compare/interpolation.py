"""Benchmark `interpolation` of two runs: whose scores follow the weights more closely?

Each edge of the weight simplex makes two directed tests, as in one run's report, and by each of
them three things are held against each other: how surely a caption's score rises (its Spearman),
how often all weight on the reward beats none, and by how much. A caption counts where both runs
have every picture of the edge, from the same noises; captions are the sample. Each view is a family
of its own for Holm, over all pairs of runs, edges and rewards, gold ones included. Elsewhere: one
run alone (`interpolation.figures`), the mixtures (`interpolation.simplex`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppdbench.benchmarks.compare.cells import (
    NOTHING_SHARED,
    RATES,
    Cell,
    Compared,
    Noises,
    blank,
    difference,
    draws,
    leaves,
    noises_of,
    settle,
)
from ppdbench.benchmarks.compare.rewards import gold_twins
from ppdbench.benchmarks.compare.runs import MeasuredRun, RunPair
from ppdbench.benchmarks.compare.units import pooled_deviation, standardised
from ppdbench.benchmarks.compare.unlike import unlike_baselines, unlike_scorers
from ppdbench.benchmarks.interpolation.figures import edge_paths
from ppdbench.benchmarks.interpolation.plan import Interpolation
from ppdbench.benchmarks.interpolation.simplex import Edge, Simplex, edge_name
from ppdbench.benchmarks.plan import Drawn
from ppdbench.benchmarks.rows import Row
from ppdbench.protocols import Caption
from ppdbench.runs.results import reward_key
from ppdbench.statistics.trend import spearman_with_order
from ppdbench.statistics.win_rate import outcomes

NAME: Drawn = "interpolation"
GOLD, ABOUT = "interpolation_gold", "interpolation_about"
VIEWS = ("spearman", "corner_win_rate", "endpoint_gain")
FACTS = {"step": "weight step", "samples": "number of noises", "rewards": "choice of rewards"}
"""What both runs must have alike, and what it is."""
CORRELATIONS = (-2.0, 2.0)
"""The bounds of a difference of correlations."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drawn:
    """What a run drew along the edges."""

    of: Interpolation
    model: Row
    baseline: Row
    noises: Mapping[str, Noises]
    """Caption id -> the caption with its noises."""

    def along(self, edge: Edge, reward: str, scorer: str) -> dict[Noises, Floats]:
        """Scores (samples, places) of each caption that is whole, the reward's weight rising."""
        paths = edge_paths(self.of, self.model, self.baseline, edge, reward, scorer)
        return {
            self.noises[caption]: scores
            for caption, scores in zip(paths.captions, paths.scores, strict=True)
        }


def compare_interpolation(runs: Sequence[MeasuredRun], pairs: Sequence[RunPair]) -> Compared:
    """Pair -> edge -> the reward whose weight rises -> the three views; the same by gold ones."""
    found = Compared()
    drawn = {run.letter: _drawn(run) for run in runs}
    tests = len(pairs) * max(4 * len(each.of.simplex.edges) for each in drawn.values())
    for pair in pairs:
        if reason := _unlike_mixtures(pair):
            found.leave_out(NAME, pair, reason)
            continue
        both = (drawn[pair.a.letter], drawn[pair.b.letter])
        simplex = both[0].of.simplex
        own = {reward: reward for reward in simplex.rewards}
        for key, scorers in ((NAME, own), (GOLD, gold_twins(pair, simplex.rewards))):
            cells = {
                edge_name(edge): {
                    reward: _cells(pair, both, edge, reward, scorers[reward], draws(tests))
                    for reward in edge
                    if reward in scorers
                }
                for edge in simplex.edges
            }
            every = [cell for of_edge in cells.values() for cell in of_edge.values()]
            told = [str(cell["reason"]) for cell in every if "reason" in cell]
            if every and len(told) == len(every):
                found.leave_out(key, pair, "; ".join(dict.fromkeys(told)))
            elif every:
                found.put(key, pair, {edge: of_edge for edge, of_edge in cells.items() if of_edge})
    for view in VIEWS:
        settle(
            leaf for key in (NAME, GOLD) for leaf in leaves(pairs, found.figures.get(key, {}), view)
        )
    return found


def _drawn(run: MeasuredRun) -> _Drawn:
    about, model = run.benchmark(ABOUT), run.row(run.model, NAME)
    noises = noises_of(model.results)
    # What its captions say is of no matter here: scores are read by their ids.
    captions = tuple(Caption(id=caption, text="", category="") for caption in noises)
    return _Drawn(
        of=Interpolation(
            simplex=Simplex.of(about["rewards"], about["step"]),
            captions=captions,
            samples=about["samples"],
        ),
        model=model,
        baseline=run.row(run.baseline, NAME),
        noises=noises,
    )


def _unlike_mixtures(pair: RunPair) -> str | None:
    """Why two runs drew other mixtures, or in another way; None where they are alike."""
    ours, theirs = (run.benchmark(ABOUT) for run in (pair.a, pair.b))
    for fact, meaning in FACTS.items():
        if ours[fact] != theirs[fact]:
            a, b = (_said(each[fact]) for each in (ours, theirs))
            return f"another {meaning}: {a} in {pair.a.label} and {b} in {pair.b.label}"
    return None


def _said(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else f"{value:g}"


def _cells(
    pair: RunPair,
    drawn: tuple[_Drawn, _Drawn],
    edge: Edge,
    reward: str,
    scorer: str,
    resamples: int,
) -> dict[str, Any]:
    """The views of one directed test; of one that cannot be compared, nulls and the reason."""
    expected = len({noises for each in drawn for noises in each.noises.values()})
    samples = drawn[0].of.samples
    reason = unlike_scorers(pair, reward_key(scorer))
    ours, theirs = (each.along(edge, reward, scorer) for each in drawn)
    shared = sorted(ours.keys() & theirs.keys())
    if reason is None and not shared:
        reason = NOTHING_SHARED
    if reason:
        planned = {"spearman": expected}
        nothing = {
            view: blank("difference", reason, n_expected=planned.get(view, expected * samples))
            for view in VIEWS
        }
        return {**nothing, "scorer": scorer, "reason": reason}
    captions = [caption for caption, _ in shared]
    a, b = (np.array([each[noises] for noises in shared]) for each in (ours, theirs))
    return {
        "spearman": difference(
            spearman_with_order(a.mean(axis=1)),
            spearman_with_order(b.mean(axis=1)),
            captions,
            n_expected=expected,
            bounds=CORRELATIONS,
            resamples=resamples,
        ),
        **_ends(pair, drawn, (a, b), captions, scorer, expected * samples, resamples),
        "scorer": scorer,
    }


def _ends(
    pair: RunPair,
    drawn: tuple[_Drawn, _Drawn],
    scores: tuple[Floats, Floats],
    captions: Sequence[str],
    scorer: str,
    n_expected: int,
    resamples: int,
) -> dict[str, Cell]:
    """All weight on the reward against none, picture by picture: how often, and by how much."""
    pictures = np.repeat(np.array(captions, dtype=np.str_), scores[0].shape[1])
    last, first = ([each[:, :, place].ravel() for each in scores] for place in (-1, 0))
    a_won, b_won = (outcomes(high, low) for high, low in zip(last, first, strict=True))
    a_gained, b_gained = (high - low for high, low in zip(last, first, strict=True))
    reason = unlike_baselines(pair)
    baselines = [each.baseline for each in drawn]
    unit = None if reason else pooled_deviation(baselines, set(captions), scorer)
    rate = difference(
        a_won, b_won, pictures, n_expected=n_expected, bounds=RATES, resamples=resamples
    )
    gain = difference(
        a_gained, b_gained, pictures, n_expected=n_expected, bounds=None, resamples=resamples
    )
    return {"corner_win_rate": rate, "endpoint_gain": standardised(gain, unit, reason)}
