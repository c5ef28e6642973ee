"""Why two runs cannot be compared in some respect, in words that name what differs.

Every function gives None where they can be. Elsewhere: runs that cannot be compared at all
(`compare.runs`), who asks (`compare.rewards` and its neighbours).
"""

from __future__ import annotations

from ppdbench.benchmarks.compare.runs import RunPair
from ppdbench.benchmarks.personal.roles import SPLITS


def unlike_scorers(pair: RunPair, key: str) -> str | None:
    """Why what a scorer says of both runs cannot be compared; None where it can."""
    ours, theirs = pair.a.identity(key), pair.b.identity(key)
    if ours == theirs is not None:
        return None
    name = key.removeprefix("reward:")
    if ours is None or theirs is None:
        lacking = pair.a if ours is None else pair.b
        return f"{lacking.label} was not measured by {name}"
    entries = [run.scorers[key] for run in (pair.a, pair.b)]
    what = [
        field
        for field in ("checkpoint_sha256", "architecture", "preprocess", "precision")
        if entries[0].get(field) != entries[1].get(field)
    ]
    unlike = f", which differ in {' and '.join(what)}" if what else ""
    return (
        f"other scorers: {name} is {ours} in {pair.a.label} and {theirs} in {pair.b.label}{unlike}"
    )


def unlike_baselines(pair: RunPair) -> str | None:
    """Why win rates over the baselines cannot be compared; None where they can."""
    if pair.a.baseline != pair.b.baseline:
        return f"other baselines: {pair.a.baseline} and {pair.b.baseline}"
    ours, theirs = (run.revision(run.baseline) for run in (pair.a, pair.b))
    if ours != theirs:
        return (
            f"other baselines: {pair.a.baseline} is {ours[:12]} in {pair.a.label} and "
            f"{theirs[:12]} in {pair.b.label}"
        )
    return None


def unlike_users(pair: RunPair) -> str | None:
    """Why two runs are about other users; None where they are about the same."""
    ours, theirs = pair.a.people, pair.b.people
    if ours == theirs:
        return None
    return (
        f"other users: their digest is {(ours or 'none')[:12]} in {pair.a.label} and "
        f"{(theirs or 'none')[:12]} in {pair.b.label}"
    )


def cannot_serve(pair: RunPair, split: str) -> str | None:
    """Which model cannot serve users of a split; a rate over some would pass for all."""
    for run in (pair.a, pair.b):
        strangers = (run.summary["generators"].get(run.model) or {}).get("unserved") or {}
        inside = [each for each in SPLITS if strangers.get(each) and split in (each, "all")]
        if inside:
            return f"{run.label} cannot serve {' and '.join(inside)} users"
    return None
