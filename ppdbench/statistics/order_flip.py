"""Pairs judged twice with the images swapped: what survives the swap, and what the place decides.

Without abstentions a comparison falls into one of four fields, by what was picked while our image
was shown first and while it was shown second:

                        | second: picked | second: not picked
    first: picked       | win            | first_first
    first: not picked   | second_second  | loss

w_f = wins / (wins + losses), the consistent-only rate, rests on coverage c = (wins + losses) / N
and so on a choice that the judge makes: one that sees only the place keeps the easy comparisons
and looks better. The headline is therefore the tie-half rate: a comparison without the same pick
in both orders, an abstention included, is half a win, so that w_h = c w_f + (1 - c) / 2. Were all
of those won or lost, the rate would be anywhere in [c w_f, c w_f + 1 - c].
Swapping the systems (each outcome to 1 - outcome, and the orders with them) gives 1 - w to the
last bit.

Source: order-flipped judging after PPD (section 5.2) and FastChat's `win_rate_adjusted`; net
first-position bias after arXiv 2406.07791.
Elsewhere: agreement with labels (`agreement`), differences of two arms (`paired`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from ppdbench.statistics.clusters import Clusters
from ppdbench.statistics.intervals import Interval
from ppdbench.statistics.mirrored import mirrored_mean, mirrored_rate, share, sorted_totals
from ppdbench.statistics.permutation import sign_flip_test

Floats = NDArray[np.float64]

NONE_CONSISTENT = "no pick survived swapping the images"
FLAG_BELOW = 0.05
"""A first-pick bias with a smaller p-value is flagged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderTable:
    """How many comparisons fall into each field of the table above, and what follows from it."""

    wins: int
    """Ours picked in both orders."""
    losses: int
    first_first: int
    """The first image picked both times."""
    second_second: int
    ties: int
    """Abstained in both orders."""
    half_ties: int
    """Abstained in one order only: a flip, as the swap changed the verdict."""
    first_picks: int
    """Calls that picked the first image, of `picks`."""
    picks: int
    """Calls that did not abstain."""

    @property
    def n(self) -> int:
        """Comparisons."""
        return self.n_consistent + self.flips + self.ties

    @property
    def n_consistent(self) -> int:
        """Comparisons with the same pick in both orders."""
        return self.wins + self.losses

    @property
    def flips(self) -> int:
        """Comparisons whose verdict the swap changed."""
        return self.first_first + self.second_second + self.half_ties

    @property
    def lower_bound(self) -> float | None:
        """The win rate if all that is not consistent were lost: c w_f."""
        return share(self.wins, self.n) if self.n else None

    @property
    def upper_bound(self) -> float | None:
        """The win rate if all that is not consistent were won: c w_f + 1 - c."""
        return share(self.n - self.losses, self.n) if self.n else None

    @property
    def first_pick_rate(self) -> float | None:
        """Share of the calls with a pick that picked the first image."""
        return share(self.first_picks, self.picks) if self.picks else None

    @property
    def first_pick_bias(self) -> float | None:
        """(first_first - second_second) / n: net first-position bias, in [-1, 1]."""
        return (self.first_first - self.second_second) / self.n if self.n else None

    @property
    def first_pick_bias_p_value(self) -> float | None:
        """Two-sided exact binomial, of first_first among those that the place decided."""
        return first_pick_p_value(self.first_first, self.second_second) if self.n else None

    @property
    def first_pick_bias_flagged(self) -> bool | None:
        """Whether that p-value is below `FLAG_BELOW`."""
        p_value = self.first_pick_bias_p_value
        return None if p_value is None else p_value < FLAG_BELOW


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Win rates of our system in [0, 1]; what is unknown is None, and `reason` says why."""

    table: OrderTable
    win_rate: Interval
    """Tie-half: 1 of a win, 0 of a loss, else 1/2."""
    p_value: float | None
    """Two-sided, of the tie-half rate against 50%."""
    test: str
    consistent: Interval
    """Of the comparisons with the same pick in both orders; `reason` where there are none."""
    coverage: Interval
    """Share of comparisons with the same pick in both orders."""
    debiased: Interval
    """By the sign of the mean log-odds of both orders, which an additive bias for a place leaves
    alone; of the comparisons that have log-odds in both."""
    reason: str | None = None

    def fields(self) -> dict[str, Any]:
        """The figures as files hold them; `p_holm` is left to who knows the family."""
        table = self.table
        found: dict[str, Any] = {
            "win_rate": self.win_rate.estimate,
            "ci_low": self.win_rate.ci_low,
            "ci_high": self.win_rate.ci_high,
            "p_value": self.p_value,
            "p_holm": None,
            "n": table.n,
            "n_users": self.win_rate.n_clusters,
            **self.consistent.fields("consistent_win_rate"),
            "n_consistent": table.n_consistent,
            "wins": table.wins,
            "losses": table.losses,
            "flips": table.flips,
            "ties": table.ties,
            **self.coverage.fields("coverage"),
            "lower_bound": table.lower_bound,
            "upper_bound": table.upper_bound,
            "first_first": table.first_first,
            "second_second": table.second_second,
            "first_pick_rate": table.first_pick_rate,
            "first_pick_bias": table.first_pick_bias,
            "first_pick_bias_p_value": table.first_pick_bias_p_value,
            "first_pick_bias_flagged": table.first_pick_bias_flagged,
            **self.debiased.fields("debiased_win_rate"),
            "n_debiased": self.debiased.n,
            "test": self.test,
            "interval": self.win_rate.method,
        }
        if self.reason:
            found["reason"] = self.reason
        elif self.consistent.reason:
            found["consistent_reason"] = self.consistent.reason
        return found


def comparison_scores(first_order: ArrayLike, second_order: ArrayLike) -> Floats:
    """Tie-half score of each comparison, (N,): 1 of a win, 0 of a loss, else 1/2.

    Raises:
        ValueError: shapes differ, or an outcome is none of 0, 0.5 and 1.
    """
    first, second = _outcomes(first_order, second_order)
    return _scores(first, second)


def order_table(first_order: ArrayLike, second_order: ArrayLike) -> OrderTable:
    """Count the fields of the table.

    Args:
        first_order: outcome for our system while its image is shown first, shape (N,): 1 where it
            was picked, 0 where the other was, 0.5 where the judge abstained.
        second_order: the same while it is shown second.

    Raises:
        ValueError: shapes differ, or an outcome is none of 0, 0.5 and 1.
    """
    first, second = _outcomes(first_order, second_order)
    cells = np.bincount((2 * first).astype(np.intp) * 3 + (2 * second).astype(np.intp), minlength=9)
    loss, lost_tie, second_second, tie_lost, tie, tie_won, first_first, won_tie, win = (
        cells.tolist()
    )
    return OrderTable(
        wins=win,
        losses=loss,
        first_first=first_first,
        second_second=second_second,
        ties=tie,
        half_ties=lost_tie + tie_lost + tie_won + won_tie,
        first_picks=int((first == 1).sum() + (second == 0).sum()),
        picks=int((first != 0.5).sum() + (second != 0.5).sum()),
    )


def first_pick_p_value(first: int, second: int) -> float:
    """Chance that a fair coin splits first + second picks at least as unevenly; 1 without any.

    Several comparisons of one user are taken as independent: a place is preferred by the judge,
    whoever it judges for, and a warning too many is cheaper than one too few.
    """
    if not first + second:
        return 1.0
    return float(stats.binomtest(min(first, second), first + second).pvalue)


def judged(
    first_order: ArrayLike,
    second_order: ArrayLike,
    clusters: Clusters,
    *,
    first_log_odds: ArrayLike | None = None,
    second_log_odds: ArrayLike | None = None,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Judged:
    """All figures of comparisons that were judged in both orders.

    Args:
        first_order: outcome for our system while its image is shown first, shape (N,): 1 where it
            was picked, 0 where the other was, 0.5 where the judge abstained. A comparison with a
            failed call has no outcome and is left out.
        second_order: the same while it is shown second.
        clusters: cluster of each comparison (the user), shape (N,).
        first_log_odds: natural log-odds of *our* image over the other while shown first, shape
            (N,); NaN where the judge gave none.
        second_log_odds: the same while it is shown second. With a bias b for the first place the
            two are m + b and m - b, and their mean is m.
        confidence: two-sided coverage of the intervals.
        resamples: of the bootstrap, and draws of the test where it is not exact.
        seed: seeds both.

    Raises:
        ValueError: shapes differ, an outcome is none of 0, 0.5 and 1, or one order only has
            log-odds.
    """
    first, second = _outcomes(first_order, second_order)
    labels = np.asarray(clusters)
    if labels.shape != first.shape:
        raise ValueError(f"{first.shape} outcomes need as many clusters, got {labels.shape}")
    scores = _scores(first, second)
    table = order_table(first, second)
    kept = (first == second) & (first != 0.5)

    def mean(values: Floats, of: NDArray[np.generic]) -> Interval:
        return mirrored_mean(
            values, of, bounds=(0.0, 1.0), confidence=confidence, resamples=resamples, seed=seed
        )

    def rate(values: Floats, of: NDArray[np.generic]) -> Interval:
        return mirrored_rate(values, of, confidence=confidence, resamples=resamples, seed=seed)

    consistent = rate(first[kept], labels[kept])
    if table.n and not table.n_consistent:
        consistent = replace(consistent, reason=NONE_CONSISTENT)
    picks = _debiased(first_log_odds, second_log_odds, len(scores))
    known = np.isfinite(picks)
    p_value, test = None, "none"
    if table.n:
        flips = sign_flip_test(sorted_totals(labels, scores - 0.5), resamples=resamples, seed=seed)
        p_value, test = flips.p_value, flips.test
    return Judged(
        table=table,
        win_rate=mean(scores, labels),
        p_value=p_value,
        test=test,
        consistent=consistent,
        coverage=rate(kept.astype(np.float64), labels),
        debiased=mean(picks[known], labels[known]),
        reason=None if table.n else "no comparison was judged in both orders",
    )


def _scores(first: Floats, second: Floats) -> Floats:
    """1 where both picks are ours, 0 where both are theirs, else 1/2, (N,)."""
    return np.where(first == second, first, 0.5)


def _outcomes(first_order: ArrayLike, second_order: ArrayLike) -> tuple[Floats, Floats]:
    first = np.asarray(first_order, dtype=np.float64)
    second = np.asarray(second_order, dtype=np.float64)
    if first.ndim != 1 or first.shape != second.shape:
        raise ValueError(f"outcomes of {first.shape} and {second.shape}: one for each order")
    if not (np.isin(first, (0.0, 0.5, 1.0)).all() and np.isin(second, (0.0, 0.5, 1.0)).all()):
        raise ValueError("outcomes are 0, 0.5 or 1: leave comparisons with a failed call out")
    return first, second


def _debiased(first: ArrayLike | None, second: ArrayLike | None, n: int) -> Floats:
    """Outcome by the mean log-odds, (n,): 1, 0, or 0.5 where they cancel; NaN where unknown."""
    if first is None and second is None:
        return np.full(n, np.nan)
    if first is None or second is None:
        raise ValueError("log-odds are needed in both orders or in none")
    ours, theirs = np.asarray(first, dtype=np.float64), -np.asarray(second, dtype=np.float64)
    if ours.shape != (n,) or theirs.shape != (n,):
        raise ValueError(f"log-odds of {ours.shape} and {theirs.shape} for {n} comparisons")
    # Compared, not added: opposite infinities cancel too.
    picks = (ours > theirs) + 0.5 * (ours == theirs)
    return np.where(np.isnan(ours) | np.isnan(theirs), np.nan, picks)
