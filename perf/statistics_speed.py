"""How fast the cluster bootstrap is: 10,000 BCa resamples of 5,000 items, beside scipy's own.

`cluster_bootstrap_mean` from values and labels against `scipy.stats.bootstrap(method="BCa")` on the
same cluster totals, made beforehand, vectorised, its batch the fastest of some; in one process,
alternating, medians. Three kinds of data: a score of each of 5,000 captions; scores in clusters of
uneven size; wins, ties and losses in such clusters. Both find the same intervals but for Monte
Carlo error, which is measured too. Neither uses more than one thread.

    python perf/statistics_speed.py [--items 5000] [--resamples 10000] [--repeats 5]

Exits 1 if one of the three takes more than a second; writes results/statistics_speed.json.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from result_file import RESULTS, header, write_result
from scipy import stats

from ppdbench.statistics import cluster_bootstrap_mean

MOST_SECONDS = 1.0
OUT = RESULTS / "statistics_speed.json"
BATCHES = (10, 100, 1000)
"""Resamples that scipy gathers at once; all together would need gigabytes."""

Floats = NDArray[np.float64]
Data = tuple[Floats, NDArray[np.int64]]


def data(items: int) -> dict[str, Data]:
    """Kind -> values and clusters, (items,) each."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(items), rng.integers(1, 6, items))[:items]
    wins = rng.choice([0.0, 0.5, 1.0], p=[0.3, 0.05, 0.65], size=items)
    return {
        "a score a caption": (rng.normal(size=items), np.arange(items)),
        "scores, 1 to 5 a cluster": (rng.normal(size=items), labels),
        "wins, 1 to 5 a cluster": (wins, labels),
    }


def by_scipy(totals: Floats, counts: Floats, resamples: int, batch: int) -> tuple[float, float]:
    """Bounds by scipy's BCa bootstrap of a ratio of paired totals."""
    found = stats.bootstrap(
        (totals, counts),
        lambda a, b, axis=-1: a.sum(axis=axis) / b.sum(axis=axis),
        paired=True,
        vectorized=True,
        n_resamples=resamples,
        method="BCa",
        batch=batch,
        rng=np.random.default_rng(1),
    ).confidence_interval
    return float(found.low), float(found.high)


def by_us(values: Floats, labels: NDArray[np.int64], resamples: int) -> tuple[float, float]:
    """Bounds by ours."""
    found = cluster_bootstrap_mean(values, labels, resamples=resamples)
    if found.ci_low is None or found.ci_high is None:
        raise SystemExit(f"no interval: {found.reason}")
    return found.ci_low, found.ci_high


def seconds(function: Callable[[], object]) -> float:
    """How long one call takes."""
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def measure(found: Data, resamples: int, repeats: int) -> dict[str, Any]:
    """Both sides' times on one kind of data, and how far their bounds lie apart."""
    values, labels = found
    counts = np.bincount(labels).astype(np.float64)
    totals = np.bincount(labels, weights=values).astype(np.float64)
    tried = [seconds(partial(by_scipy, totals, counts, resamples, size)) for size in BATCHES]
    batch = BATCHES[tried.index(min(tried))]
    ours, theirs = [], []
    for _ in range(repeats):
        ours.append(seconds(lambda: by_us(values, labels, resamples)))
        theirs.append(seconds(lambda: by_scipy(totals, counts, resamples, batch)))
    one, other = by_us(values, labels, resamples), by_scipy(totals, counts, resamples, batch)
    apart = max(abs(a - b) for a, b in zip(one, other, strict=True)) / (other[1] - other[0])
    return {
        "clusters": len(counts),
        "seconds": round(statistics.median(ours), 4),
        "scipy_seconds": round(statistics.median(theirs), 4),
        "scipy_batch": batch,
        "scipy_over_ours": round(statistics.median(theirs) / statistics.median(ours), 2),
        "bounds_apart_in_widths": round(apart, 4),
    }


def main() -> int:
    """Parse, measure, write, judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--items", type=int, default=5000)
    parser.add_argument("--resamples", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    runs = {}
    for name, found in data(given.items).items():
        runs[name] = measure(found, given.resamples, given.repeats)
        print(f"{name}: {runs[name]}", file=sys.stderr, flush=True)
    slowest = max(run["seconds"] for run in runs.values())
    record = {
        **header(),
        "items": given.items,
        "resamples": given.resamples,
        "repeats": given.repeats,
        "runs": runs,
        "bars": {"seconds": MOST_SECONDS},
        "passed": slowest <= MOST_SECONDS,
    }
    write_result(record, given.out)
    return 0 if record["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
