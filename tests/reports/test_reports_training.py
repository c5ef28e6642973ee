# ruff: noqa: RUF001 - dashes and minus signs as they are printed
"""The training's luck: its share of an interval, who has one training, and old summaries."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from html_page import Page

from ppdbench.reports.html import Sources, render
from ppdbench.reports.rewards.training import training, training_note

Figures = dict[str, Any]
MakeRun = Callable[[Figures], Path]


@pytest.fixture
def told(figures: Figures) -> Figures:
    """Three trainings of the model against one of each opponent."""
    for cells in figures["benchmarks"]["rewards"].values():
        for cell in cells.values():
            cell |= {"items_ci_low": cell["ci_low"] + 0.02, "items_ci_high": cell["ci_high"] - 0.02}
            cell |= {"training_share": 0.38, "n_trainings": {"model": 3, "opponent": 1}}
    return figures


def test_the_page_says_which_share_is_the_trainings(told: Figures, make_run: MakeRun) -> None:
    text = Page(render(Sources.of(make_run(told)))).text()
    assert text.count("variance from the training: 38%") == 9
    found = text[text.index("How much is the training’s luck?", 2000) :]
    assert "diffusion-dpo recorded 3 against 1 38% captions alone 56.1–62.1 both 54.1–64.1" in found
    assert "know nothing of it" not in text
    assert "Of diffusion-dpo and sft one training each is on record: how lucky" in text


def test_one_training_says_so(told: Figures, make_run: MakeRun) -> None:
    for cells in told["benchmarks"]["rewards"].values():
        for cell in cells.values():
            cell |= {"training_share": None, "n_trainings": {"model": 1, "opponent": 1}}
    text = Page(render(Sources.of(make_run(told)))).text()
    assert "One training. Of ppd, diffusion-dpo and sft one training each is on record" in text
    assert "variance from the training" not in text
    assert text.count("one training captions alone") == 9


def test_a_summary_that_tells_no_trainings(figures: Figures, make_run: MakeRun) -> None:
    found = training(figures)
    assert found is not None and not found["told"] and found["cells"] == found["lines"] == []
    text = Page(render(Sources.of(make_run(figures)))).text()
    assert "The intervals on this page know nothing of it" in text
    del figures["benchmarks"]["training_seeds"]
    assert training(figures) is None


def test_a_share_that_is_not_known_is_no_zero(told: Figures) -> None:
    cells = told["benchmarks"]["rewards"]["sft"]
    cells["clip"] |= {"win_rate": None, "training_share": None}
    cells["hps"] |= {"training_share": 0.0}
    told["benchmarks"]["rewards"]["diffusion-dpo"]["hps"] |= {"training_share": 0.0004}
    found = training(told)
    assert found is not None
    row = next(row for row in found["cells"] if row["opponent"] == "sft")
    assert [cell["share"] for cell in row["cells"]] == ["", "38%", "0%"]
    assert row["cells"][0]["why"] == "not measured"
    assert found["cells"][1]["cells"][2]["share"] == "under 1%"
    assert training_note(cells["clip"]) == training_note(None) == ""
