# ruff: noqa: RUF001 - dashes and minus signs as they are printed
"""People on the page and on the terminal: their figures, their pictures, and gaps that say why."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import people_figures
import pytest
from html_page import Page
from rich.console import Console

from ppdbench.reports.contact_sheet import Column, contact_sheet
from ppdbench.reports.curves import HEIGHT, WIDTH, Series, plot
from ppdbench.reports.headline import people_headline
from ppdbench.reports.html import Sources, render
from ppdbench.reports.people.section import people
from ppdbench.reports.people.table import people_tables

Figures = dict[str, Any]
MakeRun = Callable[[Figures], Path]


@pytest.fixture
def figures(figures: Figures) -> Figures:
    figures["benchmarks"] |= people_figures.benchmarks()
    figures["generators"]["ppd-onehot"] = {"unserved": {"unseen": 192}}
    return figures


@pytest.fixture
def run(figures: Figures, make_run: MakeRun) -> Path:
    folder = make_run(figures)
    people_figures.add_pictures(folder)
    return folder


def page_of(folder: Path) -> Page:
    return Page(render(Sources.of(folder)))


def printed(figures: Figures, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    for table in people_tables(figures):
        console.print(table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_page_says_all_figures_of_people(run: Path) -> None:
    page = page_of(run)
    text = page.text()
    for what in (
        "ppd is truly liked better than stable-cascade by seen and unseen users, and the gain is "
        "personal",
        "84.3% 80.3–87.3",  # win rate
        "58.1%",  # another user's picture
        "+26.2 points +22.2 to +30.2",  # personal gain
        "+8.1 points",  # population gain
        "41.2% 36.0–47.0",  # whose picture
        "by chance 6.2%",
        "+29.3 points",  # four shots over none
        "−0.90 −0.95 to −0.85",  # between users
        "11.8% 87.2% 83.2–91.2",  # steps, ends
        "13.4% 9.4–17.4",  # worse off
        "−0.12",  # a quantile
        "89.3% 84.3–93.3",  # top-16
        "ceiling: by 4 labels without errors 5.3% 26.7% 85.3%",
        "ceiling: by labels alone 5.2% 20.4% 42.0%",
        "ceiling: by captions and labels – – 95.1%",
        "74.8%",  # a ceiling
        "not bounded by them",
        "ppd-onehot cannot serve unseen users: 192 are left out",
        "not applicable: it reads who the user is",
        "−0.4 points −2.0 to +1.2",  # fidelity
    ):
        assert what in text, what
    assert page.text("h1") == "ppd beats stable-cascade on all three rewards"
    assert not re.search(r"\b(None|nan|NaN|null)\b", text)


PROBE = "A bilinear probe of these embeddings"


def test_the_page_says_once_what_an_encoders_probe_guesses(run: Path) -> None:
    text = page_of(run).text()
    assert text.count("everybody's own captions") > 1 and "captions common to all" in text
    assert text.count(PROBE) == 1
    said = text[text.index(PROBE) :]
    assert said.startswith(
        f"{PROBE}, learnt from training users, guesses 69.1% 66.1–72.1 of unseen users’ held-out "
        "labels right (1536 choices of 190 users, 2 without an embedding; ceiling 71.4% ; with "
        "another user’s embedding 50.3% 48.3–52.3 ). Gain over another user’s: "
        "+18.8 points +15.8 to +21.8 , p < 0.001."
    )
    assert said.index("Gain over another") < said.index("captions common to all")
    assert (
        "onehot, everybody's own captions not applicable: it reads who the user is Bilinear probe "
        "of these embeddings: not applicable: it reads who the user is"
    ) in text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"ceiling": None}, "2 without an embedding; no ceiling is known; with another"),
        ({"n_missing": 0}, "(1536 choices of 190 users; ceiling"),
        ({"gain_p_value": None}, "+15.8 to +21.8 ."),
        ({"accuracy_ci_low": None}, "guesses 69.1% no interval of unseen"),
        (
            {"accuracy": None, "n": 0, "reason": "no choice could be guessed"},
            "Bilinear probe of these embeddings: no choice could be guessed",
        ),
    ],
)
def test_a_probe_says_what_it_lacks(
    figures: Figures, make_run: MakeRun, change: Figures, said: str
) -> None:
    users = figures["benchmarks"]["users"]
    blank = dict.fromkeys(people_figures.accuracy(0, 0, 0))
    del users["onehot"]
    for encoder, own in users.items():  # the line stands without an accuracy, too
        users[encoder] = {**blank, "reason": "withheld", "probe": own["probe"] | change}
    text = page_of(make_run(figures)).text()
    assert said in text
    assert not re.search(r"\b(None|nan|NaN|null)\b", text)


def test_without_a_probe_nothing_is_said_of_one(figures: Figures, make_run: MakeRun) -> None:
    for own in figures["benchmarks"]["users"].values():
        del own["probe"]
    assert "probe" not in page_of(make_run(figures)).text()


def test_hostile_names_profiles_and_captions_are_text(run: Path) -> None:
    page = page_of(run)
    assert len(page.all("script")) == 1
    assert people_figures.HOSTILE in page.text("h3", "dd")
    assert f"likes {people_figures.HOSTILE}" in page.text("dd")
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert len(page.all("table")) == len(page.all("caption"))
    assert all(th.get("scope") for th in page.all("th"))


def test_the_gallery_shows_the_base_each_user_and_what_is_missing(run: Path) -> None:
    page = page_of(run)
    captions = page.text("figcaption")
    assert "user 1" in captions and "user 2" in captions
    assert "not drawn" in page.text("span")
    alts = [img["alt"] or "" for img in page.all("img")]
    assert sum("drawn for user 1" in alt for alt in alts) == 1
    assert not any("user:9" in alt for alt in alts)
    # Pictures for people are in no column of the rewards' gallery.
    assert sum(alt.endswith("user") for alt in alts) == 36


def test_a_run_of_people_alone_has_its_own_headline(figures: Figures, make_run: MakeRun) -> None:
    figures["benchmarks"] = people_figures.benchmarks()
    figures["rewards"] = {}
    page = page_of(make_run(figures))
    assert page.text("h1").startswith("ppd is truly liked better than stable-cascade")
    headings = {attrs.get("id") for attrs in page.all("h2")}
    assert {"users", "people"} <= headings
    assert {"means", "wins"}.isdisjoint(headings)


@pytest.mark.parametrize("withheld", [None, "9 of 90 groups have no embedding"])
def test_a_run_of_encoders_alone_says_who_is_told_apart(
    figures: Figures, make_run: MakeRun, withheld: str | None
) -> None:
    users = people_figures.benchmarks()["users"]
    figures |= {"benchmarks": {"users": users}, "rewards": {}, "generators": {}}
    figures |= {"n_ok": 0, "n_expected": 0, "complete": True, "withheld": withheld}
    run = make_run(figures)
    (run / "generations.jsonl").unlink()
    page = page_of(run)
    text = page.text()
    if withheld:
        assert page.text("h1") == "No headline: who can be told apart is not known"
        assert "in 89.3% by" not in text
    else:
        assert page.text("h1").startswith("Users are told apart by llava-")
        assert page.text("h1").endswith(", and nothing is measured of onehot")
        assert "(95% interval 84.3–93.3, 300 tests of 300 users, by chance 5.3%)." in text
    assert "nothing was measured against" not in text and "Coverage" not in text
    assert ("The headline is withheld: 9 of 90" in text) == bool(withheld)
    headings = {attrs.get("id") for attrs in page.all("h2")}
    assert "users" in headings and {"gallery", "means", "people"}.isdisjoint(headings)


def test_a_run_without_people_has_no_such_sections(figures: Figures, make_run: MakeRun) -> None:
    for key in people_figures.benchmarks():
        del figures["benchmarks"][key]
    page = page_of(make_run(figures))
    assert {"users", "people"}.isdisjoint({attrs.get("id") for attrs in page.all("h2")})
    assert people(figures) is None and people_headline(figures) is None
    assert people_tables(figures) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda _: None, "by seen and unseen users, and the gain is personal"),
        (lambda c: c["unseen"].update(ci_low=0.48), "cannot be told from stable-cascade by unseen"),
        (
            lambda c: c["unseen"].update(personal_gain_ci_low=-0.01),
            "by seen and unseen users, and no gain is sure to be personal",
        ),
        (
            lambda c: c["seen"].update(win_rate=0.3, ci_low=0.2, ci_high=0.4),
            "is truly liked less than stable-cascade by seen users",
        ),
    ],
)
def test_the_headline_says_no_more_than_intervals_allow(
    figures: Figures, change: Callable[[Any], None], said: str
) -> None:
    change(figures["benchmarks"]["personal"]["stable-cascade"])
    found = people_headline(figures)
    assert found is not None and said in found.text and not found.withheld


def test_what_is_withheld_says_why_everywhere(figures: Figures, make_run: MakeRun) -> None:
    reason = "9 of 90 items failed"
    for cells in figures["benchmarks"]["personal"].values():
        for cell in cells.values():
            counts = {key: cell[key] for key in ("n", "n_users", "n_expected")}
            cell.update({**dict.fromkeys(cell), **counts, "reason": reason})
    for split in figures["benchmarks"]["personal_matrix"].values():
        split.update(own_is_best=None, ci_low=None, ci_high=None, mean_rank=None, reason=reason)
    for curve in figures["benchmarks"]["personal_shots"].values():
        for point in curve:
            point.update(win_rate=None, ci_low=None, ci_high=None, over_zero=None, reason=reason)
    for walk in figures["benchmarks"]["personal_between"].values():
        for trend in (walk["first"], walk["second"]):
            trend.update({**dict.fromkeys(trend), "n": 96, "n_pairs": 48, "reason": reason})
    text = page_of(make_run(figures)).text()
    assert f"No headline for ppd and people : {reason}" in text
    assert text.count(f"undefined: {reason}") > 5
    assert not re.search(r"\b(None|nan|NaN|null)\b", text)
    table = printed(figures)
    assert f"undefined: {reason}" in table and "None" not in table


def test_a_model_for_everybody_has_no_parts_and_nothing_lacks_a_reason(
    figures: Figures, make_run: MakeRun
) -> None:
    for cells in figures["benchmarks"]["personal"].values():
        for cell in cells.values():
            gone = [k for k in cell if "gain" in k or k.startswith(("shuffled", "null"))]
            cell.update(dict.fromkeys(k for k in gone if not k.startswith("utility")))
    found = people(figures)
    assert found is not None and found["parts"] == []
    page = page_of(make_run(figures))
    text = page.text()
    assert "Where the gain over stable-cascade comes from" not in text
    assert "no reason is recorded" not in text
    assert page.text("h1").startswith("ppd beats")


def test_the_terminal_has_a_table_of_people_in_eighty_columns(figures: Figures) -> None:
    text = printed(figures)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "another's " + " ".join(["58.1% [53.1–63.1]"] * 3) in lines
    assert "own liked best " + " ".join(["41.2% [36.0–47.0]"] * 3) in lines
    assert "chance 0.3% 1.7% 5.3%" in lines
    found = " ".join(lines)
    assert "by labels alone 5.2% 20.4% 42.0%" in found and "5.3% 26.7% 85.3%" in found
    assert any(line.startswith("captions only 20.0% 50.0% 80.6%") for line in lines)
    assert "ppd-onehot cannot serve unseen users" in " ".join(lines)
    assert people_figures.HOSTILE in printed(figures, width=200)  # printed, not read


def test_opponents_without_recorded_pictures_are_named_on_one_line(figures: Figures) -> None:
    base = figures["benchmarks"]["personal"]["stable-cascade"]
    for name in ("first", "second"):
        blank = {key: None for cell in base.values() for key in cell}
        cell = {**blank, "n": 0, "n_users": 0, "reason": f"{name} has no recorded pictures"}
        figures["benchmarks"]["personal"][name] = dict.fromkeys(base, cell)
    text = " ".join(printed(figures, width=120).split())
    assert "first not recorded not recorded not recorded" in text
    assert "not recorded: first, second; --model NAME draws one afresh" in text
    assert "undefined" not in text and "None" not in text


def test_curves_stay_in_their_box_and_leave_out_what_is_unknown() -> None:
    series = Series(name="a", kind="seen", values=[(0, 0.5, 0.4, 0.6), (2, 1.4, None, None)])
    drawn = plot([series], ["0", "1", "2"])
    assert drawn is not None
    corners = [tuple(map(float, pair.split(","))) for pair in drawn.lines[0].points.split()]
    assert len(corners) == 2 and corners[0][0] < corners[1][0] <= WIDTH
    assert all(0 <= y <= HEIGHT for _, y in corners)
    assert len(drawn.lines[0].band.split()) == 2  # of the one value that has an interval
    assert plot([Series(name="a", kind="seen", values=[])], ["0", "1"]) is None
    assert plot([series], ["0"]) is None


def test_a_sheet_holds_every_picture_and_long_words() -> None:
    from PIL import Image

    columns = [
        Column(title="base", text="", images=[Image.new("RGB", (8, 8), "red")] * 2),
        Column(title="x" * 90, text="y " * 300, images=[Image.new("RGB", (640, 320), "blue")] * 2),
    ]
    sheet = contact_sheet("a caption " * 40, columns)
    colours = {colour for _, colour in sheet.getcolors(maxcolors=1 << 20) or ()}
    assert {(255, 0, 0), (0, 0, 255)} <= colours
    assert sheet.width < 600 and 512 < sheet.height < 900
