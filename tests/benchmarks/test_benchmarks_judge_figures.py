"""Properties of a judged run's figures: placebos, swapped models, renamed users, refusals."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import people_world
import pytest
import toy_judges
from judged_town import judge, judged, records_of, use_judges
from PIL import Image
from toy_runs import summary_of

from ppdbench.benchmarks.judge.run import TooManyFailures

world = pytest.fixture(autouse=True)(use_judges)
SPLITS = ("seen", "unseen", "all")


def cells_of(found: Any) -> Iterator[tuple[str, str, Any]]:
    """Split, arm and cell, of all arms."""
    for split, figures in found.items():
        arms = {"shared": figures["shared"], "disjoint": figures["disjoint"], **figures["controls"]}
        yield from ((split, arm, cell) for arm, cell in arms.items() if cell is not None)


def test_a_judge_of_places_has_no_coverage_and_exactly_a_half(tmp_path: Path) -> None:
    found = judged(tmp_path, judge="always-first", limit=None)
    assert sum(1 for _ in cells_of(found)) == 3 * 5
    for _, _, cell in cells_of(found):
        assert cell["win_rate"] == 0.5 and cell["coverage"] == 0.0
        assert (cell["ci_low"], cell["ci_high"]) == (0.5, 0.5) or (
            cell["ci_low"] < 0.5 < cell["ci_high"]
        )
        assert cell["p_value"] == 1.0 and cell["p_holm"] in (1.0, None)
        assert cell["consistent_win_rate"] is None and cell["n_consistent"] == 0
        assert cell["consistent_reason"] == "no pick survived swapping the images"
        assert cell["first_first"] == cell["flips"] == cell["n"] and cell["second_second"] == 0
        assert cell["first_pick_bias"] == cell["first_pick_rate"] == 1.0
        assert cell["first_pick_bias_flagged"] is True
        assert (cell["lower_bound"], cell["upper_bound"]) == (0.0, 1.0)
        assert cell["debiased_win_rate"] is None
        assert cell["accuracy"] == 0.5
    for split in SPLITS:
        flat = found[split]
        assert flat["win_rate"] == flat["win_rate_disjoint"] == 0.5 and flat["coverage"] == 0.0
        assert flat["inflation"] == 0.0 and flat["first_pick_bias"] == 1.0


def test_a_coin_keeps_half_and_its_interval_covers_a_half(tmp_path: Path) -> None:
    found = judged(tmp_path, judge="random", limit=None, full=True, samples=2)
    cell = found["all"]
    assert (cell["n"], cell["n_users"]) == (208, 52)
    for arm in ("shared", "disjoint"):
        assert 0.4 < cell[arm]["coverage"] < 0.6
        assert cell[arm]["ci_low"] < 0.5 < cell[arm]["ci_high"]
        assert abs(cell[arm]["first_pick_bias"]) < 0.2
        assert cell[arm]["accuracy_ci_low"] < 0.5 < cell[arm]["accuracy_ci_high"]
    assert cell["inflation_ci_low"] < 0 < cell["inflation_ci_high"]


def test_the_models_swapped_give_one_less_the_rate_to_the_last_bit(tmp_path: Path) -> None:
    options: dict[str, Any] = {"controls": False, "limit": 9, "full": True}
    ours = judged(tmp_path, model="oracle", baseline="bright-for-all", **options)
    toy_judges.clear()
    theirs = judged(tmp_path, model="bright-for-all", baseline="oracle", **options)
    assert toy_judges.answered == []  # the very same questions
    for split in SPLITS:
        mine, other = ours[split], theirs[split]
        assert 0.5 < mine["win_rate"] < 1
        check_mirrored(mine, other, "win_rate", "ci_low", "ci_high")
        check_mirrored(mine, other, "win_rate_disjoint")
        check_mirrored(mine, other, "true_win_rate")
        assert other["consistent_win_rate"] == 1 - mine["consistent_win_rate"]
        assert other["inflation"] == -mine["inflation"]
        assert other["inflation_ci_low"] == -mine["inflation_ci_high"]
        for name in ("coverage", "first_pick_bias", "n", "n_users", "judge_accuracy"):
            assert other[name] == mine[name], name
        for arm in ("shared", "disjoint"):
            check_swapped(mine[arm], other[arm])


def check_mirrored(mine: Any, other: Any, name: str, low: str = "", high: str = "") -> None:
    low, high = low or f"{name}_ci_low", high or f"{name}_ci_high"
    assert other[name] == 1 - mine[name], name
    assert (other[low], other[high]) == (1 - mine[high], 1 - mine[low]), name


def check_swapped(mine: Any, other: Any) -> None:
    """One arm of two runs."""
    check_mirrored(mine, other, "win_rate", "ci_low", "ci_high")
    check_mirrored(mine, other, "consistent_win_rate")
    check_mirrored(mine, other, "debiased_win_rate")
    assert (other["wins"], other["losses"]) == (mine["losses"], mine["wins"])
    assert other["lower_bound"] == 1 - mine["upper_bound"]
    assert other["upper_bound"] == 1 - mine["lower_bound"]
    for name in (
        *("p_value", "p_holm", "flips", "ties", "coverage", "coverage_ci_low"),
        *("first_first", "second_second", "first_pick_rate", "first_pick_bias_p_value"),
        *("accuracy", "accuracy_ci_low", "accuracy_ci_high", "consistent_accuracy"),
    ):
        assert other[name] == mine[name], name


def test_other_names_for_the_users_change_no_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(folder: Path) -> Any:
        found = summary_of(folder)["benchmarks"]
        shown = [{k: v for k, v in each.items() if k != "user"} for each in found["judge_shown"]]
        return found["judge"], found["judge_funnel"], shown, found["judge_fidelity"]

    options: dict[str, Any] = {"limit": 8, "full": True}
    before = judge(tmp_path, **options)
    monkeypatch.setattr(
        people_world,
        "rename",
        lambda user: str(int(hashlib.sha256(user.encode()).hexdigest()[:12], 16)),
    )
    toy_judges.clear()
    after = judge(tmp_path, **options)
    assert after != before and told(after) == told(before)
    assert toy_judges.answered == []  # who a user is has no part in a question
    users = [{record["user"] for record in records_of(folder)} for folder in (before, after)]
    assert len(users[0]) == len(users[1]) == 16 and not users[0] & users[1]


def test_figures_are_what_the_records_count(tmp_path: Path) -> None:
    """Recounted from judgments.jsonl and the pictures alone."""
    folder = judge(tmp_path, model="oracle", baseline="bright-for-all", limit=17, full=True)
    records = {(r["arm"], r["user"], r["caption_id"], r["order"]): r for r in records_of(folder)}
    found = summary_of(folder)["benchmarks"]["judge"]
    seen: set[str] = set()
    for split, arm, cell in cells_of(found):
        pairs = [
            (first, records[arm, user, caption, 1])
            for (an_arm, user, caption, order), first in records.items()
            if an_arm == arm and order == 0 and split in ("all", first["split"])
        ]
        outcomes = [
            ((a["choice"] == "first") * 1.0, (b["choice"] == "second") * 1.0) for a, b in pairs
        ]
        n = len(outcomes)
        wins, losses = outcomes.count((1.0, 1.0)), outcomes.count((0.0, 0.0))
        places = outcomes.count((1.0, 0.0)), outcomes.count((0.0, 1.0))
        assert (cell["n"], cell["wins"], cell["losses"]) == (n, wins, losses)
        assert (cell["first_first"], cell["second_second"]) == places
        assert cell["win_rate"] == pytest.approx(sum(map(sum, outcomes)) / 2 / n)
        assert cell["consistent_win_rate"] == pytest.approx(wins / (wins + losses))
        assert cell["coverage"] == pytest.approx((wins + losses) / n)
        assert cell["first_pick_bias"] == pytest.approx((places[0] - places[1]) / n)
        right = [
            (likes(folder, r, r["images"][0]) > likes(folder, r, r["images"][1]))
            == (r["choice"] == "first")
            for pair in pairs
            for r in pair
        ]
        assert cell["accuracy"] == pytest.approx(sum(right) / len(right))
        assert cell["n_accuracy"] == len(right) == 2 * n
        seen.add(arm)
        if arm == "disjoint":
            truly = [
                likes(folder, a, a["images"][0]) > likes(folder, a, a["images"][1])
                for a, _ in pairs
            ]
            assert found[split]["true_win_rate"] == pytest.approx(sum(truly) / n)
    assert seen == {"shared", "disjoint", "zero_shots", "other_shots", "other_context"}


def likes(folder: Path, record: dict[str, Any], image: str) -> float:
    """What the record's user makes of an image, by its file."""
    with Image.open(folder / "images" / f"{image}.png") as file:
        colours = np.asarray(file, dtype=float).mean(axis=(0, 1))
    user = int(record["user"].removeprefix("user:"))
    return float(colours @ people_world.taste(user))


