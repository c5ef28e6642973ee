"""The page in a headless Chromium: opened from its file, by keyboard, narrow, dark and on paper."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import chromium
import judged_figures
import people_figures
import pytest

from ppdbench.reports.figure_list import figures_of
from ppdbench.reports.html import Sources, render

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

Figures = dict[str, Any]
MakeRun = Callable[[Figures], Path]
NASTY = '"><img src=x onerror="document.title=1">'
TABLE = "table.means"


@pytest.fixture
def figures(figures: Figures) -> Figures:
    figures["benchmarks"] |= people_figures.benchmarks()
    for cells in figures["benchmarks"]["rewards"].values():
        for cell in cells.values():
            cell |= {"training_share": 0.38, "n_trainings": {"model": 3, "opponent": 1}}
    figures["generators"]["sft"]["settings"] = {NASTY: NASTY}
    figures["benchmarks"]["rewards"][NASTY] = figures["benchmarks"]["rewards"].pop("sft")
    return figures


def write_page(folder: Path) -> None:
    """The page without the files of its figures, which nothing here opens and drawing is slow."""
    sources = Sources.of(folder)
    names = [figure.name for figure in figures_of(sources.summary)]
    (folder / "report.html").write_text(render(sources, names), encoding="utf-8")


@pytest.fixture
def run(figures: Figures, make_run: MakeRun) -> Path:
    folder = make_run(figures)
    people_figures.add_pictures(folder)
    write_page(folder)
    return folder


@pytest.fixture
def opened(browser: Browser, run: Path) -> Iterator[chromium.Visit]:
    """The page in a wide window; nothing may be asked for, and nothing complained of, at all."""
    visit = chromium.visit(browser, run / "report.html")
    yield visit
    assert visit.asked == [] and visit.said == []
    visit.page.context.close()


def column(page: Page, table: str, place: int) -> list[str]:
    found: list[str] = page.eval_on_selector_all(
        f"{table} tbody tr",
        "(rows, place) => rows.map((r) => r.cells[place].innerText.split('\\n')[0].trim())",
        place,
    )
    return found


def test_it_opens_from_its_file_and_asks_for_nothing(opened: chromium.Visit) -> None:
    page = opened.page
    assert page.title().startswith("ppd beats stable-cascade")
    loaded = page.evaluate(
        "[...document.images].filter((i) => i.src !== 'data:,').map((i) => i.naturalWidth > 0)"
    )
    assert len(loaded) > 80 and all(loaded)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_lies_sideways(browser: Browser, run: Path, width: int, scheme: str) -> None:
    visit = chromium.visit(browser, run / "report.html", width=width, scheme=scheme)
    visit.page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert visit.sideways == 0
    background = visit.page.evaluate("getComputedStyle(document.body).backgroundColor")
    shade = sum(map(int, re.findall(r"\d+", background)[:3])) / 3
    assert shade < 60 if scheme == "dark" else shade > 200
    visit.page.context.close()


@pytest.mark.parametrize("kind", ["judge", "calibration"])
def test_a_judges_pages_are_as_narrow_and_as_quiet(
    browser: Browser, make_run: MakeRun, kind: str
) -> None:
    summary = judged_figures.summary() if kind == "judge" else judged_figures.calibration_summary()
    folder = make_run(summary)
    if kind == "judge":
        judged_figures.add_images(folder, summary)
    write_page(folder)
    visit = chromium.visit(browser, folder / "report.html", width=390)
    visit.page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert visit.sideways == 0 and visit.asked == [] and visit.said == []
    visit.page.context.close()


def test_tables_sort_by_click(opened: chromium.Visit) -> None:
    page = opened.page
    before = column(page, TABLE, 1)
    head = page.locator(f"{TABLE} thead tr:last-child th").nth(1)
    button = head.get_by_role("button")
    assert head.get_attribute("aria-sort") is None
    button.click()
    *shown, gap = column(page, TABLE, 1)
    values = [float(text) for text in shown]
    assert head.get_attribute("aria-sort") == "descending" and gap == "not measured"
    assert values == sorted(values, reverse=True) and len(set(values)) > 2
    button.click()
    assert head.get_attribute("aria-sort") == "ascending"
    *shown, gap = column(page, TABLE, 1)
    assert [float(text) for text in shown] == sorted(values) and gap == "not measured"
    assert page.get_by_role("status").inner_text() == "sorted by CLIP, ascending"
    button.click()
    assert head.get_attribute("aria-sort") is None and column(page, TABLE, 1) == before


def test_tables_sort_by_keyboard_and_one_column_at_a_time(opened: chromium.Visit) -> None:
    page = opened.page
    buttons = page.locator(f"{TABLE} thead tr:last-child button")
    buttons.nth(0).focus()
    page.keyboard.press("Enter")
    names = column(page, TABLE, 0)
    assert names == sorted(names, key=str.lower)
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    sorted_by = page.eval_on_selector_all(f"{TABLE} [aria-sort]", "(all) => all.length")
    assert sorted_by == 1 and column(page, TABLE, 0) != names


def test_signs_bounds_and_thousands_are_numbers_and_gaps_come_last(
    figures: Figures, make_run: MakeRun, browser: Browser
) -> None:
    cells = figures["benchmarks"]["rewards"]["stable-cascade"]
    cells["clip"] |= {"p_value": 0.00001, "n": 1200, "n_expected": 1200}
    cells["hps"] |= {"win_rate": None, "ci_low": None, "ci_high": None, "p_value": None}
    cells["hps"] |= {"reason": "no pairs"}
    folder = make_run(figures)
    write_page(folder)
    visit = chromium.visit(browser, folder / "report.html")
    page = visit.page
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    table = "section[aria-labelledby=wins] details:first-of-type table"
    heads = page.locator(f"{table} thead button")
    for clicks in (1, 2):  # gaps are last in both orders
        heads.nth(2).click()
        rates = column(page, table, 2)
        assert len(rates) == 18 and rates[-1].startswith("undefined"), clicks
        values = [float(rate.partition("%")[0]) for rate in rates[:-1]]
        assert values == sorted(values, reverse=clicks == 1)
    heads.nth(4).click()
    heads.nth(4).click()
    assert column(page, table, 4)[0] == "< 0.001" and column(page, table, 4)[-1] == ""
    fidelity = "section[aria-labelledby=fidelity] table"
    head = page.locator(f"{fidelity} thead button").nth(1)
    head.click()
    assert "minus" in column(page, fidelity, 0)[-1], "the difference stays below the rows"
    visit.page.context.close()


def test_the_gallery_opens_an_item_and_closes_by_keyboard(opened: chromium.Visit) -> None:
    page = opened.page
    shot = page.locator("section[aria-labelledby=gallery] .shot").nth(1)
    shot.focus()
    page.keyboard.press("Enter")
    dialog = page.locator("#zoom")
    assert dialog.is_visible()
    first = dialog.inner_text()
    record = page.locator(str(shot.get_attribute("data-record")))
    for told in ("item", "seed", "scores"):
        assert str(shot.get_attribute(f"data-{told}")) in first
        assert str(shot.get_attribute(f"data-{told}")) in (record.text_content() or "").replace(
            "\n", " "
        )
    original = dialog.get_by_role("link", name="original file")
    assert re.fullmatch(r"images/[0-9a-f]{64}\.png", original.get_attribute("href") or "")
    page.keyboard.press("ArrowRight")
    assert dialog.inner_text() != first
    page.keyboard.press("ArrowLeft")
    assert dialog.inner_text() == first
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    assert page.evaluate("document.activeElement.className") == "shot", "focus is where it was"


def test_an_enlarged_picture_leads_to_its_record(opened: chromium.Visit) -> None:
    page = opened.page
    page.locator("section[aria-labelledby=extremes] .shot").first.click()
    link = page.locator("#zoom").get_by_role("link", name="its record")
    target = str(link.get_attribute("href"))
    assert not page.locator(target).is_visible(), "folded until it is asked for"
    link.click()
    assert page.locator(target).is_visible() and not page.locator("#zoom").is_visible()
    assert page.url.endswith(target)


def test_hostile_names_and_captions_are_shown_as_text(opened: chromium.Visit) -> None:
    page = opened.page
    text = page.inner_text("main")
    wish = f"a wish {people_figures.HOSTILE}"
    assert "<script>" in wish and wish in text and NASTY in text
    assert page.evaluate("document.querySelectorAll('script').length") == 1
    assert page.evaluate("document.querySelectorAll('[onerror]').length") == 0
    page.locator("section[aria-labelledby=people] .gallery.wide .shot").first.click()
    assert page.locator("#zoom b").inner_text() == wish
    page.keyboard.press("Escape")


def test_landmarks_and_the_way_to_each_section(opened: chromium.Visit) -> None:
    page = opened.page
    for role in ("banner", "navigation", "main", "contentinfo"):
        assert page.get_by_role(role).count() == 1
    links = page.get_by_role("navigation").get_by_role("link")
    for place in range(links.count()):
        target = str(links.nth(place).get_attribute("href"))
        heading = page.locator(f"h2{target}")
        assert heading.inner_text() == links.nth(place).inner_text()
    levels = page.eval_on_selector_all("h1, h2, h3, h4", "(all) => all.map((h) => +h.tagName[1])")
    skipped = [(one, next_) for one, next_ in itertools.pairwise(levels) if next_ > one + 1]
    assert levels.count(1) == 1 and not skipped
    unnamed = page.eval_on_selector_all(
        "button, a[href]",
        "(all) => all.filter((e) => !(e.ariaLabel || e.textContent).trim()).length",
    )
    assert unnamed == 0


def test_on_paper_what_is_folded_is_open_and_nothing_is_cut(browser: Browser, run: Path) -> None:
    visit = chromium.visit(browser, run / "report.html", scheme="dark", width=760)
    page = visit.page
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    closed = page.eval_on_selector_all(
        "details:not([open])", "(all) => all.map((d) => d.className)"
    )
    assert set(closed) == {"long"}
    said = page.eval_on_selector_all(
        "details.long > summary", "(all) => all.map((s) => getComputedStyle(s, '::after').content)"
    )
    assert set(said) == {'" (on the screen only)"'}
    assert visit.sideways == 0
    cut = page.eval_on_selector_all(
        ".scroll", "(all) => all.filter((e) => getComputedStyle(e).overflowX !== 'visible').length"
    )
    assert cut == 0
    assert "255, 255, 255" in page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.locator("details:not([open])").count() > len(closed)
    # The pictures are on the paper too: they are in the file's streams.
    pdf = page.pdf(format="A4")
    assert len(re.findall(rb"/Subtype ?/Image", pdf)) > 10
    visit.page.context.close()


def test_without_a_script_the_page_says_everything(browser: Browser, run: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((run / "report.html").as_uri())
    assert page.locator("table.means tbody tr").count() == 5
    assert page.locator(".sort").count() == 0 and page.locator("#zoom").is_hidden()
    record = page.locator("#records a").first
    assert (run / str(record.get_attribute("href"))).is_file()
    context.close()
