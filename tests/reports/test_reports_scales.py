"""Axes: values in order, round ticks inside, roots from 0."""

from __future__ import annotations

import itertools
import math

import pytest

from ppdbench.reports.scales import Scale, around, corners, labels, root_ticks, ticks

MINUS = "\N{MINUS SIGN}"


def test_a_scale_maps_ends_to_ends_and_holds_what_lies_beyond() -> None:
    up = Scale(low=-1.0, high=3.0, start=200.0, end=0.0)
    assert [up(-1.0), up(1.0), up(3.0)] == [200.0, 100.0, 0.0]
    assert [up(-9.0), up(9.0)] == [200.0, 0.0]


def test_a_root_scale_goes_by_the_root() -> None:
    across = Scale(low=0.0, high=100.0, start=0.0, end=100.0, root=True)
    assert [across(0.0), across(1.0), across(25.0), across(100.0)] == [0.0, 10.0, 50.0, 100.0]
    assert across(-1.0) == 0.0


@pytest.mark.parametrize(
    ("values", "zero"),
    [([0.2, 0.5, None], True), ([3.0], True), ([], True), ([5.0, 6.0], False), ([7.0], False)],
)
def test_ends_show_all_values_and_zero(values: list[float | None], zero: bool) -> None:
    low, high = around(values, zero=zero)
    assert low < high
    shown = [v for v in values if v is not None] + [0.0] * zero
    assert all(low < value < high for value in shown)
    if not zero:
        assert low > 0, "an axis that need not show 0 is not stretched to it"


@pytest.mark.parametrize(
    "low, high", [(-0.45, 0.67), (0, 1), (-3e-4, 2e-4), (0.161, 0.233), (9, 4e6)]
)
def test_ticks_are_round_and_equally_spaced(low: float, high: float) -> None:
    found = ticks(low, high, 5)
    assert 2 <= len(found) <= 6
    assert all(low - 1e-9 <= value <= high + 1e-9 for value in found)
    steps = [b - a for a, b in itertools.pairwise(found)]
    assert all(math.isclose(step, steps[0], rel_tol=1e-6) for step in steps)
    leading = steps[0] / 10 ** math.floor(math.log10(steps[0]) + 1e-9)
    assert min(abs(leading - part) for part in (1, 2, 2.5, 5)) < 1e-6


@pytest.mark.parametrize("high", [0.02, 0.7, 1.0, 13.8, 22.5, 180.0, 12_345.0])
def test_root_ticks_begin_at_zero_and_keep_apart(high: float) -> None:
    found = root_ticks(high)
    assert found[0] == 0.0 and found == sorted(found) and found[-1] <= high
    assert 4 <= len(found) <= 9
    gaps = [math.sqrt(b) - math.sqrt(a) for a, b in itertools.pairwise(found)]
    assert min(gaps) >= 0.11 * math.sqrt(high) - 1e-9


def test_labels_share_their_decimals() -> None:
    assert labels([-0.5, 0.0, 0.25], plus=True) == [f"{MINUS}0.50", "0", "+0.25"]
    assert labels([0.0, 10.0, 20.0]) == ["0", "10", "20"]


def test_corners_are_pairs() -> None:
    assert corners([(1.0, 2.5), (3.0, 4.0)]) == "1,2.5 3,4"