def test_figures_hold_together(tmp_path: Path) -> None:
    folder = judge(tmp_path, limit=17)
    found = summary_of(folder)["benchmarks"]
    for _, _, cell in cells_of(found["judge"]):
        share = cell["coverage"]
        assert cell["win_rate"] == pytest.approx(
            share * cell["consistent_win_rate"] + (1 - share) / 2, abs=1e-12
        )
        assert cell["lower_bound"] == pytest.approx(share * cell["consistent_win_rate"], abs=1e-12)
        assert cell["upper_bound"] == pytest.approx(cell["lower_bound"] + 1 - share, abs=1e-12)
        assert cell["wins"] + cell["losses"] + cell["flips"] + cell["ties"] == cell["n"]
        assert cell["n"] + cell["n_failed"] == cell["n_expected"]
        assert cell["ci_low"] <= cell["win_rate"] <= cell["ci_high"]
    for split in SPLITS:
        flat = found["judge"][split]
        shared, disjoint = flat["shared"], flat["disjoint"]
        assert flat["inflation"] == pytest.approx(
            shared["win_rate"] - disjoint["win_rate"], abs=1e-12
        )
        for arm, cell in (("shared", shared), *flat["controls"].items()):
            difference = disjoint["win_rate"] - cell["win_rate"]
            assert cell["difference"] == pytest.approx(difference, abs=1e-12), arm
        assert disjoint["difference"] is None
        assert shared["p_holm"] >= shared["p_value"]
    assert found["judge"]["all"]["controls"]["other_shots"]["difference_ci_low"] > 0.1
    funnel = found["judge_funnel"]
    assert funnel["users"] == {"seen": 17, "unseen": 17}
    assert funnel["comparisons"] == funnel["drawn"] == funnel["judged"] == 34
    assert funnel["asked_calls"] == funnel["ok_calls"] == 68
    assert funnel["consistent"] == found["judge"]["all"]["disjoint"]["n_consistent"]
    assert funnel["excluded"] == {}


