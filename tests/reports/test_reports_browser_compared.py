"""A comparison's page in a headless Chromium: from its file, narrow, dark, sorted, hostile."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import chromium
import pytest
from compared_figures import HOSTILE, summary, three

from ppdbench.reports.compare.page import render

if TYPE_CHECKING:
    from playwright.sync_api import Browser

TABLE = "table.sortable"


def visited(
    browser: Browser, tmp_path: Path, text: str, width: int = 1280, scheme: str = "light"
) -> chromium.Visit:
    (tmp_path / "report.html").write_text(text, encoding="utf-8")
    return chromium.visit(browser, tmp_path / "report.html", width=width, scheme=scheme)


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_opens_whole_and_asks_for_nothing(
    browser: Browser, tmp_path: Path, width: int, scheme: str
) -> None:
    for found in (summary(), three()):
        visit = visited(browser, tmp_path, render(found, ("head-to-head",)), width, scheme)
        assert visit.asked == [] and visit.said == [] and visit.sideways <= 0
        visit.page.context.close()


def test_the_table_of_differences_sorts(browser: Browser, tmp_path: Path) -> None:
    visit = visited(browser, tmp_path, render(summary()))
    page = visit.page
    first = page.locator(f"{TABLE} tbody tr").first.inner_text()
    page.locator(f"{TABLE} .sort", has_text="Rate or difference").click()
    values = page.eval_on_selector_all(
        f"{TABLE} tbody tr td:nth-child(3) .num", "cells => cells.map(cell => cell.textContent)"
    )
    numbers = [
        float(value.split()[0].rstrip("%").replace("\N{MINUS SIGN}", "-")) for value in values
    ]
    assert len(numbers) == 45 and numbers == sorted(numbers, reverse=True)
    assert page.locator(f"{TABLE} tbody tr").first.inner_text() != first
    assert visit.said == []


def test_every_place_that_the_page_links_to_is_on_it(browser: Browser, tmp_path: Path) -> None:
    page = visited(browser, tmp_path, render(three())).page
    targets = page.eval_on_selector_all("nav a", "links => links.map(link => link.hash.slice(1))")
    assert {"runs", "order", "head-to-head", "all"} <= set(targets)
    assert all(page.locator(f"#{target}").count() == 1 for target in targets)


def test_markup_in_names_is_text(browser: Browser, tmp_path: Path) -> None:
    nasty = '"><img src=x onerror="document.title=1">'
    visit = visited(browser, tmp_path, render(summary(f"{HOSTILE}{nasty}", nasty)))
    assert visit.page.locator("img").count() == 0
    assert visit.page.title() != "1" and nasty in visit.page.locator("h1").inner_text()
    assert visit.asked == [] and visit.said == []
