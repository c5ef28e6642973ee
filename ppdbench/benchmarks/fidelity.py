"""Caption fidelity: how often an image shows what its caption says, fact by fact.

A preference gain that costs fidelity is no gain, so it stands beside every number. Intervals
resample captions, or who asked for them; the difference from the baseline is paired by caption and
noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ppdbench.benchmarks.rows import Row
from ppdbench.runs.results import Result
from ppdbench.statistics.intervals import cluster_bootstrap_mean


def fidelity(row: Row, clusters: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Fact -> rate of images that have it right, with interval; over all users of a row.

    Args:
        row: whose images.
        clusters: caption id -> what is resampled; the caption itself where not given.
    """
    judged = [(_cluster(result, clusters), result.facts) for result in row.results if result.facts]
    found: dict[str, Any] = {}
    for fact in _facts(row.results):
        hits = [(cluster, facts[fact]) for cluster, facts in judged if fact in facts]
        interval = cluster_bootstrap_mean(
            [float(hit) for _, hit in hits], [cluster for cluster, _ in hits], bounds=(0.0, 1.0)
        )
        found[fact] = {
            "rate": interval.estimate,
            "ci_low": interval.ci_low,
            "ci_high": interval.ci_high,
            "n": interval.n,
        }
    return found


def fidelity_difference(
    model: Row, baseline: Row, clusters: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Fact -> model minus baseline, in [-1, 1]; each user's image against the baseline's own.

    Args:
        model: whose images.
        baseline: its images for nobody.
        clusters: as for `fidelity`.
    """
    base = baseline.of_user(None)
    found: dict[str, Any] = {}
    for fact in _facts(model.results):
        pairs = [
            (_cluster(result, clusters), float(result.facts[fact]) - float(other.facts[fact]))
            for result in model.results
            if (other := base.get((result.caption_id, result.sample))) is not None
            and result.facts is not None
            and other.facts is not None
            and fact in result.facts
            and fact in other.facts
        ]
        interval = cluster_bootstrap_mean(
            [difference for _, difference in pairs],
            [cluster for cluster, _ in pairs],
            bounds=(-1.0, 1.0),
        )
        found[fact] = {
            "difference": interval.estimate,
            "ci_low": interval.ci_low,
            "ci_high": interval.ci_high,
            "n": interval.n,
        }
        if interval.reason:
            found[fact]["reason"] = interval.reason
    return found


def _cluster(result: Result, clusters: Mapping[str, str] | None) -> str:
    return result.caption_id if clusters is None else clusters[result.caption_id]


def _facts(results: tuple[Result, ...]) -> list[str]:
    """Every fact that was judged, in the classifier's order, "all" last."""
    facts = {fact: None for result in results for fact in result.facts or {}}
    return [fact for fact in facts if fact != "all"] + (["all"] if "all" in facts else [])