def test_a_refusal_never_scores(tmp_path: Path) -> None:
    with pytest.raises(TooManyFailures) as caught:
        judge(tmp_path, judge="refuser", limit=17)
    withheld = summary_of(caught.value.run)
    refused = [r for r in records_of(caught.value.run) if r["status"] == "refusal"]
    assert 40 < len(refused) < 100 and all(r["choice"] is None for r in refused)
    assert withheld["complete"] is False
    assert withheld["withheld"].startswith(f"{len(refused)} of ")
    assert len(withheld["failures"]) == len(refused)
    assert withheld["failures"][0]["error"] == "refusal: refused"
    assert withheld["judge"]["statuses"] == {"ok": 340 - len(refused), "refusal": len(refused)}
    for split, arm, cell in cells_of(withheld["benchmarks"]["judge"]):
        assert cell["win_rate"] is cell["coverage"] is cell["accuracy"] is None, (split, arm)
        assert cell["reason"] == withheld["withheld"] and cell["n_failed"] > 0
        assert cell["n"] + cell["n_failed"] == cell["n_expected"]
    flat = withheld["benchmarks"]["judge"]["all"]
    for name in (
        *("win_rate", "ci_low", "win_rate_disjoint", "inflation", "consistent_win_rate"),
        *("coverage", "first_pick_bias", "true_win_rate", "judge_accuracy"),
    ):
        assert flat[name] is None, name
    assert flat["reason"] == withheld["withheld"]

    toy_judges.clear()
    folder = judge(tmp_path, judge="refuser", limit=17, fail_on_error=1.0)
    assert folder == caught.value.run
    assert len(toy_judges.answered) == len(refused)  # asked again, and refused again
    given = summary_of(folder)
    assert given["withheld"] is None and given["complete"] is False
    lost = {
        arm: {r["call"].rpartition("/")[0] for r in refused if r["arm"] == arm}
        for arm in ("shared", "disjoint", "zero_shots", "other_shots", "other_context")
    }
    for split, arm, cell in cells_of(given["benchmarks"]["judge"]):
        if split == "all":
            assert cell["n_failed"] == len(lost[arm]) and cell["n"] == 34 - len(lost[arm])
            assert cell["ties"] == 0 and cell["win_rate"] is not None
    cell, funnel = given["benchmarks"]["judge"]["all"], given["benchmarks"]["judge_funnel"]
    assert funnel["ok_calls"] == 68 - sum(r["arm"] == "disjoint" for r in refused)
    assert funnel["judged"] == cell["disjoint"]["n"]
    assert funnel["excluded"] == {"a call has no verdict": len(lost["disjoint"])}
    assert cell["true_win_rate"] is not None

    whole = judged(tmp_path, judge="taste", limit=17)["all"]["disjoint"]
    kept = cell["disjoint"]
    assert kept["wins"] <= whole["wins"] and kept["losses"] <= whole["losses"]
    assert kept["flips"] <= whole["flips"]  # the same judge, less what it refused


