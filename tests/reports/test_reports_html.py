# ruff: noqa: RUF001 - dashes and minus signs as they are printed
"""The page: self-contained, escaped, honest about gaps, and readable without eyes or colours."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from html_page import Page

from ppdbench import plugins
from ppdbench.errors import PpdbenchError, unknown_name
from ppdbench.reports.html import Sources, render, write_report
from ppdbench.reports.rewards.mean_table import means

Figures = dict[str, Any]
MakeRun = Callable[[Figures], Path]
CAPTION = '<script>alert("pwned")</script> & <b>"a" red circle</b>'


def page_of(run: Path) -> Page:
    return Page(render(Sources.of(run)))


def test_nothing_is_fetched(figures: Figures, make_run: MakeRun) -> None:
    run = make_run(figures)
    text = write_report(run).read_text(encoding="utf-8")
    page = Page(text)
    for tag, attrs in page.tags:
        for name in ("src", "href", "srcset", "action", "poster", "data"):
            value = attrs.get(name)
            if tag == "a" and name == "href" and not (value or "#").startswith("#"):
                # A link is followed by a person, to a file that lies beside the page.
                assert re.fullmatch(r"(figures|images)/[a-z0-9-]+\.(svg|png|csv)", value or "")
                assert (run / str(value)).is_file(), value
            else:
                assert value is None or value.startswith(("data:", "#")), value
    assert "http:" not in text and "https:" not in text
    assert "url(" not in text and "@import" not in text and not page.all("link")


def test_policy_allows_our_script_and_no_other(figures: Figures, make_run: MakeRun) -> None:
    text = render(Sources.of(make_run(figures)))
    (script,) = re.findall(r"<script>(.*?)</script>", text, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = next(m["content"] for m in Page(text).all("meta") if "http-equiv" in m)
    assert policy is not None
    assert f"script-src 'sha256-{digest}'" in policy and "default-src 'none'" in policy
    assert "unsafe-inline" not in policy.split("script-src")[1]


def test_hostile_text_is_text(figures: Figures, make_run: MakeRun) -> None:
    nasty = '"><img src=x onerror=alert(1)>'
    figures["model"] = nasty
    figures["rewards"]["clip"]["title"] = nasty
    figures["generators"]["sft"]["settings"] = {nasty: nasty}
    figures["benchmarks"]["rewards"]["sft"]["clip"].update(win_rate=None, reason=nasty)
    figures["failures"] = [{"item": nasty, "error": nasty}]
    page = page_of(make_run(figures))
    assert len(page.all("script")) == 1
    assert all((img["src"] or "").startswith("data:") for img in page.all("img"))
    assert not any("onerror" in attrs for _, attrs in page.tags)
    assert CAPTION in page.text("h3")
    assert nasty in page.text("h1")


def test_headline_and_central_figures(figures: Figures, make_run: MakeRun) -> None:
    page = page_of(make_run(figures))
    assert page.text("h1") == "ppd beats stable-cascade on all three rewards"
    text = page.text()
    for part in ("71.2%", "65.7–75.7", "0.3121", "5.460", "−0.5 points", "−2.1 to +1.1"):
        assert part in text
    assert "In 3 of 3 columns" in text


def test_means_carry_their_intervals(figures: Figures, make_run: MakeRun) -> None:
    text = render(Sources.of(make_run(figures)))
    row = re.search(r'<tr class="model">.*?</tr>', text, flags=re.DOTALL)
    assert row is not None
    squeezed = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", row[0]))
    assert "0.3121 0.3090–0.3183" in squeezed and "5.871 5.812–5.988" in squeezed
    assert row[0].count('class="num best"') == 6
    assert "n = " not in squeezed


def test_no_mean_is_best_among_those_of_other_items(figures: Figures, make_run: MakeRun) -> None:
    figures["benchmarks"]["rewards"]["sft"]["clip"]["n"] = 258
    text = render(Sources.of(make_run(figures)))
    table = text.partition('<table class="data means sortable">')[2].partition("</table>")[0]
    assert table.count('class="num best"') == 5, "the other columns have theirs"
    assert table.count("n = 258") == 1 and table.count("n = 260") == 3
    assert "rest on different" in text


def test_what_reads_alike_is_best_alike(figures: Figures) -> None:
    found = figures["benchmarks"]["rewards"]
    opponents = list(found)
    for place, opponent in enumerate(opponents):
        cell = found[opponent]["clip"]
        cell |= {"opponent_mean": 90.0 + (0.001, 0.002)[place] if place < 2 else 10.0}
    rows = {row["name"]: row["cells"][0] for row in means(figures)["rows"]}
    assert [rows[name]["text"] for name in opponents[:2]] == ["90.00", "90.00"]
    assert [name for name, cell in rows.items() if cell["best"]] == opponents[:2]


def test_seeds_of_the_training_have_their_spread(figures: Figures, make_run: MakeRun) -> None:
    page = page_of(make_run(figures)).text("th", "td", "span")
    assert "ppd 0, 1, 2 n = 260 70.1% (68.1 to 72.0) 95.0% (94.8 to 95.4) not measured" in page
    assert "sft one: 0 one training: no spread one training: no spread" in page


def test_rates_are_percent_and_nothing_is_none(figures: Figures, make_run: MakeRun) -> None:
    figures["benchmarks"]["gain"]["hps"].update(
        ratio=None, ci_low=None, ci_high=None, reason="the denominator's mean is 0"
    )
    figures["benchmarks"]["matrix"]["clip"]["hps"] = {
        "win_rate": None,
        "ci_low": None,
        "ci_high": None,
        "n": 0,
        "reason": "no pairs to compare",
    }
    text = page_of(make_run(figures)).text()
    assert "undefined: the denominator's mean is 0" in text
    assert "undefined: no pairs to compare" in text
    assert not re.search(r"\b(None|nan|NaN|null|Undefined)\b", text)


def test_withheld_headline_says_why(figures: Figures, make_run: MakeRun) -> None:
    reason = "12 of 1040 items failed"
    for key in ("rewards", "rewards_gold"):
        for cells in figures["benchmarks"][key].values():
            for cell in cells.values():
                cell.update(dict.fromkeys(("win_rate", "ci_low", "ci_high", "p_value", "p_holm")))
                cell["reason"] = reason
    figures.update(n_ok=1028, complete=False)
    figures["failures"] = [{"item": f"ppd/-/c{i}/0", "error": "out of memory"} for i in range(60)]
    page = page_of(make_run(figures))
    assert page.text("h1") == "No headline for ppd"
    text = page.text()
    assert f"The headline is withheld: {reason}." in text
    assert "12 of 1040 items failed or are missing" in text
    assert "What failed (60)" in text and "The first 50 of 60" in text
    assert not re.search(r"(?<!\d)0\.0%", text)


def test_missing_rows_are_gaps_not_zeros(figures: Figures, make_run: MakeRun) -> None:
    del figures["benchmarks"]["rewards"]["sft"]["hps"]
    del figures["benchmarks"]["caption_fidelity"]["sft"]["relation"]
    page = page_of(make_run(figures))
    assert page.text().count("not measured") >= 3  # Table 1, Fig. 3, fidelity


def test_a_run_of_little_leaves_sections_out(figures: Figures, make_run: MakeRun) -> None:
    keep = figures["benchmarks"]["rewards"]["stable-cascade"]
    figures["benchmarks"] = {"rewards": {"stable-cascade": keep}}
    figures.update(seconds={}, generators={})
    page = page_of(make_run(figures))
    assert {"matrix", "gain", "fidelity", "times"}.isdisjoint(
        attrs.get("id") for attrs in page.all("h2")
    )
    assert "ppd beats" in page.text("h1")


def test_recorded_rows_are_marked(figures: Figures, make_run: MakeRun) -> None:
    text = render(Sources.of(make_run(figures)))
    row = re.search(r'<th scope="row">sft.*?</th>', text, flags=re.DOTALL)
    assert row is not None and "recorded" in row[0]
    row = re.search(r'<th scope="row">stable-cascade.*?</th>', text, flags=re.DOTALL)
    assert row is not None and "fresh" in row[0] and "recorded" not in row[0]


def test_papers_figures_stand_apart(figures: Figures, make_run: MakeRun) -> None:
    text = render(Sources.of(make_run(figures)))
    before, _, rest = text.partition('<aside class="paper"')
    panel, _, after = rest.partition("</aside>")
    assert "reported at paper scale, not comparable" in panel
    assert "33.21" in panel and "32.54" in panel
    assert "33.21" not in before + after and "32.54" not in before + after


def test_images_have_words_and_headers_have_scope(figures: Figures, make_run: MakeRun) -> None:
    page = page_of(make_run(figures))
    shots = [img for img in page.all("img") if (img["src"] or "").startswith("data:image")]
    assert len(shots) == 12 * 4 + 3 * 2 * 2 * 3  # the gallery; both ends of three rewards
    assert all(img.get("alt") for img in shots)
    assert all(th.get("scope") for th in page.all("th"))
    assert len(page.all("table")) == len(page.all("caption"))
    assert page.all("html")[0]["lang"] == "en" and len(page.all("h1")) == 1
    labels = [attrs["aria-labelledby"] for _, attrs in page.tags if "aria-labelledby" in attrs]
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert set(labels) <= set(ids) and len(ids) == len(set(ids))


def test_both_themes_are_there(figures: Figures, make_run: MakeRun) -> None:
    text = render(Sources.of(make_run(figures)))
    light, _, dark = text.partition("@media screen and (prefers-color-scheme: dark)")
    wanted = set(re.findall(r"(--(?:bg|card|ink|soft|line|win|lose|gold|track)):", light))
    assert len(wanted) == 9
    assert wanted <= set(re.findall(r"(--[a-z]+):", dark))


def test_same_run_same_page(figures: Figures, make_run: MakeRun) -> None:
    run = make_run(figures)
    first = {path: path.read_bytes() for path in (run, *run.glob("figures/*")) if path.is_file()}
    page = write_report(run).read_bytes()
    drawn = {path: path.stat().st_mtime_ns for path in run.glob("figures/*")}
    assert write_report(run).read_bytes() == page
    assert {path: path.stat().st_mtime_ns for path in run.glob("figures/*")} == drawn
    assert first == {} and len(drawn) > 10


def test_a_page_outlives_its_suite(
    figures: Figures, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(figures)

    def gone(_group: str, name: str) -> Any:
        raise unknown_name("suite", name, [])

    monkeypatch.setattr(plugins, "load", gone)
    page = page_of(run)
    assert "The suite could not be loaded." in page.text()
    assert "test-hostile" in page.text("h3")
    assert not page.all("aside")


def test_run_details(figures: Figures, make_run: MakeRun) -> None:
    text = page_of(make_run(figures)).text()
    for part in ("a1b2a1b2", "9e9e9e", "5d5d5d", "guidance.scale", "libraries.torch", "2.9.1"):
        assert part in text
    assert "780 of 780" in text and "bicubic-antialias-64" in text
    assert "generate 1 min 11 s 76%" in text


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (None, "not finished"),
        (b'{"schema_version": 1, "sui', "damaged"),
        (b'{"schema_version": 2}', "schema_version 2"),
        (b"[]", "schema_version None"),
        (
            b'{"schema_version": 1, "suite": "shapes"}',
            "lacks benchmarks, generators, model, suite_v",
        ),
    ],
)
def test_a_run_without_a_sound_summary_is_refused(
    tmp_path: Path, content: bytes | None, cause: str
) -> None:
    if content is not None:
        (tmp_path / "summary.json").write_bytes(content)
    with pytest.raises(PpdbenchError, match=cause) as error:
        write_report(tmp_path)
    assert "\n" not in error.value.cause and error.value.fix
    assert not (tmp_path / "report.html").exists()


def test_a_run_folder_without_records_still_has_a_page(figures: Figures, tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text(json.dumps(figures))
    assert "No gallery: the run holds no images." in page_of(tmp_path).text()
