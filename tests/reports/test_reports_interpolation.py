# ruff: noqa: RUF001 - dashes and minus signs as they are printed
"""Interpolation on the page, on the terminal and in files: claims, controls, pictures, gaps."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import interpolation_figures
import pytest
from html_page import Page
from quotable import sentence
from rich.console import Console

from ppdbench.reports.files.figure import csv_text, write_figures
from ppdbench.reports.html import Sources, render
from ppdbench.reports.interpolation.figures import interpolation_figures as files_of
from ppdbench.reports.interpolation.gallery import SimplexGallery, simplex_gallery
from ppdbench.reports.interpolation.headline import interpolation_headline, trend
from ppdbench.reports.interpolation.section import interpolation
from ppdbench.reports.interpolation.table import interpolation_tables
from ppdbench.reports.interpolation.weight_steps import HEIGHT, WIDTH
from ppdbench.runs.images import ImageStore

Figures = dict[str, Any]
MakeRun = Callable[[Figures], Path]
HOSTILE = '<img src=x onerror="alert(1)">'
NOTHING = re.compile(r"\b(None|nan|NaN|null|inf)\b")


@pytest.fixture
def figures(figures: Figures) -> Figures:
    figures["benchmarks"] |= interpolation_figures.benchmarks()
    return figures


@pytest.fixture
def run(figures: Figures, make_run: MakeRun) -> Path:
    return with_pictures(figures, make_run)


def with_pictures(figures: Figures, make_run: MakeRun) -> Path:
    folder = make_run(figures)
    interpolation_figures.add_pictures(folder, figures["benchmarks"])
    return folder


def alone(figures: Figures, *rewards: str, step: float = 0.25) -> Figures:
    """A run that made no other benchmark, on these rewards."""
    figures["benchmarks"] = interpolation_figures.benchmarks(rewards, step)
    return figures


def page_of(folder: Path) -> Page:
    return Page(render(Sources.of(folder)))


def gallery_of(folder: Path) -> SimplexGallery | None:
    sources = Sources.of(folder)
    store = ImageStore(folder / "images")
    return simplex_gallery(store, sources.results, sources.summary, sources.captions)


def printed(figures: Figures, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    for table in interpolation_tables(figures):
        console.print(table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_sentence_names_the_weakest_test_with_its_control(figures: Figures) -> None:
    found = interpolation_headline(figures)
    assert found is not None and not found.withheld
    assert sentence(found) == (
        "Raising a reward's weight raises its score in 5 of 6 directed tests of ppd: in the "
        "weakest, HPS against Aesthetic, Spearman's correlation of score and weight is +0.60 (95% "
        "interval +0.50 to +0.70) for the median caption and +0.25 (+0.17 to +0.33) on average, "
        "all weight on it beats none in 90.0% (84.0–96.0) of pairs, 17.2% of steps fall and with "
        "permuted weights the median is +0.02 (−0.05 to +0.08); n = 96 captions."
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, "above"),
        ({"p_holm": 0.051}, "open"),
        ({"p_holm": None}, "open"),
        ({"ci_low": 0.0}, "open"),
        ({"ci_low": -0.9, "ci_high": -0.1}, "below"),
        ({"ci_low": None}, "undefined"),
        ({"median_spearman": None}, "undefined"),
    ],
)
def test_a_score_rises_only_by_interval_and_holm(change: Figures, said: str) -> None:
    assert trend(interpolation_figures.cell(0.9, 0.9, **change)) == said


def test_the_page_shows_each_number_with_its_controls(run: Path) -> None:
    page = page_of(run)
    text = page.text()
    for what in (
        "Raising a reward's weight raises its score in 5 of 6 directed tests of ppd:",
        "Scores that follow their weight 5 of 6",
        "CLIP as its weight grows from 0 to 1, taken from Aesthetic",
        "Spearman, median +1.00 +0.90 to +1.00 +0.02 −0.05 to +0.08 0.00",
        "Spearman, mean +0.65 +0.57 to +0.73 +0.01 −0.02 to +0.04 −0.35",
        "all weight beats none 90.0% 84.0–96.0 50.3% 48.3–52.1 50.0%",
        "steps that fall 17.2% 49.7% 0.0%",
        "Significant is not monotone.",
        "not shown to rise",
        "drawn right in 95.0% to 95.0% of pictures",
        "4,979",
        "+0.40 +0.30 to +0.50",
        "small object",
    ):
        assert what in text, what
    assert not NOTHING.search(text)
    assert len(page.all("table")) == len(page.all("caption"))
    assert all(th.get("scope") for th in page.all("th"))
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))


def test_every_mixture_says_its_value_without_eyes_and_in_a_table(run: Path) -> None:
    page = page_of(run)
    said = [attrs.get("aria-label") or "" for tag, attrs in page.tags if attrs.get("role") == "img"]
    for label in (
        "CLIP 0.5, Aesthetic 0.25, HPS 0.25: +0.20 [+0.15 to +0.25], n = 192",
        "HPS 1: +0.55 [+0.50 to +0.60], n = 192",
        "CLIP 0.5, Aesthetic 0.5: 95.0%",
        "weight 0.25: +0.02 [−0.03 to +0.07], by gold +0.02",
    ):
        assert label in said, label
    # Fifteen cells by three rewards, their gold twins and fidelity; five places by six tests.
    assert len([label for label in said if re.match(r"(CLIP|Aesthetic|HPS) ", label)]) == 15 * 7
    assert len([label for label in said if label.startswith("weight ")]) == 5 * 6
    assert "CLIP 0.5, Aesthetic 0.25, HPS 0.25" in page.text("th")


def test_all_small_multiples_share_one_scale_and_stay_in_their_box(figures: Figures) -> None:
    found = interpolation(figures)
    assert found is not None
    plots = [test.plot for edge in found["edges"] for test in edge["tests"]]
    assert len(plots) == 6 and len({plot.y_ticks for plot in plots}) == 1
    for plot in plots:
        assert [text for _, text in plot.x_ticks] == ["0", "0.25", "0.5", "0.75", "1"]
        xs, ys = zip(*((x, y) for x, y, _ in plot.dots), strict=True)
        assert list(xs) == sorted(xs) and list(ys) == sorted(ys, reverse=True), "it rises"
        assert min(xs) >= 0 and max(xs) <= WIDTH and min(ys) >= 0 and max(ys) <= HEIGHT


def test_the_triangle_shows_every_mixture_from_one_noise(run: Path) -> None:
    made = gallery_of(run)
    assert made is not None and made.triangle and made.across == 5
    assert made.captions[0].caption == "a small red circle on a pale background"
    assert len(made.captions) == 2, "of the third nothing was drawn"
    for one in made.captions:
        assert [len(line.pictures) for line in one.rows] == [1, 2, 3, 4, 5]
        assert one.baseline.uri and one.seed == "4711"
    first, second = made.captions
    assert first.rows[0].pictures[0].label == "CLIP 1"
    assert [p.label for p in first.rows[1].pictures] == [
        "CLIP 0.75, Aesthetic 0.25",
        "CLIP 0.75, HPS 0.25",
    ]
    assert first.rows[4].pictures[0].label == "Aesthetic 1"
    last = second.rows[4].pictures[-1]
    assert (last.label, last.uri, last.note) == ("HPS 1", "", "not drawn")


def test_each_picture_opens_from_its_triangle_and_names_its_weights(run: Path) -> None:
    page = page_of(run)
    labels = [shot["data-label"] for shot in page.all("button") if shot.get("class") == "shot"]
    assert labels.count("CLIP 0.5, Aesthetic 0.25, HPS 0.25") == 2
    assert "stable-cascade, no weights" in labels
    shots = [shot for shot in page.all("button") if shot.get("data-label") == "HPS 1"]
    (shot,) = shots
    assert shot["data-item"] == "interpolation/ppd/weights:hps=1/test-small-0/0"
    assert str(shot["data-record"]).startswith("#record-")


def test_a_finer_grid_is_shown_by_its_edges(figures: Figures, make_run: MakeRun) -> None:
    made = gallery_of(
        with_pictures(alone(figures, "clip", "aesthetic", "hps", step=0.05), make_run)
    )
    assert made is not None and not made.triangle
    lines = made.captions[0].rows
    assert [(line.start, line.end) for line in lines] == [
        ("CLIP", "Aesthetic"),
        ("CLIP", "HPS"),
        ("Aesthetic", "HPS"),
    ]
    for line in lines:
        labels = [picture.label for picture in line.pictures]
        assert (
            len(labels) <= 11 and labels[0] == f"{line.start} 1" and labels[-1] == f"{line.end} 1"
        )


def test_two_rewards_make_one_edge_and_no_triangle(figures: Figures, make_run: MakeRun) -> None:
    folder = with_pictures(alone(figures, "clip", "hps"), make_run)
    page = page_of(folder)
    claim = "Raising a reward's weight raises its score in 1 of 2 directed tests of ppd"
    assert page.text("h1").startswith(claim)
    assert page.text().count("in the weakest, HPS against CLIP") == 1, "said once"
    assert "The whole simplex" not in page.text() and not NOTHING.search(page.text())
    made = gallery_of(folder)
    assert made is not None and [len(line.pictures) for line in made.captions[0].rows] == [5]
    assert [figure.name for figure in files_of(figures)] == [
        "interpolation",
        "interpolation-tests",
        "interpolation-corners",
    ]


def test_four_rewards_have_twelve_tests(figures: Figures, make_run: MakeRun) -> None:
    page = page_of(with_pictures(alone(figures, "clip", "aesthetic", "hps", "pick"), make_run))
    assert "in 11 of 12 directed tests" in page.text("h1")
    assert page.text().count("as its weight grows from 0 to 1") == 12


def test_one_reward_has_nothing_to_change_weight_with(figures: Figures, make_run: MakeRun) -> None:
    page = page_of(with_pictures(alone(figures, "clip"), make_run))
    reason = "one reward alone has no other to change weight with"
    assert f"The headline is withheld: {reason}." in page.text()
    assert not NOTHING.search(page.text())
    assert reason in " ".join(printed(figures).split()) and files_of(figures) == []


def test_what_is_withheld_says_why_everywhere(figures: Figures, make_run: MakeRun) -> None:
    reason = "9 of 3072 items failed"
    alone(figures, *interpolation_figures.REWARDS)
    interpolation_figures.withhold(figures["benchmarks"], reason)
    page = page_of(with_pictures(figures, make_run))
    text = page.text()
    assert page.text("h1") == "No headline for ppd and its weights"
    assert text.count(f"undefined: {reason}") > 20
    assert not NOTHING.search(text) and "honeycomb" not in text
    assert "directed tests rise" not in text
    assert f"undefined: {reason}" in " ".join(printed(figures).split())
    assert files_of(figures) == []


def test_a_run_without_gold_rewards_or_classifier_leaves_them_out(
    figures: Figures, make_run: MakeRun
) -> None:
    figures["benchmarks"] = interpolation_figures.benchmarks(gold=False)
    for point in figures["benchmarks"]["interpolation_grid"]:
        point["caption_fidelity"] = None
    text = page_of(with_pictures(figures, make_run)).text()
    assert "by the gold reward" not in text and "By gold rewards" not in text
    assert "Caption fidelity over the mixtures" not in text and "caption right" not in text
    assert not NOTHING.search(text)


def test_hostile_names_are_text(figures: Figures, make_run: MakeRun) -> None:
    figures["rewards"]["clip"]["title"] = HOSTILE
    figures["model"] = figures["baseline"] = HOSTILE
    cell = figures["benchmarks"]["interpolation"]["clip+hps"]["clip"]
    cell.update({**dict.fromkeys(cell), "n": 0, "reason": HOSTILE})
    page = page_of(with_pictures(figures, make_run))
    assert not any("onerror" in attrs for _, attrs in page.tags)
    assert all((img["src"] or "").startswith("data:") for img in page.all("img"))
    assert HOSTILE in page.text("h3") and interpolation_figures.CATEGORIES[1] in page.text("th")
    assert HOSTILE in printed(figures, width=300)


def test_a_run_without_the_benchmark_has_no_such_section(
    figures: Figures, make_run: MakeRun
) -> None:
    for key in interpolation_figures.benchmarks():
        del figures["benchmarks"][key]
    page = page_of(make_run(figures))
    assert "interpolation" not in {attrs.get("id") for attrs in page.all("h2")}
    assert interpolation(figures) is None and interpolation_headline(figures) is None
    assert interpolation_tables(figures) == [] and files_of(figures) == []


def test_the_terminal_has_every_test_in_eighty_columns(figures: Figures) -> None:
    text = printed(figures)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "CLIP +1.00 +0.65 90.0% 17.2% +0.02" in lines
    assert "from Aesthetic 0.90–1.00 0.57–0.73 84.0–96.0 −0.05 to 0.08" in lines
    assert "HPS, gold +0.60 +0.25 90.0% 17.2% –" in lines
    assert not NOTHING.search(text)


def test_figure_files_hold_the_summarys_numbers(figures: Figures) -> None:
    found = {figure.name: figure for figure in files_of(figures)}
    assert list(found) == [
        "interpolation",
        "interpolation-simplex",
        "interpolation-simplex-gold",
        "interpolation-tests",
        "interpolation-corners",
    ]
    grid = figures["benchmarks"]["interpolation_grid"]
    rows = [row for row in found["interpolation-simplex"].rows if row["panel"] == "HPS"]
    for row, point in zip(rows, grid, strict=True):
        assert row["value"] == point["rewards"]["hps"]["gain"] and row["n"] == 192
        assert row["weight of HPS"] == point["weights"]["hps"]
        assert row["ci_low"] == point["rewards"]["hps"]["gain_ci_low"]
    tests = found["interpolation-tests"].rows
    assert [
        row["row"] for row in tests if row["series"] == "ppd" and row["panel"] == "rewards"
    ] == [
        "CLIP, from Aesthetic",
        "Aesthetic, from CLIP",
        "CLIP, from HPS",
        "HPS, from CLIP",
        "Aesthetic, from HPS",
        "HPS, from Aesthetic",
    ]
    assert {row["series"] for row in tests} == {
        "ppd",
        "control: weights permuted",
        "control: hears no weights",
    }
    corners = found["interpolation-corners"].rows[0]
    assert corners["value"] == 0.9 and corners["ci_low"] == pytest.approx(0.84)
    path = [row for row in found["interpolation"].rows if row["panel"] == "HPS, from Aesthetic"]
    assert [row["x"] for row in path if row["series"] == "reward"] == [0.0, 0.25, 0.5, 0.75, 1.0]
    for figure in found.values():
        assert not NOTHING.search(csv_text(figure.rows))


def test_figure_files_are_drawn(figures: Figures, tmp_path: Path) -> None:
    figures["rewards"]["clip"]["title"] = "a $title$ that is rather long for a corner <b>"
    figures["benchmarks"]["interpolation_grid"][3]["rewards"]["clip"]["gain"] = None
    names = write_figures(tmp_path, files_of(figures))
    for name in names:
        drawn = (tmp_path / "figures" / f"{name}.svg").read_text("utf-8")
        assert drawn.count("<text") > 10 and "nan" not in drawn
        assert (tmp_path / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    honeycomb = (tmp_path / "figures" / "interpolation-simplex.svg").read_text("utf-8")
    assert "+0.55" in honeycomb and "−0.15" in honeycomb
