"""An interval over items, widened by how far the figure moves from one training to the next.

An interval over items is about these weights: train again with another seed, and the figure may
leave it. Where a method was trained several times, each training's figure on the same items is an
observation of that spread, and its variance adds to that of the items:

    variance = items + sum over rows of max(0, s^2 - noise)
    degrees of freedom = variance^2 / (items^2 / (G - 1) + sum of s^4 / (trainings - 1))

with s^2 over a row's trainings (ddof 1). Two trainings of equal quality still differ on finitely
many items: that `noise` is in s^2 and in the items' variance too, so it is taken out of one of
them, E s^2 = spread + noise. What is estimated from few trainings stays s^2, whose degrees of
freedom are few; so the interval errs on the wide side where the spread is small.
The estimate stays that of the weights measured, which are one draw from the method's trainings.

Source: variance components by the method of moments (Searle, Casella and McCulloch 1992, chapter
3), degrees of freedom after Satterthwaite (1946), Biometrics Bulletin 2, 110-114.
Elsewhere: the interval over items (`intervals`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from ppdbench.statistics.clusters import Clusters
from ppdbench.statistics.intervals import Interval
from ppdbench.statistics.paired import clustered_standard_error

Number = Callable[[float], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class WithTraining:
    """An interval with the spread over trainings in it, and what it was without."""

    interval: Interval
    items: Interval
    """Over items alone, as given."""
    share: float | None
    """Training's estimated share of the variance, in [0, 1]; None where no row has several
    trainings, or the interval has no bounds."""
    n_trainings: tuple[int, ...]
    """Of each row whose trainings were given."""


def with_training_spread(
    interval: Interval,
    *groups: Sequence[float],
    noise: Sequence[float] | None = None,
    bounds: tuple[float, float] | None = None,
) -> WithTraining:
    """Widen an interval by the spread between trainings.

    Of bounds (0, 1), with all estimates inside, variances are added on the logit scale, so that
    no bound leaves (0, 1); else on the figure's own. Each side keeps its own distance over items.
    The result is never narrower than the interval over items.

    Args:
        interval: the figure of the measured training, over items.
        groups: for each row whose training varies, the same figure by each of its trainings on
            the same items, the measured one among them: two or more each.
        noise: of each group, the variance that trainings of equal quality would show on these
            items (`noise_of_trainings`), in the figure's unit squared; 0 where it is not given,
            which takes all that differs for the training's.
        bounds: the smallest and largest value possible, where there are any.

    Raises:
        ValueError: a group has fewer than two trainings, a number is not finite or outside the
            bounds, or there are not as many noises as groups.
    """
    trainings, chance = _checked(groups, noise, bounds)
    counts = tuple(len(group) for group in trainings)
    low, estimate, high = interval.ci_low, interval.estimate, interval.ci_high
    as_it_is = WithTraining(interval=interval, items=interval, share=None, n_trainings=counts)
    if not trainings or low is None or estimate is None or high is None:
        return as_it_is
    inside = bounds == (0.0, 1.0) and all(
        0 < value < 1 for value in (estimate, *np.concatenate(trainings))
    )
    scale: Number = _logit if inside else float
    back: Number = _expit if inside else float
    z = float(stats.norm.ppf((1 + interval.confidence) / 2))
    middle = scale(estimate)
    down, up = (middle - scale(low)) / z, (scale(high) - middle) / z
    observed = [_variance([scale(value) for value in group]) for group in trainings]
    # What chance explains is known on the figure's own scale, and is the same share on any.
    between = sum(
        one * _beyond(part, _variance(group))
        for one, part, group in zip(observed, chance, trainings, strict=True)
    )
    known = [side for side in (down, up) if np.isfinite(side)]
    items = (sum(known) / len(known)) ** 2 if known else 0.0
    total = items + between
    if total == 0:
        return as_it_is
    parts = [(items, interval.n_clusters), *zip(observed, counts, strict=True)]
    # Satterthwaite's degrees of freedom; never less than the normal distribution's reach.
    freedom = total**2 / sum(variance**2 / max(1, count - 1) for variance, count in parts)
    t = max(z, float(stats.t.ppf((1 + interval.confidence) / 2, max(1.0, freedom))))
    wider_low = back(middle - t * float(np.sqrt(down**2 + between)))
    wider_high = back(middle + t * float(np.sqrt(up**2 + between)))
    if bounds is not None:
        wider_low, wider_high = max(wider_low, bounds[0]), min(wider_high, bounds[1])
    wider = replace(
        interval,
        # There and back again moves the last bits.
        ci_low=min(wider_low, low),
        ci_high=max(wider_high, high),
        method=f"{interval.method}, with the spread over trainings",
    )
    return replace(as_it_is, interval=wider, share=between / total)


def noise_of_trainings(values: ArrayLike, clusters: Clusters) -> float:
    """Variance among trainings of equal quality that so few items alone would show.

    Half the squared standard error of the difference of two trainings on the same items, robust
    to clusters, on average over the pairs of trainings.

    Args:
        values: what each training has on each item, shape (K, N), K >= 2, finite.
        clusters: cluster of each item, shape (N,).

    Raises:
        ValueError: shapes do not fit, or a value is not finite.
    """
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2 or len(table) < 2:
        raise ValueError(f"values of shape {table.shape}: two trainings are needed")
    errors = [
        clustered_standard_error(clusters, one - other) or 0.0
        for one, other in combinations(table, 2)
    ]
    return sum(error**2 for error in errors) / len(errors) / 2


def _checked(
    groups: Sequence[Sequence[float]],
    noise: Sequence[float] | None,
    bounds: tuple[float, float] | None,
) -> tuple[list[NDArray[np.float64]], list[float]]:
    chance = [0.0] * len(groups) if noise is None else list(noise)
    if len(chance) != len(groups) or not all(0 <= value < np.inf for value in chance):
        raise ValueError(f"{len(groups)} rows need as many variances of noise, 0 or more")
    trainings = [np.asarray(group, dtype=np.float64) for group in groups]
    for group in trainings:
        if group.ndim != 1 or len(group) < 2 or not np.isfinite(group).all():
            raise ValueError("each row needs the finite figures of two trainings or more")
        if bounds is not None and (group.min() < bounds[0] or group.max() > bounds[1]):
            raise ValueError(f"a training's figure lies outside its bounds {bounds}")
    return trainings, chance


def _beyond(noise: float, observed: float) -> float:
    """The share of an observed variance that noise does not explain, on the figure's own scale."""
    return max(0.0, 1 - noise / observed) if observed > 0 else 0.0


def _variance(values: ArrayLike) -> float:
    """Sample variance; of equal values 0, not what rounding makes of it."""
    array = np.asarray(values, dtype=np.float64)
    return 0.0 if np.ptp(array) == 0 else float(np.var(array, ddof=1))


def _logit(value: float) -> float:
    return float(special.logit(value))


def _expit(value: float) -> float:
    return float(special.expit(value))
