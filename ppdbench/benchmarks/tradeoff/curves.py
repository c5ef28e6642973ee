"""Curves of checkpoints, and what methods gain where they have diverged alike.

A curve is one training (method, labels, beta, seed), its points its checkpoints; or a method's
finished trainings (method, labels, seed) by falling beta. At a divergence a curve is interpolated
between the two neighbours that enclose it; where it passes several times, its last passing counts:
the most trained, or the smallest beta. Beyond its ends nothing is said. Elsewhere: the points
(`tradeoff.points`), the arithmetic (`statistics.matched`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ppdbench.benchmarks.tradeoff.points import AXES, Frame, Point
from ppdbench.protocols import Checkpoint
from ppdbench.statistics.matched import matched

if TYPE_CHECKING:
    from numpy.typing import NDArray

CurveKey = tuple[str, str | None, float | None, int | None, str]
"""(method, labels, beta, seed, training)."""
MATCHED = ("gain", "gold_gain", "diversity")
"""What is read off a curve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One training's checkpoints, or a method's finished trainings."""

    name: str
    key: CurveKey
    """Of a curve over betas without beta and training."""
    points: tuple[Point, ...]
    """In order, of training or of falling beta; of who hears weights those of all users."""
    over: Literal["steps", "betas"] = "steps"

    def for_reward(self, reward: str) -> list[Point]:
        """The points that count for a reward, in order."""
        return [point for point in self.points if point.counts_for(reward)]

    @property
    def family(self) -> tuple[str, str | None]:
        """Method and labels: of which method's curves it is one."""
        return self.key[:2]

    @property
    def about(self) -> dict[str, Any]:
        """What it is of."""
        method, labels, beta, seed, _ = self.key
        known = {"method": method, "labels": labels, "beta": beta, "seed": seed}
        return {**known, "over": self.over}


def curve_key(checkpoint: Checkpoint) -> CurveKey:
    """What the checkpoints of one training have in common."""
    at = checkpoint
    return at.method, at.labels, at.beta, at.seed, at.training


def curves_of(points: Sequence[Point]) -> dict[CurveKey, Curve]:
    """The curves through points, in the order of their first ones."""
    groups: dict[CurveKey, list[Point]] = {}
    for point in points:
        if point.row.checkpoint is not None:
            groups.setdefault(curve_key(point.row.checkpoint), []).append(point)
    plain = [_name(key) for key in groups]
    return {
        key: Curve(
            name=name if plain.count(name) == 1 or not key[-1] else f"{name} ({key[-1][:6]})",
            key=key,
            points=tuple(sorted(group, key=step_of)),
        )
        for name, (key, group) in zip(plain, groups.items(), strict=True)
    }


def curves_over_betas(curves: Iterable[Curve]) -> list[Curve]:
    """Through the ends of finished trainings that differ in beta, where there are two or more."""
    groups: dict[CurveKey, dict[float, tuple[Point, ...]]] = {}
    for curve in curves:
        method, labels, beta, seed, _ = curve.key
        last = curve.points[-1].row
        if beta is not None and last.checkpoint and last.checkpoint.step == last.checkpoint.steps:
            ends = tuple(point for point in curve.points if point.row is last)
            groups.setdefault((method, labels, None, seed, ""), {}).setdefault(beta, ends)
    return [
        Curve(
            name=f"{_name(key)}, over betas",
            key=key,
            points=tuple(point for beta in sorted(ends, reverse=True) for point in ends[beta]),
            over="betas",
        )
        for key, ends in groups.items()
        if len(ends) > 1
    ]


def step_of(point: Point) -> int:
    """At which training step a point of a curve is.

    Raises:
        ValueError: it is of no curve.
    """
    if point.row.checkpoint is None:
        raise ValueError(f"{point.row.name} is of no curve")
    return point.row.checkpoint.step


def _name(key: CurveKey) -> str:
    method, labels, beta, seed, _ = key
    said = [f"{method} for {labels}" if labels else method]
    said += [f"beta {beta:g}"] if beta is not None else []
    said += [f"seed {seed}"] if seed else []
    return ", ".join(said)


