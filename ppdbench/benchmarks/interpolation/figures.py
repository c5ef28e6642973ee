"""Benchmark `interpolation` (Fig. 4 of the PPD paper): raise a weight, does that score rise?

Along each edge of the weight simplex two rewards change hands, from the same noises, so that each
edge gives two directed tests: the score of the reward whose weight grows should rise from place to
place. A caption is the block: its score at a place is the mean over its samples, and intervals
resample captions. p-values are corrected over all directed tests (Holm).

Two controls run through the same instrument. `permuted`: the model's own pictures, each caption's
places in an order drawn by a seed; as a picture depends on caption, noise and weights alone, that
is what a model that is handed permuted weights draws, and several orders a caption cost nothing.
`base`: the baseline, which hears no weights and draws one picture for all places.

Gains are in standard deviations of the scorer on the baseline's pictures. Elsewhere: the mixtures
(`interpolation.simplex`), what is drawn (`interpolation.plan`), the statistics
(`statistics.trend`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppdbench.benchmarks.interpolation.plan import Interpolation
from ppdbench.benchmarks.interpolation.simplex import Edge, edge_name
from ppdbench.benchmarks.rows import Row, scores_by
from ppdbench.protocols import Caption
from ppdbench.statistics.deviation import standard_deviation
from ppdbench.statistics.holm import holm
from ppdbench.statistics.intervals import cluster_bootstrap_mean
from ppdbench.statistics.trend import rising, spearman_with_order
from ppdbench.statistics.win_rate import win_rate

Floats = NDArray[np.float64]
PERMUTATIONS = 20
"""Orders a caption's places are put in by the control."""
UNIT = "standard deviations of the scorer on the baseline's images"
CONSTANT = "the baseline's scores do not vary"
"""Why a gain has no unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """One score along one edge, of the captions that have every picture of it."""

    captions: tuple[str, ...]
    scores: Floats
    """(captions, samples, places), the own reward's weight rising."""
    unit: float | None
    """The scorer's standard deviation on the baseline's pictures; None where unknown or 0."""
    n_expected: int
    """Captions that there should be."""

    @property
    def means(self) -> Floats:
        """(captions, places): a caption's score at a place."""
        found: Floats = self.scores.mean(axis=1)
        return found


def summarise_interpolation(
    of: Interpolation,
    model: Row,
    baseline: Row,
    gold: Mapping[str, str],
    withheld: str | None,
) -> dict[str, Any]:
    """The parts of summary.json's `benchmarks` that this benchmark has.

    `interpolation` and `interpolation_gold`: edge -> reward -> figures of one directed test;
    `interpolation_controls`: control -> the same; `interpolation_categories`: category -> the same
    in short, described and not tested; `interpolation_grid`: every mixture by every reward;
    `interpolation_about`: what was drawn.

    Args:
        of: what was drawn.
        model: its row.
        baseline: the baseline's row.
        gold: reward -> its gold twin.
        withheld: why no figure is given, if so.
    """
    rewards = of.simplex.rewards
    own = {reward: reward for reward in rewards}
    twins = {reward: gold[reward] for reward in rewards if reward in gold}
    found: dict[str, Any] = {
        "interpolation": _edges(of, model, baseline, own, withheld),
        "interpolation_controls": _controls(of, model, baseline, withheld),
        "interpolation_grid": _grid(
            of, model, baseline, [*own.values(), *twins.values()], withheld
        ),
        "interpolation_about": {
            **of.spec,
            "rewards": list(rewards),
            "edges": {edge_name(edge): list(edge) for edge in of.simplex.edges},
            "mixtures": len(of.simplex.points),
            "gold": twins,
            "unit": UNIT,
            "permutations": PERMUTATIONS,
            "shown": [caption.id for caption in _first_of_each_category(of)],
        },
    }
    if len({caption.category for caption in of.captions}) > 1:
        found["interpolation_categories"] = _categories(of, model, baseline, withheld)
    if twins:
        found["interpolation_gold"] = _edges(of, model, baseline, twins, withheld)
    return found


def edge_paths(
    of: Interpolation, row: Row, baseline: Row, edge: Edge, reward: str, scorer: str
) -> Paths:
    """A scorer's scores along an edge, from a weight of 0 for `reward` to one of 1.

    Args:
        of: what was drawn.
        row: whose pictures; one that heard no weights has the same at every place.
        baseline: whose pictures give the unit.
        edge: between which rewards.
        reward: whose weight rises.
        scorer: who scores.
    """
    places = [
        scores_by(row.of_user(place if row.conditioned else None), scorer)
        for place in of.simplex.path(edge, reward)
    ]
    kept: list[str] = []
    blocks: list[list[list[float]]] = []
    for caption in of.captions:
        keys = [(caption.id, sample) for sample in range(of.samples)]
        if all(key in scores for key in keys for scores in places):
            kept.append(caption.id)
            blocks.append([[scores[key] for scores in places] for key in keys])
    shape = (len(kept), of.samples, of.simplex.divisions + 1)
    return Paths(
        captions=tuple(kept),
        scores=np.array(blocks, dtype=np.float64).reshape(shape),
        unit=deviation(baseline, scorer),
        n_expected=len(of.captions),
    )


