"""The page, the sentence and the tables of a comparison."""

from __future__ import annotations

import copy
import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest
from compared_figures import HOSTILE, summary, three, unknown
from html_page import Page
from rich.console import Console

from ppdbench.errors import PpdbenchError
from ppdbench.reports.compare.headline import comparison_headline
from ppdbench.reports.compare.list import listed
from ppdbench.reports.compare.page import render, write_comparison
from ppdbench.reports.compare.sections import sections
from ppdbench.reports.compare.table import comparison_tables


def page_of(found: dict[str, Any]) -> Page:
    return Page(render(found, ("head-to-head", "ranking"), "a-comparison"))


def printed(found: dict[str, Any], width: int = 80) -> str:
    console = Console(width=width, file=None, force_terminal=False, emoji=False)
    with console.capture() as capture:
        for table in comparison_tables(found):
            console.print(table)
    return capture.get()


def squeezed(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def test_the_headline_is_a_sentence_with_its_figures() -> None:
    said = comparison_headline(summary())
    assert (
        said.text == "ppd beats sft head to head by Aesthetic, and cannot be told from it by CLIP"
    )
    assert said.figures == (
        "head to head ppd wins 53.0% by CLIP (95% interval 49.0\N{EN DASH}57.0) and 84.0% by "
        "Aesthetic (80.0\N{EN DASH}88.0), n = 250 of 260 pairs"
    )


def test_the_headline_of_each_benchmark_alone() -> None:
    found = summary()
    whole = found["benchmarks"]

    def said(key: str) -> str:
        return comparison_headline({**found, "benchmarks": {key: whole[key]}}).text

    assert said("personal") == (
        "what ppd draws is truly liked better than what sft draws by seen users and unseen users"
    )
    assert said("users") == "ppd tells users apart better than sft by top-16 accuracy"
    assert said("judge") == (
        "ppd is picked over stable-cascade less often than sft for seen users and unseen users"
    )
    assert said("interpolation") == (
        "ppd follows its weights less closely than sft by Aesthetic against CLIP, and cannot be "
        "told from it by CLIP against Aesthetic"
    )
    # A gain is never said without what it cost.
    assert said("tradeoff") == (
        "ppd gains more than sft by CLIP and Aesthetic; ppd diverges further than sft before the "
        "last step for CLIP and Aesthetic"
    )
    for cells in whole["tradeoff"]["A-B"].values():
        cells["divergence_before_last"] = unknown("difference", "sft does not tell it")
    assert said("tradeoff") == (
        "ppd gains more than sft by CLIP and Aesthetic; how far they diverge is not compared"
    )
    nothing = comparison_headline({**found, "benchmarks": {"rewards_gold": whole["rewards_gold"]}})
    assert nothing.withheld and nothing.reason


def test_two_that_cannot_be_told_apart_are_said_so() -> None:
    found = summary()
    for cells in found["benchmarks"]["rewards"]["A-B"].values():
        cells["head_to_head"]["verdict"] = "not distinguishable"
    said = comparison_headline(found)
    assert said.text == "ppd and sft cannot be told apart by CLIP and Aesthetic"
    text = page_of(found).text()
    assert "not distinguishable" in text and "55.6% or more would be found" in text


def test_the_headline_of_three_names_who_leads_and_its_closest_win() -> None:
    said = comparison_headline(three())
    assert said.text == "Of 3 runs, ppd leads by Aesthetic, and no run is shown to lead by CLIP"
    assert said.figures.startswith("against the closest run ppd wins 84.0% over sft by Aesthetic")


def test_a_leader_that_is_named_last_is_seen_from_its_side() -> None:
    found = three()
    ranked = found["ranking"]["rewards"]["aesthetic"]["runs"]
    ranked["A"], ranked["C"] = ranked["C"], ranked["A"]
    figures = comparison_headline(found).figures
    # A over C is 90%, so C over A is 10%; B over C is 30%, so C over B is 70%: A is the closest.
    assert figures.startswith("against the closest run dpo wins 10.0% over ppd by Aesthetic")
    assert "6.0\N{EN DASH}14.0" in figures


def test_every_tested_difference_is_on_the_page_and_in_the_terminal() -> None:
    found = summary()
    lines = listed(found)
    # 2 rewards and 2 gold by 3 views, the same along an edge, 2 rewards by 4 views of a trade-off,
    # 3 splits by 2, 3 splits of one arm, 3 top-K, fidelity.
    assert len(lines) == 12 + 12 + 8 + 6 + 3 + 3 + 1
    page = page_of(found)
    assert len(page.all("table")) == len(page.all("caption")) == 4
    table = squeezed(printed(found))
    for each in lines:
        assert each.heading in page.text() and each.own.shown.value in page.text()
        value = re.sub(" (points|SD|nats)$", "", each.own.shown.value)
        assert f"{each.short} {value}" in table
    assert "250 of 260" in page.text()


@pytest.mark.parametrize("width", [80, 81, 90])
@pytest.mark.parametrize("key", ["rewards", "interpolation", "tradeoff", "personal", "judge"])
def test_a_table_is_no_wider_than_its_terminal(key: str, width: int) -> None:
    """Else the last letters of its lines are cut off, first of all those of the sentence."""
    found = {**summary(), "benchmarks": {key: summary()["benchmarks"][key]}, "left_out": []}
    found["rewards"] = {name: {"title": f"The {name} reward"} for name in found["rewards"]}
    (table,) = comparison_tables(found)
    console = Console(width=width)
    lines = console.render_lines(table, pad=False)
    assert max(sum(part.cell_length for part in line) for line in lines) <= width
    assert comparison_headline(found).text in squeezed(printed(found, width))


def test_nothing_of_a_run_is_markup(tmp_path: Path) -> None:
    found = summary(HOSTILE, f"{HOSTILE}2")
    found["runs"][0]["folder"] = found["notes"][0] = found["rewards"]["clip"]["title"] = HOSTILE
    (tmp_path / "summary.json").write_text(json.dumps(found))
    text = write_comparison(tmp_path).read_text(encoding="utf-8")
    page = Page(text)
    assert len(page.all("script")) == 1 and "<script>alert" not in text
    assert HOSTILE in page.text("h1", "span", "td", "th", "p", "h2")
    shown = squeezed(printed(found, 400))
    assert f"A: {HOSTILE}, B: {HOSTILE}2" in shown
    with (tmp_path / "figures/head-to-head.csv").open(encoding="utf-8") as file:
        assert any(HOSTILE in row["row"] for row in csv.DictReader(file))


def test_no_request_leaves_the_page() -> None:
    text = render(three(), ("head-to-head",))
    page = Page(text)
    places = [tag.get(key) or "" for _, tag in page.tags for key in ("src", "href") if key in tag]
    assert places and all(re.match(r"#[\w-]+$|figures/[\w-]+\.\w+$", place) for place in places)
    assert "http" not in re.sub(r"http-equiv", "", text)
    policy = next(m["content"] for m in page.all("meta") if m.get("http-equiv"))
    assert policy is not None and policy.startswith("default-src 'none'")


def test_the_page_is_usable_without_eyes_and_without_a_mouse() -> None:
    for found in (summary(), three()):
        page = page_of(found)
        assert page.all("html")[0]["lang"] == "en" and len(page.all("h1")) == 1
        assert all(th.get("scope") for th in page.all("th"))
        ids = [tag["id"] for _, tag in page.tags if "id" in tag]
        assert len(ids) == len(set(ids))
        labels = [tag["aria-labelledby"] for _, tag in page.tags if "aria-labelledby" in tag]
        assert set(labels) <= set(ids)
        inside = [tag["href"] for tag in page.all("a") if (tag["href"] or "").startswith("#")]
        assert {str(place)[1:] for place in inside} <= set(ids)
        scrolls = [tag for tag in page.all("div") if tag.get("class", "") in ("scroll",)]
        assert all(tag.get("tabindex") == "0" and tag.get("aria-label") for tag in scrolls)
        assert any("sortable" in (tag.get("class") or "") for tag in page.all("table"))


def test_tie_half_rates_never_meet_consistent_only_ones() -> None:
    """Of a judge only tie-half differences are drawn, in a section of their own."""
    (section,) = (each for each in sections(summary()) if each.id == "judge")
    assert [panel.title for panel in section.panels] == ["shared shots, as in the paper"]
    assert {row.own.shown.value for panel in section.panels for row in panel.rows} == {
        "\N{MINUS SIGN}20.0 points"
    }
    for panel in section.panels:  # 0 in the middle, whiskers on their side of it
        for row in panel.rows:
            assert row.own.bar is not None and row.own.bar.low is not None
            assert row.own.bar.left + row.own.bar.width == pytest.approx(50)
            assert row.own.bar.low < row.own.bar.middle < 50


def test_a_view_that_cannot_be_compared_has_no_panel_and_says_why() -> None:
    found = summary()
    (section,) = (each for each in sections(found) if each.id == "tradeoff")
    assert [panel.title for panel in section.panels] == [
        "Gain over the baseline, in its standard deviations",
        "Divergence without the last step, nats an image",
        "Divergence over all steps, nats an image",
    ]
    assert section.notes == ["Left out: other embedders: clip 1 in ppd and clip 2 in sft."]
    gains, before, _ = section.panels
    assert gains.rows[0].own.shown.value == "+0.40 SD" and gains.rows[0].gold is not None
    assert before.rows[1].own.shown.value == "+5.00 nats" and before.rows[1].gold is None
    (section,) = (each for each in sections(found) if each.id == "interpolation")
    assert [len(panel.rows) for panel in section.panels] == [2, 2, 2]
    other = "other baselines: plain and base"
    for cells in found["benchmarks"]["interpolation"]["A-B"]["clip+aesthetic"].values():
        nothing = dict.fromkeys(("difference", "ci_low", "ci_high"))
        cells["endpoint_gain"]["standardised"] = {**nothing, "reason": other}
    (section,) = (each for each in sections(found) if each.id == "interpolation")
    assert len(section.panels) == 2 and section.notes == [f"Left out: {other}."]


def test_what_is_drawn_for_nobody_is_shown_once() -> None:
    found = summary()
    for cells in found["benchmarks"]["tradeoff"]["A-B"].values():
        cells["a_user"] = None
    (section,) = (each for each in sections(found) if each.id == "tradeoff")
    names = [[row.own.name for row in panel.rows] for panel in section.panels]
    assert names == [["CLIP", "Aesthetic"], ["drawn for nobody"], ["drawn for nobody"]]
    lines = [each for each in listed(found) if each.heading.startswith("trade-off")]
    assert [(each.heading, each.view) for each in lines].count(
        ("trade-off, drawn for nobody", "divergence without the last step")
    ) == 1
    assert len(lines) == 2 * 2 + 2


def test_an_order_without_strengths_shows_its_ranks_and_says_why() -> None:
    text = page_of(three()).text()
    assert "Ranks alone, for ppd never lost: its strength has no bound" in text
    table = squeezed(printed(three()))
    assert "1\N{EN DASH}3 1 52.0% [52.0\N{EN DASH}52.0] no bound" in table


def test_what_cannot_be_compared_says_why() -> None:
    found = summary()
    cell = found["benchmarks"]["rewards"]["A-B"]["clip"]
    cell["head_to_head"] = unknown("win_rate", "other scorers: clip is 1 and 2")
    cell["reason"] = "other scorers: clip is 1 and 2"
    page = page_of(found)
    assert "Left out: other scorers: clip is 1 and 2." in page.text()
    assert "sft has <i>none</i>" in page.text("td")
    assert "not compared: personal fidelity of ppd and sft" in squeezed(printed(found))
    assert "beats sft head to head by Aesthetic" in comparison_headline(found).text


def test_same_summary_same_page_and_files(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text(json.dumps(three()))

    def files() -> dict[str, bytes]:
        write_comparison(tmp_path)
        return {str(path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    first = files()
    assert files() == first
    assert {Path(path).name for path in first} >= {"ranking.svg", "ranking.png", "ranking.csv"}


def test_a_run_is_no_comparison(tmp_path: Path) -> None:
    found = copy.deepcopy(summary())
    del found["kind"]
    found |= {"model": "ppd", "generators": {}}
    (tmp_path / "summary.json").write_text(json.dumps(found))
    with pytest.raises(PpdbenchError, match="is no comparison"):
        write_comparison(tmp_path)