def at_divergence(own: Point, curve: Curve, reward: str, axis: str, frame: Frame) -> dict[str, Any]:
    """What a curve has where it has diverged as far as a point: `MATCHED` and their differences.

    Args:
        own: the point whose divergence is matched.
        curve: another training's.
        reward: by which gains are.
        axis: of `AXES`.
        frame: what all is measured by.
    """
    blank = {
        f"{name}{kind}{end}": None
        for name in MATCHED
        for kind in ("", "_difference")
        for end in ("", "_ci_low", "_ci_high")
    }
    known = [point for point in curve.for_reward(reward) if _known(point, axis, frame)]
    about = {"curve": curve.name, **curve.about}
    neighbours = _neighbours(own, known, axis, frame)
    if isinstance(neighbours, str):
        return {**about, "between": None, **blank, "n_captions": 0, "reason": neighbours}
    low, high = neighbours
    found: dict[str, Any] = {}
    reasons, n = [], 0
    for name in MATCHED:
        height = matched(
            frame.draws,
            at=_x(own, axis, frame),
            ours=_y(own, name, reward, frame),
            low=(_x(low, axis, frame), _y(low, name, reward, frame)),
            high=(_x(high, axis, frame), _y(high, name, reward, frame)),
        )
        found |= height.height.fields(name) | height.difference.fields(f"{name}_difference")
        if name == "gain":
            n, reasons = height.height.n, [height.height.reason]
    between = [low.row.name, high.row.name]
    whole = {**about, "between": between, **found, "n_captions": n}
    return {**whole, "reason": reasons[0]} if reasons[0] else whole


def _neighbours(
    own: Point, known: Sequence[Point], axis: str, frame: Frame
) -> tuple[Point, Point] | str:
    """The checkpoints of the last passing of a divergence, or why there are none."""
    if not known:
        return "its divergence is not known"
    if len(known) == 1:
        return "it has one point: between two something could be said"
    at = float(np.nanmean(_x(own, axis, frame)))
    reached = [float(np.nanmean(_x(point, axis, frame))) for point in known]
    for (low, low_x), (high, high_x) in reversed(list(pairwise(zip(known, reached, strict=True)))):
        if min(low_x, high_x) <= at <= max(low_x, high_x):
            return low, high
    if at > max(reached):
        return f"it reaches {max(reached):.3g} nats at most"
    return f"none of its points is nearer than {min(reached):.3g} nats"


def headline(
    model: Mapping[str, Any], theirs: Sequence[Mapping[str, Any]], reward: str
) -> dict[str, Any]:
    """A reward's entry of the model for one sentence: one curve a rival, in both directions.

    `others` are, of each other method, the curve that gains most at the model's divergence: chosen
    on the very figures, for the rival's good. `theirs` are, of each other method, the last
    checkpoint that gains most, with what the model's method has at its divergence over betas, or
    where that says nothing on the model's own curve, or on that of nearest beta. Who was taught by
    another reward's labels is no rival.
    """
    rivals = [each for each in theirs if _is_rival(each, model, reward)]
    return {
        **model,
        "others": _best(other for other in model["others"] if _is_rival(other, model, reward)),
        "theirs": [{**each, "others": _nearest(each["others"], model)} for each in _best(rivals)],
    }


def _is_rival(other: Mapping[str, Any], model: Mapping[str, Any], reward: str) -> bool:
    return other["labels"] in (None, reward) and _family(other) != _family(model)


def _best(entries: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Of each method (and labels) the entry that gains most; one that says nothing if all do."""
    best: dict[Any, Mapping[str, Any]] = {}
    for entry in entries:
        before = best.setdefault(_family(entry), entry)
        if _gain(entry) > _gain(before):
            best[_family(entry)] = entry
    return list(best.values())


def _nearest(
    others: Sequence[Mapping[str, Any]], model: Mapping[str, Any]
) -> list[Mapping[str, Any]]:
    """The first to say something: the method's curve over betas, the model's own, the nearest."""

    def far(other: Mapping[str, Any]) -> tuple[bool, bool, bool, float, bool]:
        betas = other["beta"], model["beta"]
        apart = abs(float(np.log(betas[0] / betas[1]))) if all(betas) else 0.0
        steps, mine = other["over"] == "steps", other["curve"] == model["curve"]
        return other["gain"] is None, steps, not mine, apart, other["seed"] != model["seed"]

    return sorted(others, key=far)[:1]


def _family(entry: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """What is one method: who is of no curve is its own."""
    return entry["method"] or entry.get("row"), entry["labels"]


def _gain(entry: Mapping[str, Any]) -> float:
    return -np.inf if entry["gain"] is None else float(entry["gain"])


def _known(point: Point, axis: str, frame: Frame) -> bool:
    return bool(np.isfinite(_x(point, axis, frame)).any())


def _x(point: Point, axis: str, frame: Frame) -> NDArray[np.float64]:
    return frame.column(point.lines, AXES[axis])


def _y(point: Point, name: str, reward: str, frame: Frame) -> NDArray[np.float64]:
    if name == "diversity":
        return frame.diversity(point.lines)
    scorer = reward if name == "gain" else frame.gold[reward]
    return frame.gain(point.lines, scorer)
