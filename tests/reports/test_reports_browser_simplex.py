"""Interpolation and trade-off in a headless Chromium: pictures open, plots are heard."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import chromium
import interpolation_figures
import pytest
import tradeoff_figures

from ppdbench.reports.figure_list import figures_of
from ppdbench.reports.html import Sources, render

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Figures = dict[str, Any]
MakeRun = Callable[[Figures], Path]
GALLERY = "section[aria-labelledby=interpolation] .simplex"


@pytest.fixture
def run(figures: Figures, make_run: MakeRun) -> Path:
    figures["benchmarks"] |= interpolation_figures.benchmarks()
    figures["benchmarks"]["tradeoff"] = tradeoff_figures.tradeoff()
    folder = make_run(figures)
    interpolation_figures.add_pictures(folder, figures["benchmarks"])
    sources = Sources.of(folder)
    names = [figure.name for figure in figures_of(sources.summary)]
    (folder / "report.html").write_text(render(sources, names), encoding="utf-8")
    return folder


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_sections_are_quiet_and_never_wider_than_the_window(
    browser: Browser, run: Path, width: int, scheme: str
) -> None:
    visit = chromium.visit(browser, run / "report.html", width=width, scheme=scheme)
    page = visit.page
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert visit.sideways == 0 and visit.asked == [] and visit.said == []
    out = page.eval_on_selector_all(
        "section[aria-labelledby=interpolation] *, section[aria-labelledby=tradeoff] *",
        "(all) => all.filter((e) => !e.closest('.scroll, .sr')"
        " && e.getBoundingClientRect().right > innerWidth + 1).length",
    )
    assert out == 0, "a box that is cut off does not count as narrow"
    visit.page.context.close()


def test_a_picture_of_the_triangle_opens_and_arrows_walk_on(browser: Browser, run: Path) -> None:
    visit = chromium.visit(browser, run / "report.html")
    page, dialog = visit.page, visit.page.locator("#zoom")
    shots = page.locator(GALLERY).first.locator(".shot")
    assert shots.count() == 1 + 15, "the baseline's and every mixture"
    shots.nth(2).focus()
    page.keyboard.press("Enter")
    label = dialog.locator("[data-told=label]")
    assert dialog.is_visible() and label.inner_text() == "CLIP 0.75, Aesthetic 0.25"
    caption = "a small red circle on a pale background"
    assert dialog.locator("[data-told=caption]").inner_text() == caption
    item = "interpolation/ppd/weights:clip=0.75,aesthetic=0.25/test-small-0/0"
    assert dialog.locator("[data-told=item]").inner_text() == item
    page.keyboard.press("ArrowRight")
    assert label.inner_text() == "CLIP 0.75, HPS 0.25"
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert label.inner_text() == "stable-cascade, no weights"
    page.keyboard.press("ArrowLeft")
    assert label.inner_text() == "HPS 1", "round to the last corner of the same caption"
    page.keyboard.press("Escape")
    assert not dialog.is_visible() and visit.said == []
    visit.page.context.close()


def test_a_triangle_is_one(browser: Browser, run: Path) -> None:
    visit = chromium.visit(browser, run / "report.html", width=390)
    lines: list[list[float]] = visit.page.locator(GALLERY).first.evaluate(
        "(e) => [...e.querySelectorAll('.line')].map((line) => [...line.children].map((c) => {"
        " const box = c.getBoundingClientRect(); return box.left + box.width / 2; }))"
    )
    assert [len(line) for line in lines] == [1, 2, 3, 4, 5]
    middles = [sum(line) / len(line) for line in lines]
    assert max(middles) - min(middles) < 1, "rows are centred"
    gaps = {round(b - a) for line in lines for a, b in itertools.pairwise(line)}
    assert max(gaps) - min(gaps) <= 1, "pictures are of one size"
    visit.page.context.close()


def test_cells_and_points_have_names_for_who_cannot_see(browser: Browser, run: Path) -> None:
    visit = chromium.visit(browser, run / "report.html")
    page = visit.page
    cell = page.get_by_role(
        "img", name="CLIP 0.5, Aesthetic 0.25, HPS 0.25: +0.20 [+0.15 to +0.25]"
    )
    assert cell.count() == 1
    point = page.get_by_role("img", name="ppd, beta 15, step 3,000: +0.51 (0.45\u20130.58) at 13.8")
    assert point.count() == 1
    group = page.get_by_role("group", name="Reward of Aesthetic against divergence", exact=True)
    assert group.count() == 1 and group.get_by_role("img").count() > 30
    visit.page.context.close()


def test_directed_tests_sort_by_their_number(browser: Browser, run: Path) -> None:
    visit = chromium.visit(browser, run / "report.html")
    page = visit.page
    page.locator("table.tests thead button").nth(1).click()
    medians = page.eval_on_selector_all(
        "table.tests tbody tr", "(rows) => rows.map((r) => parseFloat(r.cells[1].innerText))"
    )
    assert medians == sorted(medians, reverse=True) and len(set(medians)) == 6
    visit.page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_key_tells_curves_apart_as_painted(browser: Browser, run: Path, scheme: str) -> None:
    visit = chromium.visit(browser, run / "report.html", scheme=scheme)
    painted = visit.page.eval_on_selector_all(
        ".looks li:has(line)",
        "(all) => all.map((li) => [getComputedStyle(li.querySelector('line')).stroke,"
        " getComputedStyle(li.querySelector('line')).strokeDasharray,"
        " li.querySelector('path').getAttribute('d')].join())",
    )
    assert len(painted) == 6 and len(set(painted)) == 6
    colours = visit.page.evaluate(
        "() => ['k0', 'k1', 'k2', 'k3', 'k4', 'k5'].map((name) => {"
        " const li = document.querySelector('.looks li'); li.className = name;"
        " return getComputedStyle(li.querySelector('line')).stroke; })"
    )
    assert len(set(colours)) == 6
    visit.page.context.close()


def test_headings_leave_out_no_level(browser: Browser, run: Path) -> None:
    visit = chromium.visit(browser, run / "report.html")
    levels = visit.page.eval_on_selector_all(
        "h1, h2, h3, h4, h5", "(all) => all.map((h) => Number(h.tagName[1]))"
    )
    assert levels.count(1) == 1
    assert not [pair for pair in itertools.pairwise(levels) if pair[1] > pair[0] + 1]
    visit.page.context.close()
