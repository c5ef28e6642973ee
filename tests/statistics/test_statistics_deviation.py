"""The unit of gains: a sample's standard deviation, or none."""

from __future__ import annotations

import numpy as np
import pytest

from ppdbench.statistics import standard_deviation


def test_by_hand() -> None:
    assert standard_deviation([1.0, 2.0, 3.0]) == 1
    assert standard_deviation([5.0, 7.0]) == pytest.approx(2**0.5)


@pytest.mark.parametrize("values", [[], [3.0], [0.0, 0.0], [0.1] * 3, [-0.7] * 11, [1e-9] * 5])
def test_what_does_not_vary_has_none(values: list[float]) -> None:
    assert standard_deviation(values) is None


def test_rounding_is_no_spread() -> None:
    """0.1 + 0.2 is not 0.3 to the last bit."""
    assert np.std([0.1] * 3, ddof=1) > 0
    assert standard_deviation([0.3, 0.1 + 0.2]) is None


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_the_scale_of_scores_does_not_matter(scale: float) -> None:
    values = np.random.default_rng(0).normal(10, 1, 50)
    assert standard_deviation(scale * values) == pytest.approx(scale * np.std(values, ddof=1))
