"""Caption fidelity of two runs: which of them draws what the caption says, image by image.

Fact by fact, as one run reports it (`fidelity`); "all" of a caption's facts right is what is
tested, the single facts are described. Elsewhere: which images are paired (`compare.rewards`,
`compare.personal`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ppdbench.benchmarks.compare.cells import NOTHING_SHARED, Compared, difference
from ppdbench.benchmarks.compare.runs import RunPair
from ppdbench.runs.results import FIDELITY, Result

WHOLE = "all"
DESCRIBED = (
    "difference",
    "ci_low",
    "ci_high",
    "a",
    "b",
    "n",
    "n_expected",
    "n_clusters",
    "interval",
)
"""What is told of a fact that is not tested."""


def compare_fidelity(
    found: Compared,
    pair: RunPair,
    drawn: Mapping[str, Sequence[Result]],
    benchmark: str,
    *,
    clusters: Mapping[str, str] | None = None,
    resamples: int = 10_000,
) -> None:
    """Add fact -> A minus B; or say why it is left out.

    Args:
        found: where it is put.
        pair: the runs.
        drawn: a run's letter -> its images. Who drew for users is paired user by user; who drew
            for nobody, by its only image of a caption.
        benchmark: the figures' key in summary.json.
        clusters: caption id -> what is resampled; the caption itself where not given.
        resamples: of intervals and test.
    """
    ours, theirs = (list(drawn[run.letter]) for run in (pair.a, pair.b))
    facts = list(dict.fromkeys(fact for r in [*ours, *theirs] for fact in r.facts or {}))
    if not facts:
        return
    if reason := _unlike_classifiers(pair):
        found.leave_out(benchmark, pair, reason)
        return
    pairs = _paired(ours, theirs)
    cells: dict[str, Any] = {}
    for fact in [*(f for f in facts if f != WHOLE), *(f for f in facts if f == WHOLE)]:
        shared = [
            (a.caption_id, float(a.facts[fact]), float(b.facts[fact]))
            for a, b in pairs
            if a and b and a.facts and b.facts and fact in a.facts and fact in b.facts
        ]
        cell = difference(
            [mine for _, mine, _ in shared],
            [other for _, _, other in shared],
            [clusters[caption] if clusters else caption for caption, _, _ in shared],
            n_expected=len(pairs),
            resamples=resamples,
        )
        kept = {key: cell[key] for key in DESCRIBED}
        told = {"reason": cell["reason"]} if "reason" in cell else {}
        cells[fact] = cell if fact == WHOLE else {**kept, **told}
    if any(cell["n"] for cell in cells.values()):
        found.put(benchmark, pair, cells)
    else:
        found.leave_out(benchmark, pair, NOTHING_SHARED)


def _paired(
    ours: Sequence[Result], theirs: Sequence[Result]
) -> list[tuple[Result | None, Result | None]]:
    """Images of both runs by caption, sample, seed and user; None where one has none."""
    by_user = all(any(r.user is not None for r in each) for each in (ours, theirs))
    if by_user or not any(r.user is not None for r in [*ours, *theirs]):
        a = {(r.caption_id, r.sample, r.seed, r.user): r for r in ours}
        b = {(r.caption_id, r.sample, r.seed, r.user): r for r in theirs}
        return [(a.get(key), b.get(key)) for key in sorted(a.keys() | b.keys(), key=str)]
    if not any(r.user is not None for r in ours):
        return [(a, b) for b, a in _paired(theirs, ours)]
    only = {(r.caption_id, r.sample, r.seed): r for r in theirs}
    found: list[tuple[Result | None, Result | None]] = [
        (r, only.get((r.caption_id, r.sample, r.seed)))
        for r in sorted(ours, key=lambda r: (r.caption_id, r.sample, r.seed, str(r.user)))
    ]
    known = {(r.caption_id, r.sample, r.seed) for r in ours}
    return found + [(None, r) for key, r in sorted(only.items()) if key not in known]


def _unlike_classifiers(pair: RunPair) -> str | None:
    ours, theirs = (run.identity(FIDELITY) for run in (pair.a, pair.b))
    if ours == theirs:
        return None
    return (
        f"other caption classifiers: {ours or 'none'} in {pair.a.label} and "
        f"{theirs or 'none'} in {pair.b.label}"
    )