def test_what_users_like_need_not_be_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people_world.ToyPeople, "truth", None)
    folder = judge(tmp_path)
    found = summary_of(folder)
    assert found["complete"] is True
    for split in SPLITS:
        flat = found["benchmarks"]["judge"][split]
        assert flat["win_rate"] is not None and flat["win_rate_disjoint"] is not None
        assert flat["true_win_rate"] is flat["true_win_rate_ci_low"] is None
        assert flat["judge_accuracy"] is flat["judge_accuracy_disjoint"] is None
        assert flat["shared"]["n_accuracy"] == 0
    shown = found["benchmarks"]["judge_shown"]
    assert shown and all(each["truth"] is None for each in shown)
    assert not (folder / "scores.jsonl").exists() or not any(
        "truth" in line for line in (folder / "scores.jsonl").read_text().splitlines()
    )


def test_the_judge_and_its_bill_are_told(tmp_path: Path) -> None:
    facts = summary_of(judge(tmp_path, judge="paid"))["judge"]
    assert facts == {
        "name": "paid",
        "called": "paid",
        "revision": "1",
        "personal": True,
        "settings": {"noise": toy_judges.noise},
        "shots": 4,
        "calls": 100,
        "asked": 100,
        "tokens_in": 1000,
        "tokens_out": 100,
        "cost": 25.0,
        "seconds_p50": 0.5,
        "models": {"toy-1": 100},
        "statuses": {"ok": 100},
    }
    again = summary_of(judge(tmp_path, judge="paid", judge_shots="shared"))["judge"]
    # Shared shots and none are known by now; the controls are asked with shared shots anew.
    assert (again["calls"], again["asked"], again["cost"]) == (80, 40, 10.0)


def test_equal_pictures_are_a_tie_of_truth_and_no_picture_is_worth_more(tmp_path: Path) -> None:
    """`deaf` draws what the baseline draws: whatever the judge picks is luck."""
    folder = judge(tmp_path, model="deaf", limit=17)
    found = summary_of(folder)["benchmarks"]["judge"]["all"]
    assert found["true_win_rate"] == 0.5 and found["judge_accuracy"] is None
    assert found["win_rate"] == found["win_rate_disjoint"] == 0.5  # one question, one answer
    assert found["coverage"] == 0.0
    assert len(toy_judges.answered) == len(set(toy_judges.answered)) < len(records_of(folder))