def deviation(baseline: Row, scorer: str) -> float | None:
    """Standard deviation of a scorer on the baseline's pictures; None where unknown or 0."""
    scores = list(scores_by(baseline.of_user(None), scorer).values())
    return standard_deviation(scores)


def _edges(
    of: Interpolation,
    row: Row,
    baseline: Row,
    scorers: Mapping[str, str],
    withheld: str | None,
) -> dict[str, dict[str, Any]]:
    """Edge -> reward -> figures; Holm over all of them."""
    found = {
        edge_name(edge): {
            reward: directed_test(
                edge_paths(of, row, baseline, edge, reward, scorers[reward]), withheld
            )
            for reward in edge
            if reward in scorers
        }
        for edge in of.simplex.edges
    }
    tested = [
        cell for cells in found.values() for cell in cells.values() if cell["p_value"] is not None
    ]
    for cell, p_holm in zip(tested, holm([cell["p_value"] for cell in tested]), strict=True):
        cell["p_holm"] = float(p_holm)
    return found


def directed_test(paths: Paths, withheld: str | None) -> dict[str, Any]:
    """The figures of one directed test; `p_holm` is left for who knows the family."""
    trend = rising(paths.means, list(paths.captions))
    spearman = cluster_bootstrap_mean(
        spearman_with_order(paths.means) if trend.n else [], paths.captions, bounds=(-1.0, 1.0)
    )
    corners, no_gain = _corners(paths)
    tail = {"n": trend.n, "n_expected": paths.n_expected}
    figures: dict[str, Any] = {
        "median_spearman": trend.spearman,
        "ci_low": trend.ci_low,
        "ci_high": trend.ci_high,
        **spearman.fields("mean_spearman"),
        "median_kendall": trend.kendall,
        "isotonic_r2": trend.isotonic_r2,
        "page_l": trend.page_l,
        "p_value": trend.p_value,
        "p_holm": None,
        "violations": trend.violations,
        **corners,
        "test": "Page's L, one block a caption",
        **tail,
    }
    if withheld:
        return {**dict.fromkeys(figures), **tail, "reason": withheld}
    reason = trend.reason or no_gain
    return {**figures, "reason": reason} if reason else figures


def _corners(paths: Paths) -> tuple[dict[str, Any], str | None]:
    """All weight on the reward against none, picture by picture; and why the gain is not known."""
    last, first = paths.scores[:, :, -1].ravel(), paths.scores[:, :, 0].ravel()
    captions = np.repeat(np.array(paths.captions, dtype=np.str_), paths.scores.shape[1])
    won = win_rate(last, first, captions)
    gain = cluster_bootstrap_mean((last - first) / (paths.unit or 1.0), captions)
    known = gain if paths.unit else None
    figures = {
        "corner_win_rate": won.rate,
        "corner_win_rate_ci_low": won.ci_low,
        "corner_win_rate_ci_high": won.ci_high,
        "corner_pairs": won.n,
        "endpoint_gain": known and known.estimate,
        "endpoint_gain_ci_low": known and known.ci_low,
        "endpoint_gain_ci_high": known and known.ci_high,
    }
    return figures, gain.reason if paths.unit else CONSTANT


def _controls(
    of: Interpolation, model: Row, baseline: Row, withheld: str | None
) -> dict[str, dict[str, dict[str, Any]]]:
    """Control -> edge -> reward -> figures, of the rewards themselves."""
    own = {reward: reward for reward in of.simplex.rewards}
    permuted = {
        edge_name(edge): {
            reward: _permuted_test(
                edge_paths(of, model, baseline, edge, reward, reward), number, withheld
            )
            for reward in edge
        }
        for number, edge in enumerate(of.simplex.edges)
    }
    return {"permuted": permuted, "base": _edges(of, baseline, baseline, own, withheld)}


