"""Benchmark `tradeoff`: what a method gains, for how much divergence, and at what diversity.

The objective of the PPD paper (Eq. 4) weighs reward against divergence from the reference, and a
gain alone does not say what was paid for it. Here stand all three for each row and user, for the
checkpoints on record too, and methods are compared where they have diverged alike. Divergence is
told twice: over all steps of the path, and without the last, in which a sampler draws nothing and
whose share is the schedule's clamp (`docs/tradeoff.md`). Elsewhere: points (`tradeoff.points`),
curves (`tradeoff.curves`), what is measured (`tradeoff.measure`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ppdbench.benchmarks.job import Job
from ppdbench.benchmarks.rows import Row
from ppdbench.benchmarks.tradeoff.curves import (
    Curve,
    at_divergence,
    curve_key,
    headline,
    step_of,
)
from ppdbench.benchmarks.tradeoff.diversity import embedder
from ppdbench.benchmarks.tradeoff.points import AXES, Point, figures
from ppdbench.benchmarks.tradeoff.world import World, world_of
from ppdbench.entries.curves import Curves

UNIT = "nats an image"
HEADLINE_AXIS = "divergence_before_last"
"""The divergence to quote: of the steps in which a sampler draws."""


def summarise_tradeoff(
    folder: Path,
    job: Job,
    rows: Mapping[str, Row],
    rewards: Mapping[str, Mapping[str, Any]],
    recorded: Curves,
    withheld: str | None,
) -> dict[str, Any]:
    """The figures, under "tradeoff".

    Args:
        folder: the run's.
        job: what it does.
        rows: by name, each with its results in this benchmark.
        rewards: reward name -> its entry in scorers.json.
        recorded: curves to compare with.
        withheld: why no figure is given, if so.

    Raises:
        PpdbenchError: a file of the run is damaged.
    """
    suite, name, layout = job.suite, embedder(rewards), job.tradeoff
    if layout is None:
        raise ValueError("the job does not make benchmark tradeoff")
    world = world_of(folder, job, layout, rows, rewards, recorded)
    found: dict[str, Any] = {
        "unit": UNIT,
        "captions": len(world.frame.captions),
        "samples": world.frame.samples,
        "divergence_samples": layout.divergence_samples,
        "reference": {
            "name": suite.baseline,
            "revision": job.generators[suite.baseline].info.revision,
        },
        "embedder": {
            "reward": name,
            **({k: rewards[name][k] for k in ("title", "gold", "identity")} if name else {}),
            **({"reason": world.frame.no_diversity} if world.frame.no_diversity else {}),
        },
        "rewards": list(world.frame.gold),
        "gold": {reward: twin for reward, twin in world.frame.gold.items() if twin},
        "points": [_point(world, point) for point in world.points],
        "curves": {
            curve.name: _curve(curve, steps=[step_of(point) for point in curve.points])
            for curve in world.curves.values()
        },
        "curves_over_betas": {
            curve.name: _curve(curve, rows=[point.row.name for point in curve.points])
            for curve in world.over_betas
        },
    }
    if withheld:
        return {"tradeoff": _withheld(found, withheld)}
    ours, theirs = (
        {axis: held(world, axis, found["points"]) for axis in AXES} for held in (_ours, _theirs)
    )
    return {
        "tradeoff": {
            **found,
            "matched": ours,
            "matched_theirs": theirs,
            "headline_axis": HEADLINE_AXIS,
            "headline": {
                axis: {
                    reward: headline(entry, theirs[axis][reward], reward)
                    for reward, entries in by_reward.items()
                    for entry in entries
                }
                for axis, by_reward in ours.items()
            },
        }
    }


def _curve(curve: Curve, **along: Sequence[Any]) -> dict[str, Any]:
    """What a curve is of, whether its points are of users, and what lies along it, each once."""
    users = any(point.reward for point in curve.points)
    told = {name: list(dict.fromkeys(values)) for name, values in along.items()}
    return {**curve.about, "users": users, **told}


def _point(world: World, point: Point) -> dict[str, Any]:
    at, curve = point.row.checkpoint, world.curve(point)
    return {
        "row": point.row.name,
        "source": point.row.source,
        "user": point.reward,
        "curve": curve.name if curve else None,
        "method": at.method if at else None,
        "labels": at.labels if at else None,
        "beta": at.beta if at else None,
        "step": at.step if at else None,
        "steps": at.steps if at else None,
        "seed": at.seed if at else None,
        **figures(point, world.frame, is_baseline=point.row.name == world.baseline),
    }


Entries = dict[str, list[dict[str, Any]]]
"""Reward -> points with what curves have at their divergence."""


def _ours(world: World, axis: str, listed: Sequence[Mapping[str, Any]]) -> Entries:
    """The model's points, each with every other curve at its divergence."""
    if world.model == world.baseline:
        return {reward: [] for reward in world.frame.gold}
    own = next((world.curve(p) for p in world.points if p.row.name == world.model), None)
    rivals = [curve for curve in world.curves.values() if curve is not own]
    rivals += [curve for curve in world.over_betas if own is None or curve.family != own.family]
    targets = [
        (point, said)
        for point, said in zip(world.points, listed, strict=True)
        if point.row.name == world.model
    ]
    return _entries(world, axis, targets, rivals)


def _theirs(world: World, axis: str, listed: Sequence[Mapping[str, Any]]) -> Entries:
    """The last checkpoints of other methods, with the curves of the model's at their divergence.

    Rows of no curve are there too; of a model that is of no curve nothing can be read off.
    """
    model = next((p.row.checkpoint for p in world.points if p.row.name == world.model), None)
    if model is None:
        return {reward: [] for reward in world.frame.gold}
    family = world.curves[curve_key(model)].family
    every = (*world.over_betas, *world.curves.values())
    mine = [curve for curve in every if curve.family == family]
    targets = []
    for point, said in zip(world.points, listed, strict=True):
        curve = world.curve(point)
        if point.row.name == world.baseline or (curve is not None and curve.family == family):
            continue
        if curve is None or point.row is curve.points[-1].row:
            targets.append((point, said))
    return _entries(world, axis, targets, mine)


def _entries(
    world: World,
    axis: str,
    targets: Sequence[tuple[Point, Mapping[str, Any]]],
    curves: Sequence[Curve],
) -> Entries:
    """Reward -> each target that counts for it, with what each curve has at its divergence."""
    who = ("row", "user", "curve", "method", "labels", "beta", "seed", axis, "diversity")
    return {
        reward: [
            {
                **{key: said[key] for key in who},
                **{key: value for key, value in said["rewards"][reward].items() if "gain" in key},
                "others": [
                    at_divergence(point, curve, reward, axis, world.frame)
                    for curve in curves
                    if curve.for_reward(reward)
                ],
            }
            for point, said in targets
            if point.counts_for(reward) and said[axis] is not None
        ]
        for reward in world.frame.gold
    }


KEPT = frozenset({"n_captions", "n_captions_expected", "n_samples"})


def _withheld(found: dict[str, Any], reason: str) -> dict[str, Any]:
    """All figures null, with the reason; who was measured, and how much, stays."""
    who = ("row", "source", "user", "curve", "method", "labels", "beta", "step", "steps", "seed")
    points = [
        {key: value if key in (*who, *KEPT) else None for key, value in point.items()}
        | {"rewards": {}, "reason": reason}
        for point in found["points"]
    ]
    blank: dict[str, Any] = {key: {} for key in ("matched", "matched_theirs", "headline")}
    return {**found, "points": points, **blank, "headline_axis": HEADLINE_AXIS, "reason": reason}
