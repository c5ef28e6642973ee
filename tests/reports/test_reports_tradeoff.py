# ruff: noqa: RUF001 - dashes and minus signs as they are printed
"""A trade-off on the page, on the terminal and in files: matched gains, drawings, gaps."""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tradeoff_figures
from html_page import Page
from quotable import sentence
from rich.console import Console

from ppdbench.reports.files.figure import csv_text, write_figures
from ppdbench.reports.html import Sources, render
from ppdbench.reports.tradeoff.divergence_plot import HEIGHT, WIDTH, looks, sign_path
from ppdbench.reports.tradeoff.figures import tradeoff_figures as files_of
from ppdbench.reports.tradeoff.headline import nats, rivals, tradeoff_headline
from ppdbench.reports.tradeoff.section import tradeoff
from ppdbench.reports.tradeoff.table import tradeoff_tables

Figures = dict[str, Any]
MakeRun = Callable[[Figures], Path]
NOTHING = re.compile(r"\b(None|nan|NaN|null|inf)\b")
HOSTILE = '<img src=x onerror="alert(1)">'
VIEWS = ("gain", "gold-gain", "diversity")


@pytest.fixture
def figures(figures: Figures) -> Figures:
    figures["benchmarks"] = {"tradeoff": tradeoff_figures.tradeoff()}
    return figures


def page_of(folder: Path) -> Page:
    return Page(render(Sources.of(folder)))


