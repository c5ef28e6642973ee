"""Which figures a run has as files, and that their data are the summary's."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import judged_figures
import people_figures
import pytest

from ppdbench.reports.figure_list import figures_of
from ppdbench.reports.files.figure import Figure, csv_text
from ppdbench.reports.html import Sources, render

Figures = dict[str, Any]
CONSISTENT = 0.123456789


def named(summary: Figures) -> dict[str, Figure]:
    return {figure.name: figure for figure in figures_of(summary)}


@pytest.fixture
def figures(figures: Figures) -> Figures:
    figures["benchmarks"] |= people_figures.benchmarks()
    return figures


def test_every_benchmark_has_its_figures(figures: Figures) -> None:
    assert list(named(figures)) == [
        "mean-scores",
        "win-rates",
        "user-reward-matrix",
        "gains",
        "gold-gains",
        "caption-fidelity",
        "users-topics-1",
        "users-common-1",
        "personal-win-rates",
        "personal-gains",
        "whose-picture",
        "shots-curve",
        "between-users",
        "personal-by-taste",
        "personal-fidelity",
    ]
    assert list(named(judged_figures.summary())) == [
        "judge-win-rates",
        "judge-controls",
        "position-bias",
        "judge-consistent-only",
        "judge-fidelity",
        "calibration-agreement",
        "calibration-consistent-only",
        "calibration-by-margin",
    ]


def test_fig_3_holds_each_cell_of_rewards_and_gold(figures: Figures) -> None:
    rows = named(figures)["win-rates"].rows
    found = {(row["panel"], row["row"], row["series"]): row for row in rows}
    assert len(found) == len(rows) == 18
    titles = {"clip": "CLIP", "aesthetic": "Aesthetic", "hps": "HPS"}
    for key, series in (("rewards", "reward"), ("rewards_gold", "gold reward")):
        for opponent, cells in figures["benchmarks"][key].items():
            for name, cell in cells.items():
                row = found[titles[name], f"over {opponent}", series]
                for column in ("ci_low", "ci_high", "n", "p_holm", "source"):
                    assert row[column] == cell[column]
                assert row["value"] == cell["win_rate"]


def test_table_1_has_the_model_beside_each_opponent(figures: Figures) -> None:
    rows = {(row["panel"], row["row"]): row for row in named(figures)["mean-scores"].rows}
    cell = figures["benchmarks"]["rewards_gold"]["sft"]["hps"]
    assert rows["HPS, gold", "sft"]["value"] == cell["opponent_mean"]
    assert rows["HPS, gold", "sft"]["ci_low"] == cell["opponent_mean_ci_low"]
    own = figures["benchmarks"]["rewards"]["stable-cascade"]["clip"]
    assert rows["CLIP", "ppd"]["value"] == own["mean"]
    assert rows["CLIP", "ppd"]["ci_high"] == own["mean_ci_high"]


def test_what_is_withheld_has_a_reason_and_no_interval(figures: Figures) -> None:
    cell = figures["benchmarks"]["rewards"]["sft"]["clip"]
    cell.update(win_rate=None, reason="9 items failed")
    row = next(r for r in named(figures)["win-rates"].rows if r["reason"])
    assert (row["value"], row["ci_low"], row["ci_high"]) == (None, None, None)
    assert row["reason"] == "9 items failed" and row["row"] == "over sft"


def test_consistent_only_rates_are_never_in_one_drawing_with_others() -> None:
    summary = judged_figures.summary()
    for own in summary["benchmarks"]["judge"].values():
        for arm in ("shared", "disjoint"):
            own[arm]["consistent_win_rate"] = CONSISTENT
    calibration = summary["benchmarks"]["judge_calibration"]
    for name in ("own", "other_shots", "zero_shots"):
        calibration[name]["consistent"] = CONSISTENT
    for name, figure in named(summary).items():
        values = {row["value"] for row in figure.rows}
        if name == "judge-consistent-only":
            assert values == {CONSISTENT}
            assert all("coverage" in row and row["coverage"] for row in figure.rows)
        elif name != "calibration-consistent-only":
            assert CONSISTENT not in values, name
    rows = named(summary)["calibration-consistent-only"].rows
    assert [row["value"] for row in rows[:3]] == [CONSISTENT] * 3


def test_position_bias_is_the_two_by_two() -> None:
    summary = judged_figures.summary()
    cell = summary["benchmarks"]["judge"]["seen"]["disjoint"]
    rows = [r for r in named(summary)["position-bias"].rows if r["panel"] == "seen users"]
    counts = [cell[key] for key in ("first_first", "wins", "losses", "second_second")]
    assert [row["count"] for row in rows] == counts
    assert [row["value"] for row in rows] == [count / cell["n"] for count in counts]
    assert [row["outlined"] for row in rows] == [False, True, True, False]


def test_all_data_can_be_written_and_names_are_of_files(figures: Figures) -> None:
    for summary in (figures, judged_figures.summary(), judged_figures.calibration_summary()):
        for figure in figures_of(summary):
            assert re.fullmatch(r"[a-z0-9-]+", figure.name)
            assert csv_text(figure.rows).count("\n") >= len(figure.rows) + 1


def test_a_run_of_nothing_has_no_figures(figures: Figures) -> None:
    figures["benchmarks"] = {}
    assert figures_of(figures) == []


def test_the_page_links_every_figure_below_its_drawing(
    figures: Figures, make_run: Callable[[Figures], Path]
) -> None:
    names = [figure.name for figure in figures_of(figures)]
    page = render(Sources.of(make_run(figures)), names)
    for ending in ("svg", "png", "csv"):
        assert re.findall(rf'href="figures/([\w-]+)\.{ending}"', page) == names


def test_without_files_the_page_links_none(
    figures: Figures, make_run: Callable[[Figures], Path]
) -> None:
    assert 'href="figures/' not in render(Sources.of(make_run(figures)))
