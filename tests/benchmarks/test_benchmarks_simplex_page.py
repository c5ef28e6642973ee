"""Real runs of interpolation and trade-off on the toy world, shown: page, terminal and figures."""

from __future__ import annotations

import io
import re
from pathlib import Path

import fake_world
import pytest
from html_page import Page
from rich.console import Console
from toy_runs import run, summary_of, use_toy_world

from ppdbench.reports.figure_list import figures_of
from ppdbench.reports.html import Sources, render
from ppdbench.reports.interpolation.table import interpolation_tables
from ppdbench.reports.tradeoff.table import tradeoff_tables

NOTHING = re.compile(r"\b(None|nan|NaN|null|inf)\b")


@pytest.fixture(autouse=True)
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use_toy_world(monkeypatch, tmp_path)
    monkeypatch.setattr(fake_world, "embeds", True)


def shown(folder: Path) -> tuple[Page, str]:
    console = Console(file=io.StringIO(), width=100)
    for table in (*interpolation_tables(summary_of(folder)), *tradeoff_tables(summary_of(folder))):
        console.print(table)
    assert isinstance(console.file, io.StringIO)
    return Page(render(Sources.of(folder))), console.file.getvalue()


def test_a_run_of_interpolation_is_shown_as_it_was_measured(tmp_path: Path) -> None:
    folder = run(tmp_path, benchmarks=("interpolation",))
    page, table = shown(folder)
    assert "of 2 directed tests of tuned" in page.text("h1") and "of 2 directed tests" in table
    # Two rewards: an edge of five places and no triangle.
    shots = [shot for shot in page.all("button") if shot.get("class") == "shot"]
    assert {len(shots) % 6, len(page.all("polyline")) % 2} == {0} and shots
    assert all(shot["data-item"] and shot["data-record"] for shot in shots)
    assert not NOTHING.search(page.text() + table)
    names = [figure.name for figure in figures_of(summary_of(folder))]
    assert names == ["interpolation", "interpolation-tests", "interpolation-corners"]


def test_a_run_of_a_trade_off_is_shown_as_it_was_measured(tmp_path: Path) -> None:
    folder = run(tmp_path, "diverging", benchmarks=("tradeoff",))
    page, table = shown(folder)
    headings = {attrs.get("id") for attrs in page.all("h2")}
    assert "tradeoff" in headings and "means" not in headings
    own = [attrs for attrs in page.all("path") if attrs.get("class") == "own"]
    assert own and all(" nats" in str(attrs["aria-label"]) for attrs in own)
    assert not NOTHING.search(page.text() + table)
    assert "tradeoff-gain" in [figure.name for figure in figures_of(summary_of(folder))]


def test_a_model_that_does_not_tell_its_divergence_is_named_with_the_reason(tmp_path: Path) -> None:
    folder = run(tmp_path, benchmarks=("tradeoff",))
    page, table = shown(folder)
    assert "What was not measured" in page.text() and "tuned, divergence: " in page.text()
    assert "not measured: tuned, divergence: " in " ".join(table.split())
    assert not NOTHING.search(page.text() + table)