def printed(figures: Figures, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    for table in tradeoff_tables(figures):
        console.print(table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def section(figures: Figures) -> Figures:
    found = tradeoff(figures)
    assert found is not None
    return found


def test_the_sentence_holds_each_reward_against_its_strongest_rival(figures: Figures) -> None:
    found = tradeoff_headline(figures)
    assert found is not None and not found.withheld
    assert sentence(found) == (
        "At equal divergence ppd gains more than diffusion-dpo (CLIP, Aesthetic, HPS), sft "
        "(Aesthetic, HPS) and diffusion-dpo for aesthetic (Aesthetic), and cannot be told from sft "
        "(CLIP): by CLIP +0.09 against +0.09 "
        "of sft at 7.00 nats an image, a difference of 0.00 (95% interval −0.06 to +0.06), by "
        "Aesthetic +0.51 against +0.36 of diffusion-dpo for aesthetic at 13.8 nats an image, a "
        "difference of +0.15 (+0.09 to +0.21) and by HPS +0.20 against +0.07 of sft at 9.10 nats "
        "an image, a difference of +0.13 (+0.07 to +0.19); standard deviations of each reward, the "
        "strongest rival by each, n = 16 captions."
    )


def test_less_is_said_where_the_interval_lies_below(figures: Figures) -> None:
    entry = figures["benchmarks"]["tradeoff"]["headline"]["divergence"]["hps"]
    entry["others"][0] |= tradeoff_figures.part("gain_difference", -0.2, 0.1)
    found = tradeoff_headline(figures)
    assert found is not None and "gains less than sft (HPS)" in found.text
    assert [one.verdict for one in rivals(figures) if one.reward == "hps"] == ["below", "above"]


def test_a_rival_that_is_not_reached_is_no_victory(figures: Figures) -> None:
    for by_reward in figures["benchmarks"]["tradeoff"]["headline"].values():
        for reward, entry in by_reward.items():
            entry["others"] = [tradeoff_figures.other("sft", reward, 9.0, None)]
            entry["theirs"] = []
    found = tradeoff_headline(figures)
    assert found is not None and found.withheld and found.reason == tradeoff_figures.UNKNOWN


def test_who_does_not_come_so_far_is_met_at_its_own_divergence(figures: Figures) -> None:
    found = {one.rival["method"]: one for one in rivals(figures) if one.reward == "hps"}
    there, elsewhere = found["sft"], found["diffusion-dpo"]
    assert (there.at, elsewhere.at) == (9.1, 0.2)
    # Its file has the rival's gain minus the model's: here it is the other way round.
    assert elsewhere.difference["gain_difference"] > 0 and elsewhere.verdict == "above"
    assert elsewhere.difference["ci_low"] < elsewhere.difference["ci_high"]
    assert elsewhere.gain is not None and elsewhere.rival_gain is not None
    assert elsewhere.gain - elsewhere.rival_gain == pytest.approx(
        elsewhere.difference["gain_difference"]
    )


def test_a_rival_without_a_curve_is_there_too(figures: Figures) -> None:
    entry = figures["benchmarks"]["tradeoff"]["headline"]["divergence"]["clip"]
    stranger = {**entry["theirs"][0], "row": "stranger", "curve": None, "method": None}
    entry["theirs"] = [stranger]
    entry["others"] = entry["others"][:1]
    assert [one.rival.get("row") for one in rivals(figures) if one.reward == "clip"] == [
        None,
        "stranger",
    ]
    found = tradeoff_headline(figures)
    assert found is not None and "stranger (CLIP)" in found.text


def test_the_axis_to_quote_is_the_summarys(figures: Figures, make_run: MakeRun) -> None:
    figures["benchmarks"]["tradeoff"]["headline_axis"] = "divergence_before_last"
    found = tradeoff_headline(figures)
    assert found is not None and "at 4.83 nats an image" in found.figures
    assert "divergence without the last step" in found.figures
    assert section(figures)["axes"][0]["axis"] == "divergence_before_last"
    assert "The same with divergence over all steps" in page_of(make_run(figures)).text()
    assert "4.83" in printed(figures) and "13.8" not in printed(figures)


def test_the_page_shows_the_figures_and_what_is_missing(
    figures: Figures, make_run: MakeRun
) -> None:
    page = page_of(make_run(figures))
    text = page.text()
    for what in (
        "16 captions, 8 noises each",
        "by the embedding of CLIP (gold)",
        "Reward against divergence",
        "Gold reward against divergence",
        "Diversity against divergence",
        "The same with divergence without the last step",
        "8 noises each, divergence of 2;",
        "The other way round",
        "between steps 2,000 and 2,500",
        "it reaches 0.18 nats at most",
        "+0.15 +0.09 to +0.21 more",
        "0.00 −0.06 to +0.06 not distinguishable",
        "it does not tell its divergence",
        "13.8 12.1–15.5",
    ):
        assert what in text, what
    assert not NOTHING.search(text)
    assert page.text("h1").startswith(
        "At equal divergence ppd gains more than diffusion-dpo (CLIP,"
    )
    assert len(page.all("table")) == len(page.all("caption"))
    assert all(th.get("scope") for th in page.all("th"))
    assert {"means", "wins"}.isdisjoint({attrs.get("id") for attrs in page.all("h2")})


def test_every_point_says_where_it_lies(figures: Figures, make_run: MakeRun) -> None:
    page = page_of(make_run(figures))
    said = [attrs.get("aria-label") or "" for attrs in page.all("path")]
    assert "ppd, beta 15, step 3,000: +0.51 (0.45–0.58) at 13.8 nats" in said
    assert "sft, step 500: +0.09 (0.06–0.12) at 2.67 nats" in said
    assert "stable-cascade, the reference: 0.210" in said
    own = [attrs for attrs in page.all("path") if attrs.get("class") == "own"]
    assert len(own) == 3 * 3 * 2, "a reward, a figure and an axis each"


def test_points_lie_in_their_plot_and_lines_follow_training(figures: Figures) -> None:
    for axis in section(figures)["axes"]:
        assert [view["name"] for view in axis["views"]] == ["gain", "gold_gain", "diversity"]
        for view in axis["views"]:
            assert [plot.title for plot in view["plots"]] == ["CLIP", "Aesthetic", "HPS"]
            for plot in view["plots"]:
                for curve in plot.curves:
                    places = [tuple(map(float, c.split(","))) for c in curve.line.split()]
                    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in places)
                    # Divergence grows with training here, so a line that turned back would be
                    # one in another order.
                    assert all(a[0] <= b[0] for a, b in itertools.pairwise(places))


def test_who_hears_weights_is_shown_by_its_own_reward_alone(figures: Figures) -> None:
    view = section(figures)["axes"][0]["views"][0]
    # Six steps of three betas, of sft and of diffusion-dpo; of the one for aesthetic by that alone.
    assert [sum(len(curve.marks) for curve in plot.curves) for plot in view["plots"]] == [
        30,
        36,
        30,
    ]


def test_who_was_taught_by_one_reward_is_drawn_by_that_alone(figures: Figures) -> None:
    files = {figure.name: figure for figure in files_of(figures)}
    for name in ("tradeoff-gain", "tradeoff-diversity-before-last"):
        special = [
            row for row in files[name].rows if row["method"] == "diffusion-dpo for aesthetic"
        ]
        assert {row["panel"] for row in special} == {"Aesthetic"}
    figures["model"] = "diffusion-dpo-for-aesthetic-beta-15-3000"
    found = section(figures)["axes"][0]["views"][0]["plots"]
    assert all(any(mark.own for c in plot.curves for mark in c.marks) for plot in found)
    figures["benchmarks"]["tradeoff"]["points"] = [
        point | {"labels": "a stranger's"} if point["labels"] else point
        for point in figures["benchmarks"]["tradeoff"]["points"]
    ]
    figures["model"] = "ppd"
    assert not section(figures)["elsewhere"], "of other labels nothing is known: drawn everywhere"


def test_no_two_curves_look_alike() -> None:
    methods = [f"method {number}" for number in range(9)]
    named = {f"{method}, beta {beta}": method for method in methods for beta in range(6)}
    found = looks(named, "method 3")
    drawn = [(look.colour, look.sign, look.dash) for look in found.values()]
    assert len(set(drawn)) == len(drawn) == 54
    assert found["method 3, beta 0"].colour == "k0"
    first = {look.colour for name, look in found.items() if name.startswith("method 1,")}
    assert len(first) == 1, "a method has one colour"


def test_the_key_has_the_curves_of_a_method_together(figures: Figures) -> None:
    names = [name for name, _ in section(figures)["key"]]
    families = [name.partition(",")[0] for name in names]
    assert [name for name, _ in itertools.groupby(families)] == list(dict.fromkeys(families))


def test_a_figure_and_its_difference_rest_on_the_same_captions(
    figures: Figures, make_run: MakeRun
) -> None:
    about = figures["benchmarks"]["tradeoff"]
    other = about["headline"]["divergence"]["hps"]["others"][0]
    other |= tradeoff_figures.part("gain_difference", 0.2, 0.05) | {"n_captions": 10}
    for point in about["points"]:
        point |= {"n_captions": 10} if point["row"].startswith("sft") else {}
    found = tradeoff_headline(figures)
    assert found is not None
    (hps,) = [one for one in rivals(figures) if one.reward == "hps" and one.rival is other]
    assert hps.gain == pytest.approx(other["gain"] + 0.2) and hps.captions == 10
    assert "by HPS +0.27 against +0.07 of sft" in found.figures
    assert "a difference of +0.20 (+0.15 to +0.25, n = 10 captions)" in found.figures
    assert "n = 16 captions)" in found.figures and not found.figures.endswith("captions")
    assert "6 points lack 6 of 16 captions" in page_of(make_run(figures)).text()


def test_who_stands_in_for_the_model_is_named(figures: Figures) -> None:
    for by_reward in figures["benchmarks"]["tradeoff"]["headline"].values():
        for entry in by_reward.values():
            entry["others"] = [o for o in entry["others"] if o["curve"] == "diffusion-dpo, beta 15"]
    found = tradeoff_headline(figures)
    assert found is not None
    assert "+0.02 of ppd (beta 15) against 0.00 of diffusion-dpo at 0.20 nats" in found.figures


def test_between_two_betas_they_are_named(figures: Figures) -> None:
    about = figures["benchmarks"]["tradeoff"]
    (entry,) = about["matched"]["divergence"]["clip"]
    ends = ["ppd-beta-45-3000", "ppd-beta-5-3000"]
    entry["others"][0] |= {"over": "betas", "between": ends}
    about["headline"]["divergence"]["clip"]["others"][0] |= {"over": "betas", "between": ends}
    assert section(figures)["axes"][0]["matched"][0]["others"][0]["between"] == "betas 45 and 5"


def test_the_models_method_has_the_first_colour_and_curves_differ() -> None:
    methods = {"sft": "sft", "ppd, beta 15": "ppd", "ppd, beta 5": "ppd", "ppd, beta 45": "ppd"}
    found = looks(methods, "ppd")
    assert found["ppd, beta 15"].colour == "k0" and found["sft"].colour == "k1"
    own = [look for name, look in found.items() if name.startswith("ppd")]
    assert len({(look.sign, look.dash) for look in own}) == 3


@pytest.mark.parametrize("sign", ["circle", "square", "triangle", "diamond", "down"])
def test_signs_lie_around_their_place(sign: str) -> None:
    path = sign_path(sign, 50.0, 40.0, 4.0)
    assert path.startswith("M") and path.endswith("z")
    if sign != "circle":
        corners = [tuple(map(float, pair.split())) for pair in path[1:-1].split("L")]
        middle = [sum(axis) / len(corners) for axis in zip(*corners, strict=True)]
        assert middle == pytest.approx([50.0, 40.0], abs=0.1)
        assert all(max(abs(x - 50), abs(y - 40)) < 7 for x, y in corners)


def test_what_is_withheld_says_why_and_draws_nothing(figures: Figures, make_run: MakeRun) -> None:
    reason = "9 of 1408 items failed"
    figures["benchmarks"]["tradeoff"] = tradeoff_figures.withheld(reason)
    page = page_of(make_run(figures))
    text = page.text()
    assert page.text("h1") == "No headline for ppd at matched divergence"
    assert f"The headline is withheld: {reason}." in text
    assert not page.all("polyline") and not NOTHING.search(text)
    assert reason in printed(figures) and files_of(figures) == []


def test_a_run_without_gold_or_embedder_leaves_these_out(
    figures: Figures, make_run: MakeRun
) -> None:
    about = figures["benchmarks"]["tradeoff"]
    lacks = "the suite has no reward of kind clip, whose embeddings diversity is by"
    about |= {"embedder": {"reward": None, "reason": lacks}, "gold": {}}
    for point in about["points"]:
        point |= tradeoff_figures.blank("diversity", "diversity_difference") | {"reason": lacks}
        for cell in point["rewards"].values():
            cell |= tradeoff_figures.blank("gold_gain") | {"reason": "no gold twin"}
    assert [view["name"] for view in section(figures)["axes"][0]["views"]] == ["gain"]
    text = page_of(make_run(figures)).text()
    assert f"diversity: {lacks}" in text and "by the embedding of" not in text
    assert not NOTHING.search(text)
    assert [figure.name for figure in files_of(figures)] == [
        "tradeoff-gain",
        "tradeoff-gain-before-last",
        "tradeoff-matched",
    ]


def test_a_model_without_rivals_has_no_empty_table(figures: Figures, make_run: MakeRun) -> None:
    about = figures["benchmarks"]["tradeoff"]
    for by_reward in about["headline"].values():
        for entry in by_reward.values():
            entry |= {"others": [], "theirs": []}
    about["matched_theirs"] = {}
    for by_reward in about["matched"].values():
        for entries in by_reward.values():
            entries[0]["others"] = []
    page = page_of(make_run(figures))
    assert "At matched divergence" not in page.text("h3")
    assert "no other method has checkpoints to compare with" in page.text()


def test_one_reward_and_no_curve_still_make_a_section(figures: Figures, make_run: MakeRun) -> None:
    about = figures["benchmarks"]["tradeoff"]
    about |= {"rewards": ["clip"], "curves": {}, "matched": {}, "headline": {}}
    about["points"] = about["points"][:2]
    about["points"][1] |= dict.fromkeys(("curve", "method", "beta", "step", "steps", "seed"))
    page = page_of(make_run(figures))
    assert "no other method has checkpoints to compare with" in page.text()
    labels = [attrs.get("aria-label") or "" for attrs in page.all("path")]
    assert "ppd: +0.09 (0.06–0.12) at 7.00 nats" in labels
    assert not NOTHING.search(page.text())


def test_hostile_names_are_text(figures: Figures, make_run: MakeRun) -> None:
    figures["rewards"]["clip"]["title"] = HOSTILE
    about = figures["benchmarks"]["tradeoff"]
    about["curves"] = {
        name.replace("sft", HOSTILE): {**curve, "method": curve["method"].replace("sft", HOSTILE)}
        for name, curve in about["curves"].items()
    }
    about["reference"]["name"] = HOSTILE
    for point in about["points"]:
        point["curve"] = HOSTILE if point["curve"] == "sft" else point["curve"]
    page = page_of(make_run(figures))
    assert not any("onerror" in attrs for _, attrs in page.tags)
    assert len(page.all("script")) == 1
    assert tradeoff_figures.HOSTILE in page.text("th")
    assert tradeoff_figures.HOSTILE in printed(figures, width=300)


def test_a_run_without_the_benchmark_has_no_such_section(
    figures: Figures, make_run: MakeRun
) -> None:
    figures["benchmarks"] = {}
    assert "tradeoff" not in {attrs.get("id") for attrs in page_of(make_run(figures)).all("h2")}
    assert tradeoff(figures) is None and tradeoff_headline(figures) is None
    assert tradeoff_tables(figures) == [] and files_of(figures) == []


def test_the_terminal_has_each_rival_in_eighty_columns(figures: Figures) -> None:
    text = printed(figures)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "ppd, Aesthetic 13.8 +0.51 +0.44" in lines
    assert "sft +0.09 +0.08 0.00" in lines
    assert "diffusion-dpo, 0.20 0.00 0.00 +0.02" in lines, "at nats of its own"
    assert not NOTHING.search(text)


def test_figure_files_hold_the_summarys_numbers(figures: Figures) -> None:
    found = {figure.name: figure for figure in files_of(figures)}
    endings = ("", "-before-last")
    wanted = [f"tradeoff-{view}{ending}" for ending in endings for view in VIEWS]
    assert list(found) == [*wanted, "tradeoff-matched"]
    rows = found["tradeoff-gain-before-last"].rows
    (own,) = [row for row in rows if row["system"] == "ppd" and row["panel"] == "HPS"]
    point = next(
        p
        for p in figures["benchmarks"]["tradeoff"]["points"]
        if p["row"] == "ppd" and p["user"] == "hps"
    )
    assert own["x"] == point["divergence_before_last"] and own["label"] == "ppd"
    assert own["value"] == point["rewards"]["hps"]["gain"] and own["step"] == 3000
    assert own["x_ci_low"] == point["divergence_before_last_ci_low"]
    assert not any(str(row["system"]).startswith("other") for row in rows)
    matched = found["tradeoff-matched"].rows
    assert [row["reason"] for row in matched if row["row"] == "over diffusion-dpo, beta 15"] == [
        tradeoff_figures.UNKNOWN
    ] * 6
    for figure in found.values():
        assert not NOTHING.search(csv_text(figure.rows))


@pytest.mark.slow
def test_figure_files_are_drawn(figures: Figures, tmp_path: Path) -> None:
    for name in write_figures(tmp_path, files_of(figures)):
        drawn = (tmp_path / "figures" / f"{name}.svg").read_text("utf-8")
        assert drawn.count("<text") > 10 and "nan" not in drawn
        if name == "tradeoff-gain":
            assert "root axis" in drawn


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0.00"), (7.004, "7.00"), (13.84, "13.8"), (123.4, "123"), (None, ""), ("7", "")],
)
def test_divergences_have_three_digits(value: Any, text: str) -> None:
    assert nats(value) == text
