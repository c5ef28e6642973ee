"""What a rate read by an erring instrument would be without its errors: a sensitivity figure.

A judge that is right in 83% turns a true win rate t into an observed one of Se t + (1 - Sp)(1 - t),
between 17% and 83%. Solved for t,

    t = (p + Sp - 1) / (Se + Sp - 1),

which says what the observed rate would mean if the errors measured in calibration held here, on
other items. That cannot be known, so it stands beside a headline and never in its place.

Source: Rogan and Gladen (1978), American Journal of Epidemiology 107, 71-76; the calibration's
uncertainty by their variance formula, each bound with its own side of each interval (Zou and
Donner 2008, Statistics in Medicine 27, 1693-1702). Elsewhere: agreement with labels (`agreement`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ppdbench.statistics.intervals import Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrected:
    """A rate without the instrument's errors, in [0, 1]; what is unknown is None."""

    rate: Interval
    """`reason` says why it, or its bounds, are not given."""
    beyond: bool
    """Whether the observed rate lies outside [1 - Sp, Se], where no true rate puts it: the
    estimate is then 0 or 1."""


def rogan_gladen(
    observed: Interval, sensitivity: Interval, specificity: Interval | None = None
) -> Corrected:
    """The true rate behind an observed one.

    Args:
        observed: rate of wins that the instrument reports, with its interval.
        sensitivity: how often it reports a win where there is one, measured on other items.
        specificity: how often it reports a loss where there is one, measured apart from the
            sensitivity; where it is not given, the instrument errs alike both ways, and one
            accuracy with one uncertainty stands for both.

    Returns:
        The rate with its interval; refused with a reason where the instrument is no better than
        guessing (Se + Sp <= 1) or its calibration cannot tell it from guessing.

    Raises:
        ValueError: an estimate lies outside [0, 1], or the three differ in their confidence.
    """
    other = sensitivity if specificity is None else specificity
    parts = (observed, sensitivity, other)
    if any(part.estimate is not None and not 0 <= part.estimate <= 1 for part in parts):
        raise ValueError("rates must lie in [0, 1]")
    if len({part.confidence for part in parts}) > 1:
        raise ValueError("intervals must have one confidence")
    p, se, sp = (part.estimate for part in parts)
    if p is None or se is None or sp is None:
        return _refuse(observed, "a rate or an accuracy that it rests on is not known")
    informed = se + sp - 1
    if informed <= 0:
        return _refuse(observed, f"an accuracy of {(se + sp) / 2:.1%} is no better than guessing")
    exact = (p + sp - 1) / informed
    # As 81% read at 83% accuracy, some rates meet a bound but for rounding.
    beyond = not -1e-12 <= exact <= 1 + 1e-12
    estimate = min(1.0, max(0.0, exact))
    rate = _known(observed, sensitivity, specificity, estimate, informed)
    return Corrected(rate=rate, beyond=beyond)


def _known(
    observed: Interval,
    sensitivity: Interval,
    specificity: Interval | None,
    estimate: float,
    informed: float,
) -> Interval:
    """The corrected rate with its bounds, or with a reason why it has none."""
    sides = [_distances(part) for part in (observed, sensitivity, specificity or sensitivity)]
    if any(side is None for side in sides):
        reason = "the calibration or the observed rate has no interval"
        return _as(observed, estimate, None, reason)
    (p_low, p_high), (se_low, se_high), (sp_low, sp_high) = (side or (0, 0) for side in sides)
    if specificity is None:
        guessing = 2 * se_low
        # One accuracy: dt/da = (1 - 2t) / (2a - 1), so that its errors cancel at t = 1/2.
        lean = abs(1 - 2 * estimate)
        low_side, high_side = (se_high, se_low) if estimate > 0.5 else (se_low, se_high)
        below, above = math.hypot(p_low, lean * low_side), math.hypot(p_high, lean * high_side)
    else:
        guessing = math.hypot(se_low, sp_low)
        t, rest = estimate, 1 - estimate
        below = math.hypot(p_low, t * se_high, rest * sp_low)
        above = math.hypot(p_high, t * se_low, rest * sp_high)
    if informed <= guessing:
        reason = "the calibration cannot tell the instrument from guessing"
        return _as(observed, None, None, reason)
    bounds = (max(0.0, estimate - below / informed), min(1.0, estimate + above / informed))
    return _as(observed, estimate, bounds)


def _distances(part: Interval) -> tuple[float, float] | None:
    """How far an interval reaches below and above its estimate."""
    if part.estimate is None or part.ci_low is None or part.ci_high is None:
        return None
    return max(0.0, part.estimate - part.ci_low), max(0.0, part.ci_high - part.estimate)


def _refuse(observed: Interval, reason: str) -> Corrected:
    return Corrected(rate=_as(observed, None, None, reason), beyond=False)


def _as(
    observed: Interval,
    estimate: float | None,
    bounds: tuple[float, float] | None,
    reason: str | None = None,
) -> Interval:
    return Interval.of(
        estimate,
        bounds,
        n=observed.n,
        n_clusters=observed.n_clusters,
        confidence=observed.confidence,
        method="Rogan-Gladen with the calibration's uncertainty",
        reason=reason,
    )