def _permuted_test(paths: Paths, seed: int, withheld: str | None) -> dict[str, Any]:
    """The test on pictures whose places are in random orders, several orders a caption."""
    blocks, _, places = paths.scores.shape
    rng = np.random.default_rng(seed)
    order = rng.permuted(np.tile(np.arange(places), (blocks, PERMUTATIONS, 1)), axis=2)
    means = np.take_along_axis(paths.means[:, None, :], order, axis=2)
    captions = np.repeat(np.array(paths.captions, dtype=np.str_), PERMUTATIONS)
    rows = means.reshape(-1, places)
    trend = rising(rows, captions)
    spearman = cluster_bootstrap_mean(
        spearman_with_order(rows) if blocks else [], captions, bounds=(-1.0, 1.0)
    )
    once = rising(means[:, 0], list(paths.captions)) if blocks else trend
    ends = np.take_along_axis(paths.scores[:, None], order[:, :, None], axis=3)
    samples = paths.scores.shape[1]
    last, first = ends[..., -1].ravel(), ends[..., 0].ravel()
    won = win_rate(last, first, np.repeat(captions, samples))
    tail = {"n": blocks, "n_expected": paths.n_expected, "permutations": PERMUTATIONS}
    figures: dict[str, Any] = {
        "median_spearman": trend.spearman,
        "ci_low": trend.ci_low,
        "ci_high": trend.ci_high,
        **spearman.fields("mean_spearman"),
        "p_value": once.p_value,
        "violations": trend.violations,
        "corner_win_rate": won.rate,
        "corner_win_rate_ci_low": won.ci_low,
        "corner_win_rate_ci_high": won.ci_high,
        "test": "Page's L of each caption's first order",
        **tail,
    }
    if withheld:
        return {**dict.fromkeys(figures), **tail, "reason": withheld}
    return {**figures, "reason": trend.reason} if trend.reason else figures


def _categories(
    of: Interpolation, model: Row, baseline: Row, withheld: str | None
) -> dict[str, dict[str, dict[str, Any]]]:
    """Category -> edge -> reward -> the central figures of its captions alone."""
    category_of = {caption.id: caption.category for caption in of.captions}
    kept = ("median_spearman", "ci_low", "ci_high", "corner_win_rate", "corner_win_rate_ci_low",
            "corner_win_rate_ci_high", "violations", "n", "reason")  # fmt: skip
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for edge in of.simplex.edges:
        for reward in edge:
            paths = edge_paths(of, model, baseline, edge, reward, reward)
            for category in dict.fromkeys(category_of.values()):
                part = _part(paths, [category_of[c] == category for c in paths.captions])
                cell = directed_test(part, withheld)
                short = {name: cell[name] for name in kept if name in cell}
                found.setdefault(category, {}).setdefault(edge_name(edge), {})[reward] = short
    return found


def _part(paths: Paths, mask: Sequence[bool]) -> Paths:
    """The paths of some captions."""
    chosen = np.array(mask, dtype=bool)
    return Paths(
        captions=tuple(c for c, keep in zip(paths.captions, mask, strict=True) if keep),
        scores=paths.scores[chosen],
        unit=paths.unit,
        n_expected=int(chosen.sum()),
    )


def _grid(
    of: Interpolation,
    model: Row,
    baseline: Row,
    scorers: Sequence[str],
    withheld: str | None,
) -> list[dict[str, Any]]:
    """Every mixture: by each scorer its gain over the baseline and how often it wins."""
    units = {scorer: deviation(baseline, scorer) for scorer in scorers}
    base = {scorer: scores_by(baseline.of_user(None), scorer) for scorer in scorers}
    found = []
    for point in of.simplex.points:
        results = model.of_user(point.id)
        right = [r.facts["all"] for r in results.values() if r.facts and "all" in r.facts]
        found.append(
            {
                "weights": dict(point.reward_weights or {}),
                "user": point.id,
                "rewards": {
                    scorer: _at_point(
                        scores_by(results, scorer), base[scorer], units[scorer], withheld
                    )
                    for scorer in scorers
                },
                "caption_fidelity": float(np.mean(right)) if right and not withheld else None,
            }
        )
    return found


def _at_point(
    ours: Mapping[tuple[str, int], float],
    base: Mapping[tuple[str, int], float],
    unit: float | None,
    withheld: str | None,
) -> dict[str, Any]:
    keys = sorted(ours.keys() & base.keys())
    captions = [caption for caption, _ in keys]
    won = win_rate([ours[key] for key in keys], [base[key] for key in keys], captions)
    gain = cluster_bootstrap_mean(
        [(ours[key] - base[key]) / (unit or 1.0) for key in keys], captions
    )
    figures: dict[str, Any] = {
        "gain": gain.estimate if unit else None,
        "gain_ci_low": gain.ci_low if unit else None,
        "gain_ci_high": gain.ci_high if unit else None,
        "win_rate": won.rate,
        "ci_low": won.ci_low,
        "ci_high": won.ci_high,
    }
    if withheld:
        return {**dict.fromkeys(figures), "n": won.n, "reason": withheld}
    reason = won.reason or (gain.reason if unit else CONSTANT)
    return {**figures, "n": won.n, **({"reason": reason} if reason else {})}


def _first_of_each_category(of: Interpolation) -> list[Caption]:
    """The captions of the gallery: the first of each category, at most three."""
    first = {caption.category: caption for caption in reversed(of.captions)}
    return [caption for caption in of.captions if first[caption.category] is caption][:3]
