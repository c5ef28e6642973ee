"""Small multiples of an interpolation: a score against a weight that grows, all on one scale.

Each drawing is of one reward along one edge; its points are mixtures, from a weight of 0 on the
left to one of 1 on the right. Elsewhere: the section (`interpolation.section`), axes (`scales`),
the layout (`templates/interpolation.html.j2`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ppdbench.reports.scales import Scale, around, corners, labels, ticks

WIDTH, HEIGHT = 320, 176
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 10, 26
"""Room around the plot for its labels."""
LABELLED = 6
"""Weights that are written below the axis at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One mixture: the weight and what was gained there; None where it is not known."""

    weight: float
    gain: float | None
    low: float | None
    high: float | None
    gold: float | None
    """The gain by the gold reward."""
    said: str
    """The place in words, for who cannot see it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """One drawing."""

    line: str
    band: str
    gold: str
    dots: tuple[tuple[float, float, str], ...]
    """x, y and what the dot says when asked."""
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    zero: float
    """Where the baseline lies."""
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    bottom: int = HEIGHT - BOTTOM


def scale_of(paths: Sequence[Sequence[Step]]) -> Scale:
    """The upward axis that all drawings share: it shows every point, interval and the baseline."""
    low, high = around(
        value for steps in paths for s in steps for value in (s.gain, s.low, s.high, s.gold)
    )
    return Scale(low=low, high=high, start=HEIGHT - BOTTOM, end=TOP)


def drawing(steps: Sequence[Step], up: Scale) -> Steps | None:
    """Lay out one path; None where no point of it is known.

    Args:
        steps: the path, the weight growing.
        up: the axis that it shares with the others.
    """
    across = Scale(low=0.0, high=1.0, start=LEFT, end=WIDTH - RIGHT)
    known = [(step, step.gain) for step in steps if step.gain is not None]
    if not known:
        return None
    bounds = [
        (across(s.weight), up(s.low), up(s.high))
        for s in steps
        if s.low is not None and s.high is not None
    ]
    marks = ticks(up.low, up.high, 4)
    return Steps(
        line=corners((across(step.weight), up(gain)) for step, gain in known),
        band=corners(
            [*((x, high) for x, _, high in bounds), *((x, low) for x, low, _ in reversed(bounds))]
        ),
        gold=corners((across(s.weight), up(s.gold)) for s in steps if s.gold is not None),
        dots=tuple((across(step.weight), up(gain), step.said) for step, gain in known),
        x_ticks=tuple((across(weight), f"{weight:.3g}") for weight in _written(steps)),
        y_ticks=tuple(
            (up(value), text) for value, text in zip(marks, labels(marks, plus=True), strict=True)
        ),
        zero=up(0.0),
    )


def _written(steps: Sequence[Step]) -> list[float]:
    """The weights that have room below the axis: both ends always, and what lies evenly between."""
    every = next(
        n
        for n in range(1, len(steps) + 1)
        if (len(steps) - 1) % n == 0 and len(steps) / n < LABELLED
    )
    return [step.weight for step in steps[::every]]
