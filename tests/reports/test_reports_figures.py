# ruff: noqa: RUF001 - dashes and minus signs as they are printed
"""How figures read, where marks lie and what the headline dares to say."""

from __future__ import annotations

from typing import Any

import pytest

from ppdbench.reports.figures import (
    Shown,
    decimals_for,
    duration,
    number,
    p_value,
    points,
    rate,
    span,
    verdict,
)
from ppdbench.reports.headline import headline
from ppdbench.reports.plots import bar, ratio_axis, tint
from ppdbench.reports.rewards.section import matrix


def cell(value: float | None, low: float | None = None, high: float | None = None) -> Any:
    return {"win_rate": value, "ci_low": low, "ci_high": high, "n": 10}


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (cell(0.925, 0.8888, 0.9512), "92.5% [88.9–95.1]"),
        (cell(1.0, 0.984, 1.0), "100.0% [98.4–100.0]"),
        (cell(-0.1, -0.25, 0.04), "−10.0% [−25.0 to 4.0]"),
        (cell(0.5), "50.0%"),
        ({**cell(None), "reason": "no pairs"}, "undefined: no pairs"),
        (cell(float("nan")), "undefined: no reason is recorded"),
        (None, "not measured"),
    ],
)
def test_rates_read_as_percent_or_say_why_not(given: Any, text: str) -> None:
    assert str(rate(given, "win_rate")) == text


def test_points_carry_their_sign() -> None:
    difference = {"difference": 0.012, "ci_low": -0.004, "ci_high": 0.028}
    expected = Shown(value="+1.2 points", interval="−0.4 to +2.8")
    assert points(difference, "difference") == expected
    assert number(-0.00001, 3) == "0.000"  # no minus before nothing


def test_an_estimate_without_interval_keeps_its_reason() -> None:
    shown = rate({**cell(0.7), "reason": "3 clusters: too few"}, "win_rate")
    assert (shown.value, shown.interval, shown.reason) == ("70.0%", "", "3 clusters: too few")


def test_small_things() -> None:
    ends = ((0.1, 0.25), (-0.1, 0.2), (None, 0.2))
    assert [span(low, high, 2) for low, high in ends] == ["0.10–0.25", "−0.10 to 0.20", ""]
    assert [decimals_for(v) for v in ([0.31, 0.2], [5.8], [321.0], [], [None])] == [4, 3, 1, 3, 3]
    assert [p_value(v) for v in (0.0001, 0.0312, 1.0, None)] == ["< 0.001", "0.031", "1.000", ""]
    assert [duration(s) for s in (0.42, 59.4, 125, 3725)] == [
        "0.4 s",
        "59 s",
        "2 min 05 s",
        "1 h 02 min",
    ]
    assert verdict(cell(0.6, 0.51, 0.7), 0.5) == "above"
    assert verdict(cell(0.6, 0.5, 0.7), 0.5) == "open"
    assert verdict(cell(0.3, 0.2, 0.4), 0.5) == "below"
    assert verdict(cell(0.3), 0.5) == "undefined"


def test_bars_stay_on_their_track() -> None:
    plain = bar(cell(0.7, 0.6, 0.8), "win_rate")
    assert plain is not None
    assert (plain.left, plain.width, plain.low, plain.span) == (0, 70, 60, 20)
    assert not plain.clipped
    wide = bar({"ratio": 0.5, "ci_low": -9.0, "ci_high": 9.0}, "ratio", (-2.0, 2.0))
    assert wide is not None and wide.clipped
    assert (wide.left, wide.width, wide.low, wide.span) == (50, 12.5, 0, 100)
    assert bar(cell(None), "win_rate") is None and tint(None) is None
    assert tint(cell(0.5)) == 0 and tint(cell(1.0)) == 100


def test_ratio_axis_shows_zero_one_and_intervals_within_reason() -> None:
    assert ratio_axis([None], "ratio") == (0.0, 1.1)
    low, high = ratio_axis([{"ratio": 0.9, "ci_low": -50, "ci_high": 1.5}], "ratio")
    assert low == -2.0 and high == pytest.approx(1.56)


@pytest.mark.parametrize(
    ("rates", "p_holm", "text"),
    [
        ((0.7, 0.8, 0.9), 0.001, "beats stable-cascade on all three rewards"),
        ((0.7, 0.5, 0.9), 0.001, "beats stable-cascade on CLIP and HPS and cannot be told from "
         "it on Aesthetic"),
        ((0.2, 0.2, 0.2), 0.001, "loses to stable-cascade on all three rewards"),
        ((0.7, 0.8, 0.9), 0.2, "cannot be told from stable-cascade on all three rewards"),
        ((0.7, 0.2, None), 0.001, "beats stable-cascade on CLIP, loses on Aesthetic and is not "
         "measured on HPS"),
    ],
)  # fmt: skip
def test_headline_says_no_more_than_interval_and_holm_allow(
    figures: dict[str, Any], rates: tuple[float | None, ...], p_holm: float, text: str
) -> None:
    cells = figures["benchmarks"]["rewards"]["stable-cascade"].values()
    for found, value in zip(cells, rates, strict=True):
        low, high = (None, None) if value is None else (value - 0.05, value + 0.05)
        found.update(win_rate=value, ci_low=low, ci_high=high, p_holm=p_holm)
    assert headline(figures).text == f"ppd {text}"


def test_no_headline_without_the_baseline(figures: dict[str, Any]) -> None:
    del figures["benchmarks"]["rewards"]["stable-cascade"]
    said = headline(figures)
    assert said.withheld and "nothing was measured against stable-cascade" in said.reason


def test_the_baseline_itself_has_no_headline(figures: dict[str, Any]) -> None:
    figures["model"] = "stable-cascade"
    del figures["benchmarks"]["rewards"]["stable-cascade"]
    assert "not measured against itself" in headline(figures).reason


def test_the_diagonal_leads_only_beyond_its_interval(figures: dict[str, Any]) -> None:
    # The HPS user does as well by the Aesthetic reward as the Aesthetic user's lower bound.
    figures["benchmarks"]["matrix"]["hps"]["aesthetic"]["win_rate"] = 0.93
    found = matrix(figures)
    assert found is not None and (found["leading"], found["of"]) == (2, 3)
    assert [[c["own"] for c in row["cells"]] for row in found["rows"]] == [
        [True, False, False],
        [False, True, False],
        [False, False, True],
    ]
