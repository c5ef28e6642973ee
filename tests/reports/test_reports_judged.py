# ruff: noqa: RUF001 - dashes and minus signs as they are printed
"""A judge on the page and on the terminal: what exposes its win rates stands beside them."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import judged_figures
import pytest
from html_page import Page
from rich.console import Console

from ppdbench import plugins
from ppdbench.protocols import PaperRow
from ppdbench.reports import html
from ppdbench.reports.judge.bill import calls, dollars
from ppdbench.reports.judge.calibrated import calibrated
from ppdbench.reports.judge.headline import calibration_headline, judge_headline
from ppdbench.reports.judge.section import bounds, judged
from ppdbench.reports.judge.table import calibration_tables, judge_tables
from ppdbench.reports.judge.verdicts import verdicts

Figures = dict[str, Any]
Render = Callable[[Figures], Page]
NOTHING = re.compile(r"\b(None|nan|NaN|null|inf)\b")
SPLITS = ("seen", "unseen", "all")


@pytest.fixture
def figures() -> Figures:
    return judged_figures.summary()


@pytest.fixture
def calibration() -> Figures:
    return judged_figures.calibration_summary()


@pytest.fixture
def render(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Render:
    """Makes the page of a summary, with the images it shows; nothing undefined may be on it."""
    paper = (PaperRow(row="a row of rewards", values={"clip": 70}),)
    suite = SimpleNamespace(captions=lambda _split: [], paper=paper)
    monkeypatch.setattr(plugins, "load", lambda _group, _name: lambda _files: suite)

    def page(figures: Figures) -> Page:
        run = tmp_path / "run"
        run.mkdir(exist_ok=True)
        if "judge_shown" in figures["benchmarks"]:
            judged_figures.add_images(run, figures)
        (run / "summary.json").write_text(json.dumps(figures), encoding="utf-8")
        found = Page(html.render(html.Sources.of(run)))
        assert not NOTHING.search(found.text()), NOTHING.search(found.text())
        return found

    return page


def printed(figures: Figures, width: int = 80) -> str:
    """Both kinds of tables, as a terminal shows them; nothing undefined may be in them."""
    console = Console(file=io.StringIO(), width=width)
    for table in (*judge_tables(figures), *calibration_tables(figures)):
        console.print(table)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert not NOTHING.search(text)
    assert max(map(len, text.splitlines()), default=0) <= width
    return text


def squeezed(text: str) -> str:
    return " ".join(text.split())


def test_shared_and_disjoint_rates_stand_side_by_side(figures: Figures, render: Render) -> None:
    page = render(figures)
    text = page.text()
    for what in (
        "seen users, disjoint shots 69.9% 95% interval 65.9–73.9",  # a tile: the rate to believe
        "shared shots 81.9% 77.9–85.9",
        "in truth 69.3% 65.3–73.3",
        "277 users, 277 comparisons",
        "inflation, shared minus disjoint +12.1 points +9.1 to +15.1 shared shots flatter",
        "the judge names the truly better picture: 71.1% 67.1–75.1",
        "the judge names the truly better picture: 68.4%",
        "shown 4 earlier choices of a user",
    ):
        assert what in text, what
    assert page.text("h1") == "ppd is picked over stable-cascade for seen and unseen users"
    assert "a row of rewards" not in text  # the suite's paper rows are of rewards


def test_each_control_says_what_is_lost(figures: Figures, render: Render) -> None:
    text = render(figures).text()
    found = text[text.index("Controls") : text.index("Does the place")]
    assert "disjoint shots, as above 69.9%" in found
    assert (
        "another user's shots are shown to the judge 50.0% 46.0–54.0 disjoint shots minus this: "
        "+19.9 points +15.9 to +23.9 , p < 0.001" in found
    )
    assert "no shots: the judge is shown nothing of the user" in found
    assert "the generator is given another user's context" in found
    assert "nothing is shown to be lost" not in found


def test_a_control_that_loses_nothing_is_marked(figures: Figures, render: Render) -> None:
    control = figures["benchmarks"]["judge"]["seen"]["controls"]["other_shots"]
    control |= {"difference": 0.01, "difference_ci_low": -0.02, "difference_ci_high": 0.04}
    text = render(figures).text()
    assert text.count("nothing is shown to be lost") == 1


def test_the_papers_rate_has_coverage_bounds_and_a_stamp(figures: Figures, render: Render) -> None:
    text = render(figures).text()
    found = text[text.index("reported at paper scale, not comparable") :]
    assert (
        "seen users shared 91.9% 87.9–95.9 76.2% 72.2–80.2 70.0–93.9% 194 17 61 5 81.9% "
        "77.9–85.9 83% seen users disjoint 78.4%" in found
    )
    assert "prints 83% for seen users, 78% for unseen users, 81% for all users" in found


def test_bounds_are_what_the_left_out_comparisons_could_do() -> None:
    cell = judged_figures.cell(200, 0.5, 0.2, 0.1, 0.1)
    assert bounds(cell) == "50.0–80.0%"
    assert bounds({"lower_bound": None, "upper_bound": 0.3}) == ""


def test_position_bias_is_a_table_with_a_verdict(figures: Figures, render: Render) -> None:
    page = render(figures)
    text = page.text()
    assert "11.9% 33 54.9% 152" in text and "15.2% 42 10.8% 30" in text  # disjoint shots
    assert "Net bias +1.1 points , p 0.410. No position bias is shown." in text
    assert (
        "With shared shots: net bias +11.9 points , p < 0.001 . Position bias found: the first "
        "picture is favoured." in text
    )
    assert "Not in the table: 20 without a pick" in text
    assert "With the pull taken out of the judge’s log-odds, the win rate is 70.9%" in text
    assert "Position bias found for seen users, shared shots; unseen users, shared shots" in text
    assert len(page.all("table")) == len(page.all("caption"))
    assert all(th.get("scope") for th in page.all("th"))


def test_a_fair_judge_is_not_accused(figures: Figures, render: Render) -> None:
    for own in figures["benchmarks"]["judge"].values():
        for name in ("shared", "disjoint"):
            own[name] = judged_figures.cell(200, 0.5, 0.2, 0.15, 0.14)
    text = render(figures).text()
    assert "Position bias found" not in text
    assert "No position bias is shown" in text
    assert "flagged" not in squeezed(printed(figures))


def test_a_pull_to_the_second_place_is_named(figures: Figures) -> None:
    figures["benchmarks"]["judge"]["all"]["disjoint"] = judged_figures.cell(200, 0.5, 0.2, 0.0, 0.3)
    found = judged(figures)
    assert found is not None
    says = [panel["says"] for panel in found["orders"]]
    assert says[-1] == "position bias found: the second picture is favoured"
    assert "−30.0, flagged" in printed(figures)


def test_funnel_bill_and_calibration_are_on_the_page(figures: Figures, render: Render) -> None:
    text = render(figures).text()
    for what in (
        "users 277 seen, 192 unseen comparisons planned 469",
        "comparisons judged in both orders 464 with the same answer in both orders 328",
        "the judge refused: 5",
        "4,690: asked 3,757 times, failed tries included; else from the cache",
        "caption right: −0.4 points −2.0 to +1.2",
        "answered 4,685, refused 5",
        "1,523,411 in, 4,690 out",
        "cost nothing",
        "21 ms",
        "tiny-llava-onevision (4,690 calls)",
        "runs/calibrate-vlm-0123456789ab",
        "90.5% of the way from chance to the ceiling 72.2%",
    ):
        assert what in text, what
    assert "Not calibrated" not in text and "ot personalised" not in text


def test_verdicts_show_all_that_the_judge_saw(figures: Figures, render: Render) -> None:
    page = render(figures)
    text = page.text()
    assert "ppd first: picks the first: ppd (71% for the first)" in text
    assert "stable-cascade first: picks the second: ppd (22% for the first)" in text
    assert "stable-cascade first: picks the first: stable-cascade" in text
    assert "ppd first: no answer: refused" in text and "cannot tell" in text
    assert "counts for ppd · truly liked better: ppd's" in text
    assert "counts half for each · truly liked better: stable-cascade's" in text
    assert "does not count" in text
    # Of each verdict six shots and the model's image, and two baselines; the rest says why not.
    assert len(page.all("button")) - 3 == 3 * 6 + 3 + 2
    assert text.count("its file is missing or damaged") == 3 * 2 + 1


def test_nothing_outside_of_the_run_is_shown(figures: Figures, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    judged_figures.add_images(run, figures)
    assert (tmp_path / "out.png").is_file()
    for verdict in verdicts(run, {}, figures):
        assert verdict.shots[0].dispreferred.uri and not verdict.shots[3].dispreferred.uri


def test_hostile_text_is_text(figures: Figures, render: Render) -> None:
    nasty = judged_figures.HOSTILE
    figures["judge"]["name"] = nasty
    figures["benchmarks"]["judge_funnel"]["excluded"] = {nasty: 1}
    figures["benchmarks"]["judge"]["all"]["shared"] |= {"win_rate": None, "reason": nasty}
    page = render(figures)
    assert len(page.all("script")) == 1
    assert nasty in page.text("h3") and nasty in page.text("q") and nasty in page.text("dd")
    assert nasty in page.text("figcaption") and nasty in page.text("li")
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    figures["model"] = "[red]ppd[/red]"
    assert "[red]ppd[/red] is picked over" in printed(figures)  # printed, not read


def _without_truth(figures: Figures) -> None:
    for own in figures["benchmarks"]["judge"].values():
        for key in own:
            if key.startswith(("true_win_rate", "judge_accuracy")):
                own[key] = None
        for cell in (own["shared"], own["disjoint"], *own["controls"].values()):
            cell |= dict.fromkeys(key for key in cell if "accuracy" in key or "debiased" in key)
    for verdict in figures["benchmarks"]["judge_shown"]:
        verdict["truth"] = None


def _shared_only(figures: Figures) -> None:
    for own in figures["benchmarks"]["judge"].values():
        own["disjoint"] = None
        for key in own:
            if key.startswith(("win_rate_disjoint", "inflation", "judge_accuracy_disjoint")):
                own[key] = None


def test_without_truth_none_is_claimed(figures: Figures, render: Render) -> None:
    _without_truth(figures)
    text = render(figures).text()
    assert "What these users truly like is not known" in text
    assert "in truth" not in text and "truly better" not in text and "truly liked" not in text
    assert "log-odds" not in text
    table = printed(figures)
    assert "in truth" not in table and "right, shared" not in table


def test_shared_shots_alone_are_said_to_be_inflated(figures: Figures, render: Render) -> None:
    _shared_only(figures)
    text = render(figures).text()
    assert "seen users, shared shots 81.9%" in text
    assert "Shared shots only. These win rates may be inflated" in text
    assert text.count("inflation, shared minus disjoint not measured") == 3
    assert "flatters the generator" in text
    lines = [squeezed(line) for line in printed(figures).splitlines()]
    assert "disjoint shots not judged not judged not judged" in lines
    assert "inflation, pts – – –" in lines


def test_disjoint_shots_alone(figures: Figures, render: Render) -> None:
    for own in figures["benchmarks"]["judge"].values():
        own |= {"shared": None, "inflation": None, "shots": "disjoint", "controls": {}}
    text = render(figures).text()
    assert "Shared shots only" not in text and "Controls" not in text
    assert "in both orders, with disjoint shots" in text
    assert "prints 83% for seen users" in text
    assert "controls" not in printed(figures)


def test_withheld_figures_give_a_reason_and_no_number(figures: Figures, render: Render) -> None:
    reason = "2000 of 4690 calls failed"
    kept = {"n", "n_users", "n_expected", "n_failed", "controls", "shared", "disjoint", "shots"}
    for own in figures["benchmarks"]["judge"].values():
        for cell in (own["shared"], own["disjoint"], *own["controls"].values(), own):
            cell |= dict.fromkeys(set(cell) - kept) | {"reason": reason}
    figures["withheld"] = reason
    page = render(figures)
    text = page.text()
    assert page.text("h1") == "No headline for ppd and its judge"
    assert f"The headline is withheld: {reason}" in text
    assert "81.9%" not in text and "69.9%" not in text
    assert text.count(f"undefined: {reason}") > 9
    table = printed(figures)
    assert f"undefined: {reason}" in table and "81.9" not in table


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"reason": "none with 4 shots is in runs"}, "none with 4 shots is in runs"),
        (None, "no calibration was found"),
    ],
)
def test_a_missing_calibration_is_said(
    figures: Figures, render: Render, found: Figures | None, said: str
) -> None:
    figures["benchmarks"]["judge_calibration"] = found
    page = render(figures)
    text = page.text()
    assert f"is not known: {said}. Run ppdbench calibrate --judge vlm --shots 4" in text
    assert "Does the judge know what a user would pick?" not in text
    assert page.text("h1").endswith(", by a judge that was not calibrated")
    assert f"not calibrated: {said}; run `ppdbench calibrate --judge vlm --shots 4`" in squeezed(
        printed(figures)
    )


def _not_personalised(found: Figures) -> None:
    found["personalised"] = False
    found["differences"]["other_shots"] = judged_figures.difference(0.006, 0.31)


def test_a_judge_that_is_not_personalised_cannot_be_overlooked(
    figures: Figures, calibration: Figures, render: Render
) -> None:
    _not_personalised(figures["benchmarks"]["judge_calibration"])
    page = render(figures)
    assert page.text("h1").endswith(", by a judge that is not personalised")
    assert "Not personalised." in page.text("b")
    assert "calibration: not personalised, agrees" in squeezed(printed(figures))
    _not_personalised(calibration["benchmarks"]["calibration"])
    page = render(calibration)
    assert page.text("h1") == "vlm is not personalised"
    assert "own shots minus another user's: +0.6 points [−1.4 to +2.6], p 0.310" in page.text()
    assert "Win rates by this judge are no evidence" in page.text()
    assert "not personalised: own shots minus another user's +0.6" in printed(calibration)


def test_a_judge_that_looks_at_nobody_says_so(figures: Figures, render: Render) -> None:
    figures["judge"]["personal"] = False
    page = render(figures)
    assert page.text("h1").endswith(", by a judge that looks at no user")
    assert "This judge looks at no user." in page.text()


def test_the_page_of_a_calibration(calibration: Figures, render: Render) -> None:
    page = render(calibration)
    text = page.text()
    for what in (
        "shown the user's own shots 70.1% 95% interval 68.6–71.6",
        "own minus this: +19.3 points +17.3 to +21.3 , p < 0.001",
        "It is personalised: own shots minus another user's: +19.3 points",
        "agrees with 72.2% of what these users said",
        "90.5% of the way from 50% to the ceiling",
        "the user's own shots 70.1% 68.6–71.6 70.5% 68.7–72.3 76.2% 74.2–78.2 81.2% 79.2–83.2",
        "scalar:clip 50.3%",
        f"scalar:{judged_figures.HOSTILE}",
        "1.70–4.21 86.0% 83.0–89.0 50.5%",
        "Apart in true utility",
        "first 33, second 27, neither 0. Net bias +10.0 points , p 0.520 : no position bias is",
        "Asked 3 times, 50 questions got the same answer each time in 98.0%",
        "shown beside coverage; not comparable",
        "76.2% 74.2–78.2 of consistent answers, which are 81.2% 79.2–83.2 of all",
    ):
        assert what in text, what
    assert page.text("h1") == "vlm is personalised"
    assert (
        "70.1% of its answers (95% interval 68.6–71.6, n = 120 users, 2,400 choices) are the "
        "user's own choice; own minus another user's shots +19.3 points (95% interval +17.3 to "
        "+21.3)."
    ) in text
    assert "Whose picture does the judge pick?" not in text and "Incomplete" not in text
    assert len(page.all("svg")) == 1 and "1.7–4.2" in page.text("text")
    for absent in ("Gallery", "Mean scores", "0 of 0", "a row of rewards"):
        assert absent not in text, absent


def test_a_calibration_may_know_little(calibration: Figures, render: Render) -> None:
    found = calibration["benchmarks"]["calibration"]
    found |= {"ceiling": None, "way_to_ceiling": None, "ceilings": {}, "repeats": None}
    found |= {"scalars": {}, "by_margin": [], "identical": None}
    found["own"] |= {"consistent": None, "consistent_ci_low": None, "n_consistent": 0}
    text = render(calibration).text()
    assert "No ceiling is known" in text and "dotted" not in text
    assert "The same question again" not in text and "Easy choices" not in text
    assert "undefined: no answer was consistent of consistent answers" in text
    assert "ceiling" not in printed(calibration)


def test_a_calibration_without_answers_gives_its_reason(
    calibration: Figures, render: Render
) -> None:
    reason = "every call failed"
    found = calibration["benchmarks"]["calibration"]
    for cell in (found["own"], found["other_shots"], found["zero_shots"]):
        cell |= dict.fromkeys(set(cell) - {"n", "n_users", "n_failed"}) | {"reason": reason}
    for cell in found["differences"].values():
        cell |= dict.fromkeys(cell)
    found |= {"personalised": None, "scalars": {}, "way_to_ceiling": None, "by_margin": []}
    page = render(calibration)
    assert page.text("h1") == "No headline for vlm"
    assert f"The headline is withheld: {reason}" in page.text()
    assert "70.1%" not in page.text() and "ot personalised" not in page.text()
    table = printed(calibration)
    assert "No headline for vlm" in table and "personalised" not in table


def test_the_terminal_has_both_kinds_of_shots_and_the_controls(figures: Figures) -> None:
    lines = [squeezed(line) for line in printed(figures).splitlines()]
    for line in (
        "shared shots 81.9% [77.9–85.9] 81.8% [77.8–85.8] 82.0% [78.0–86.0]",
        "disjoint shots 69.9% [65.9–73.9] 70.1% [66.1–74.1] 70.0% [66.0–74.0]",
        "inflation, pts +12.1 [9.1–15.1] +11.7 [8.7–14.7] +11.9 [8.9–14.9]",
        "in truth " + " ".join(["69.3% [65.3–73.3]"] * 3),
        "comparisons 277 192 469",
        "controls",
        "another's shots " + " ".join(["50.0% [46.0–54.0]"] * 3),
        "points lost +19.9 [15.9–23.9] +20.1 [16.1–24.1] +20.0 [16.0–24.0]",
        "right, disjoint " + " ".join(["68.4% [64.4–72.4]"] * 3),
        "consistent only 91.9% [87.9–95.9] 91.8% [87.8–95.8] 92.1% [88.1–96.1]",
        "coverage 76.2% [72.2–80.2] 76.0% [72.0–80.0] 75.9% [71.9–79.9]",
        "bias, shared +11.9, flagged +12.0, flagged +12.2, flagged",
        "bias, disjoint +1.1 +1.0 +0.9",
    ):
        assert line in lines, line
    said = squeezed(printed(figures, width=400))
    assert "it prints seen 83%, unseen 78%, all 81%, without coverage: reported at paper" in said
    assert "agrees with users' own choices 70.1% [68.6–71.6], 50.8% with another user's" in said
    assert "points lost: disjoint shots minus the control, paired" in said
    assert "calls 4,690: asked 3,757 times" in said and "answered 4,685, refused 5" in said
    assert "caption fidelity, ppd minus stable-cascade: −0.4 points" in said


def test_the_terminal_has_the_calibration(calibration: Figures) -> None:
    text = squeezed(printed(calibration, width=100))
    assert "own shots 70.1% [68.6–71.6] 70.5% [68.7–72.3] 76.2% [74.2–78.2]" in text
    assert "another's shots 81.2% [79.2–83.2] +19.3 [17.3–21.3] +1.3" in text
    assert "ceiling of the best guesser 72.2%, 90.5% of the way" in text
    assert "personalised: own shots minus another user's +19.3 points" in text
    assert "coverage unsaid: not comparable" in text


def test_other_runs_have_nothing_of_a_judge() -> None:
    other = {"model": "ppd", "baseline": "base", "benchmarks": {"rewards": {}}}
    assert judged(other) is None and calibrated(None) is None
    assert judge_headline(other) is None and calibration_headline(other) is None
    assert judge_tables(other) == [] and calibration_tables(other) == []


def test_one_split_alone_is_enough(figures: Figures, render: Render) -> None:
    figures["benchmarks"]["judge"] = {"all": figures["benchmarks"]["judge"]["all"]}
    page = render(figures)
    assert page.text("h1") == "ppd is picked over stable-cascade for all users"
    assert "all users, disjoint shots 70.0%" in page.text()
    assert "all users" in printed(figures)


@pytest.mark.parametrize(
    ("interval", "p_holm", "said"),
    [
        ((0.52, 0.6), 0.01, "ppd is picked over stable-cascade for seen and unseen users"),
        ((0.52, 0.6), 0.2, "ppd cannot be told from stable-cascade for seen and unseen users"),
        ((0.4, 0.48), 0.01, "ppd is picked less often than stable-cascade for seen and unseen"),
    ],
)
def test_the_headline_goes_by_disjoint_shots(
    figures: Figures, interval: tuple[float, float], p_holm: float, said: str
) -> None:
    for split in SPLITS:
        cell = figures["benchmarks"]["judge"][split]["disjoint"]
        cell |= {"ci_low": interval[0], "ci_high": interval[1], "p_holm": p_holm}
    found = judge_headline(figures)
    assert found is not None and found.text.startswith(said)


def test_calls_say_how_many_were_asked() -> None:
    assert calls({"calls": 938, "asked": 938}) == "938, each asked once"
    assert calls({"calls": 938, "asked": 0}) == "938, all from the cache"
    assert calls({"calls": None, "asked": 0}) == ""


def test_dollars() -> None:
    assert [dollars(value) for value in (0, 0.0123, 12.345, None)] == [
        "nothing",
        "$0.0123",
        "$12.35",
        "",
    ]
