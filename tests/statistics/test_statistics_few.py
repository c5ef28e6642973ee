"""Few data, or data that all agree: an honest interval or an honest refusal, never NaN.

Every public function that takes observations is tried on every such case, with warnings as errors.
What else a figure is, its own tests say.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ppdbench import statistics
from ppdbench.statistics import Interval
from ppdbench.statistics.agreement import agreement
from ppdbench.statistics.matched import matched
from ppdbench.statistics.mirrored import mirrored_mean, mirrored_rate
from ppdbench.statistics.order_flip import judged
from ppdbench.statistics.paired import clustered_standard_error
from ppdbench.statistics.same_draws import SameDraws
from ppdbench.statistics.top_k import Ranks, hit_rate, top_k
from ppdbench.statistics.training_spread import noise_of_trainings

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """Outcomes 0, 1/2 or 1, and the cluster of each."""

    values: Floats
    clusters: NDArray[np.int64]


def _case(values: Sequence[float], clusters: Sequence[int] | None = None) -> Case:
    labels = list(range(len(values))) if clusters is None else clusters
    return Case(np.array(values, dtype=np.float64), np.array(labels, dtype=np.int64))


CASES = {
    "nothing": _case([]),
    "one win": _case([1]),
    "one loss": _case([0]),
    "one tie": _case([0.5]),
    "a win and a loss": _case([1, 0]),
    "three wins": _case([1] * 3),
    "ten wins": _case([1] * 10),
    "all wins": _case([1] * 240),
    "all losses": _case([0] * 240),
    "all ties": _case([0.5] * 240),
    "a win among ties": _case([0.5] * 239 + [1]),
    "one loss in 240": _case([1] * 239 + [0]),
    "one cluster of wins": _case([1] * 50, [0] * 50),
    "one cluster of ties": _case([0.5] * 50, [0] * 50),
    "one mixed cluster": _case([1, 0] * 25, [0] * 50),
    "two clusters": _case([1] * 30 + [0] * 20, [0] * 30 + [1] * 20),
    "clusters that differ in size only": _case([1, 0] * 60, sorted([*range(15)] * 8)),
    "equal means, uneven clusters": _case([1] * 55, [g for g in range(10) for _ in range(g + 1)]),
}

Call = Callable[[Case], Any]


def _paths(case: Case) -> Floats:
    """A path a case: rising where it is won, falling where lost, flat at a tie."""
    return (case.values[:, None] - 0.5) * np.arange(4.0)


def _rogan_gladen(case: Case) -> Any:
    rate = statistics.cluster_bootstrap_mean(case.values, case.clusters, bounds=(0, 1))
    return [
        statistics.rogan_gladen(rate, statistics.wilson(83, 100)),
        statistics.rogan_gladen(statistics.wilson(83, 100), rate),
        statistics.rogan_gladen(rate, rate, rate),
    ]


def _trained(case: Case) -> Any:
    rate = statistics.cluster_bootstrap_mean(case.values, case.clusters, bounds=(0, 1))
    mean = statistics.cluster_bootstrap_mean(case.values, case.clusters)
    found: list[Any] = [statistics.with_training_spread(rate)]
    for other in (0.0, 0.5, 1.0):
        if rate.estimate is not None:
            group, noise = [rate.estimate, other], [1e-3]
            found += [
                statistics.with_training_spread(rate, group, noise=noise, bounds=(0.0, 1.0)),
                statistics.with_training_spread(mean, group),
                noise_of_trainings([case.values, np.full(len(case.values), other)], case.clusters),
            ]
    return found


def _bradley_terry(case: Case) -> Any:
    zeros = np.zeros(len(case.values), dtype=np.int64)
    return [
        statistics.bradley_terry(zeros, zeros + 1, case.values, case.clusters, 2),
        statistics.bradley_terry(zeros + 2, zeros, case.values, case.clusters, 3),
    ]


def _same_draws(case: Case) -> Any:
    draws = SameDraws(len(case.values), resamples=500)
    ends = (np.zeros(len(case.values)), np.ones(len(case.values)))
    return [
        draws.mean(case.values),
        matched(draws, at=case.values, ours=case.values, low=ends, high=(ends[1], ends[1])),
        matched(draws, at=case.values, ours=case.values, low=ends, high=ends),
    ]


FUNCTIONS: dict[str, Call] = {
    "win_rate": lambda c: statistics.win_rate(c.values, np.full(len(c.values), 0.5), c.clusters),
    "rate": lambda c: statistics.cluster_bootstrap_mean(c.values, c.clusters, bounds=(0, 1)),
    "mean": lambda c: statistics.cluster_bootstrap_mean(c.values, c.clusters),
    "ratio": lambda c: statistics.ratio_of_means_interval(c.values, 1 + c.values, c.clusters),
    "ratio over itself": lambda c: statistics.ratio_of_means_interval(
        c.values, c.values, c.clusters
    ),
    "ratio over nothing": lambda c: statistics.ratio_of_means_interval(
        c.values, 0 * c.values, c.clusters
    ),
    "wilson": lambda c: statistics.wilson(float(c.values.sum()), len(c.values)),
    "exact": lambda c: statistics.exact(int(c.values.sum()), len(c.values)),
    "sign_flip_test": lambda c: statistics.sign_flip_test(c.values - 0.5),
    "holm": lambda c: statistics.holm(c.values).tolist(),
    "rising": lambda c: statistics.rising(_paths(c), c.clusters),
    "paired_difference": lambda c: statistics.paired_difference(
        c.values, 0.5 + 0 * c.values, c.clusters
    ),
    "paired_difference of scores": lambda c: statistics.paired_difference(
        c.values, 0 * c.values, c.clusters, bounds=None
    ),
    "clustered_standard_error": lambda c: clustered_standard_error(c.clusters, c.values),
    "bradley_terry": _bradley_terry,
    "minimum_detectable_rate": lambda c: statistics.minimum_detectable_rate(len(c.values)),
    "rogan_gladen": _rogan_gladen,
    "with_training_spread": _trained,
    "mirrored_mean": lambda c: mirrored_mean(c.values, c.clusters, bounds=(0, 1)),
    "mirrored_rate": lambda c: mirrored_rate(c.values, c.clusters),
    "hit_rate": lambda c: hit_rate(c.values, c.clusters),
    "top_k": lambda c: top_k(
        Ranks(better=(20 * c.values).astype(np.int64), tied=np.ones(len(c.values), dtype=np.int64)),
        16, 300, c.clusters,
    ),
    "judged": lambda c: judged(c.values, c.values, c.clusters),
    "judged, always the first": lambda c: judged(0 * c.values + 1, 0 * c.values, c.clusters),
    "agreement": lambda c: agreement(c.values, c.values, c.clusters),
    "same_draws": _same_draws,
    "standard_deviation": lambda c: statistics.standard_deviation(c.values),
}  # fmt: skip


def _walk(found: Any) -> Iterator[Any]:
    """Every value in a result, with all dataclasses on the way."""
    yield found
    if is_dataclass(found) and not isinstance(found, type):
        for field in fields(found):
            yield from _walk(getattr(found, field.name))
    elif isinstance(found, list | tuple):
        for value in found:
            yield from _walk(value)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_few_or_equal_data_give_an_honest_interval_or_a_refusal(name: str, case: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = FUNCTIONS[name](CASES[case])
    for value in _walk(found):
        if isinstance(value, float | np.floating):
            assert math.isfinite(value)
        elif isinstance(value, Interval):
            _check(value)
        elif hasattr(value, "ci_low"):  # a trend, a win rate, a top-K
            assert value.reason if value.ci_low is None else value.ci_low <= value.ci_high
        p_value = getattr(value, "p_value", None)
        if p_value is not None:
            assert 0 < p_value <= 1


def _check(interval: Interval) -> None:
    """Both bounds or none, around the estimate, and a reason where something is missing."""
    assert (interval.ci_low is None) == (interval.ci_high is None)
    if interval.ci_low is None or interval.ci_high is None:
        assert interval.reason
        assert interval.method == "none"
        return
    assert interval.estimate is not None
    assert interval.ci_low <= interval.estimate <= interval.ci_high
    # Nothing is certain of few: an interval has width wherever there is one.
    assert interval.ci_high > interval.ci_low


@pytest.mark.parametrize("name", ["win_rate", "rate", "mirrored_mean", "mirrored_rate", "hit_rate"])
@pytest.mark.parametrize("case", [name for name in CASES if name != "nothing"])
def test_a_rate_is_never_refused_where_there_is_an_observation(name: str, case: str) -> None:
    found = FUNCTIONS[name](CASES[case])
    assert found.ci_low is not None and 0 <= found.ci_low < found.ci_high <= 1


@pytest.mark.parametrize("name", ["win_rate", "rate"])
def test_one_cluster_however_large_says_no_more_than_one_observation(name: str) -> None:
    one, many = FUNCTIONS[name](CASES["one win"]), FUNCTIONS[name](CASES["one cluster of wins"])
    assert (many.ci_low, many.ci_high) == (one.ci_low, one.ci_high)


def test_every_public_function_is_tried() -> None:
    tried = " ".join(FUNCTIONS)
    apart = {
        "outcomes": "no figure of its own: what win_rate counts",
        "minimum_detectable_difference": "of a standard error, which it refuses where it is 0",
    }
    public = {name for name in statistics.__all__ if name[0].islower()}
    missing = {
        name
        for name in public - apart.keys()
        if name not in tried
        and name not in ("cluster_bootstrap_mean", "ratio_of_means_interval")  # rate, mean, ratio
    }
    assert not missing
