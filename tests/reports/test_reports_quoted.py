# ruff: noqa: RUF001 - dashes and minus signs as they are printed
"""The headline as it may be quoted: its figures, their intervals and what they rest on."""

from __future__ import annotations

from typing import Any

import judged_figures
import people_figures
import pytest
from quotable import sentence

from ppdbench.reports.figures import Shown
from ppdbench.reports.headline import headline, people_headline, users_headline
from ppdbench.reports.judge.headline import calibration_headline, judge_headline
from ppdbench.reports.quoted import Quoted, clause, sample

Figures = dict[str, Any]


def one(value: str, interval: str = "", of: str = "", rests: str = "") -> Quoted:
    return Quoted(shown=Shown(value=value, interval=interval, reason="r"), of=of, sample=rests)


@pytest.mark.parametrize(
    ("figures", "text"),
    [
        ([], ""),
        ([one("")], ""),
        ([one("60%", "50–70", "by A", "n = 9")], "60% by A (95% interval 50–70, n = 9)"),
        ([one("60%", of="by A", rests="n = 9")], "60% by A (no interval, n = 9)"),
        (
            [one("60%", "50–70", "by A", "n = 9"), one("70%", "60–80", "by B", "n = 9")],
            "60% by A (95% interval 50–70) and 70% by B (60–80), n = 9",
        ),
        (
            [one("60%", "50–70", "by A", "n = 9"), one(""), one("70%", rests="n = 8")],
            "60% by A (95% interval 50–70, n = 9) and 70% (no interval, n = 8)",
        ),
    ],
)  # fmt: skip
def test_a_clause_names_intervals_and_samples(figures: list[Quoted], text: str) -> None:
    assert clause(figures) == text


def test_samples_say_what_is_counted() -> None:
    assert sample({"n": 260, "n_expected": 260}, "pairs") == "n = 260 pairs"
    assert sample({"n": 258, "n_expected": 260}, "pairs") == "n = 258 of 260 pairs"
    assert sample({"n": 60, "n_users": 60}, "pairs") == "n = 60 users"
    assert sample({"n": 768, "n_users": 192}, "pairs") == "n = 192 users, 768 pairs"
    assert sample({"n": None}, "pairs") == sample(None, "pairs") == ""


def test_rewards(figures: Figures) -> None:
    assert sentence(headline(figures)) == (
        "ppd beats stable-cascade on all three rewards: it wins 71.2% by CLIP (95% interval "
        "65.7–75.7), 95.4% by Aesthetic (89.9–99.9) and 93.1% by HPS (87.6–97.6), n = 260 pairs."
    )


def test_a_reward_that_is_not_measured_is_left_out_of_the_figures(figures: Figures) -> None:
    cell = figures["benchmarks"]["rewards"]["stable-cascade"]["aesthetic"]
    cell.update(dict.fromkeys(("win_rate", "ci_low", "ci_high", "p_holm")), reason="no pairs")
    said = headline(figures)
    assert said.text.endswith("on CLIP and HPS and is not measured on Aesthetic")
    assert "Aesthetic" not in said.figures and said.figures.count("%") == 3


def test_people_and_their_personal_gain(figures: Figures) -> None:
    figures["benchmarks"] |= people_figures.benchmarks()
    said = people_headline(figures)
    assert said is not None
    assert (
        "it wins 84.3% for seen users (95% interval 80.3–87.3) and 84.3% for unseen users "
        "(80.3–87.3), n = 192 users, 768 pairs each; own minus another user's picture +26.2 points "
        "for seen users (95% interval +22.2 to +30.2)"
    ) in sentence(said)


def test_a_judge_names_its_shots() -> None:
    said = judge_headline(judged_figures.summary())
    assert said is not None
    assert said.figures == (
        "with disjoint shots it wins 69.9% for seen users (95% interval 65.9–73.9, n = 277 users) "
        "and 70.1% for unseen users (66.1–74.1, n = 192 users)"
    )


def test_a_judge_that_is_not_personalised_has_its_figures_all_the_same() -> None:
    summary = judged_figures.calibration_summary()
    summary["benchmarks"]["calibration"]["personalised"] = False
    said = calibration_headline(summary)
    assert said is not None and said.text == "vlm is not personalised"
    assert said.figures.startswith("70.1% of its answers (95% interval 68.6–71.6, n = ")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({}, "Users are told apart by a"),
        ({"p_value": 0.2}, "Users are not shown to be told apart by a"),
        ({"ci_low": 0.05}, "Users are not shown to be told apart by a"),
        ({"top16": None}, "Nothing is measured of a"),
    ],
)
def test_users_are_told_apart_only_beyond_chance(change: Figures, text: str) -> None:
    cell = {"top16": 0.5, "ci_low": 0.4, "ci_high": 0.6, "chance_top16": 0.06, "p_value": 0.0001}
    cell |= {"n_users": 250, "n_test": 240}
    summary = {"benchmarks": {"users": {"a": cell | change}}, "n_expected": 0}
    said = users_headline(summary)
    assert said is not None and said.text == text
    assert ("50.0% by a" in said.figures) == (change.get("top16", 1) is not None)


def test_what_is_withheld_quotes_nothing(figures: Figures) -> None:
    for cell in figures["benchmarks"]["rewards"]["stable-cascade"].values():
        cell.update(dict.fromkeys(("win_rate", "ci_low", "ci_high")), reason="9 items failed")
    said = headline(figures)
    assert said.withheld and sentence(said) == said.text and "%" not in sentence(said)
