"""A judge held against users' own choices: what is asked, by whose shots; figures by hand."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import fake_world
import numpy as np
import people_world
import pytest
import toy_judges
from judged_town import calibrated, files_of, records_of, use_judges
from people_world import CALIBRATION, CHOICES, EACH, FIRST_CHOICE
from toy_runs import figures, summary_of

from ppdbench.benchmarks.calibration.figures import summarise_calibration
from ppdbench.benchmarks.calibration.plan import Choice, call_id
from ppdbench.benchmarks.calibration.run import NotPersonalised
from ppdbench.benchmarks.guard import TooManyFailures
from ppdbench.errors import BudgetReached, Interrupted, MissingPrerequisite, UsageError
from ppdbench.protocols import Question

world = pytest.fixture(autouse=True)(use_judges)
USERS = len(CALIBRATION)
DECIDED = USERS * (CHOICES - 1)
"""Choices that are no ties."""
ASKED = 3 * 2 * DECIDED + 2 * 50 + 50


def found(tmp_path: Path, **options: Any) -> Any:
    return summary_of(calibrated(tmp_path, **options))["benchmarks"]["calibration"]


def test_a_judge_that_reads_shots_is_personalised(tmp_path: Path) -> None:
    folder = calibrated(tmp_path)
    summary = summary_of(folder)
    cell = summary["benchmarks"]["calibration"]
    assert (summary["model"], summary["complete"], summary["failures"]) == ("taste", True, [])
    assert summary["n_ok"] == summary["n_expected"] == ASKED + 2 * 2 * DECIDED
    assert cell["personalised"] is True
    assert (cell["judge"], cell["revision"], cell["shots"]) == ("taste", "1", 4)
    assert (cell["n"], cell["n_users"], cell["n_expected"]) == (DECIDED, USERS, DECIDED)
    assert cell["own"]["all_call"] > 0.8 > 0.7 > cell["other_shots"]["all_call"]
    assert cell["differences"]["other_shots"]["difference_ci_low"] > 0
    assert cell["differences"]["zero_shots"]["difference_ci_low"] > 0
    assert set(cell["scalars"]) == {"scalar:red", "scalar:green"}  # nothing gold
    for name in ("zero_shots", "other_shots", *cell["scalars"]):
        arm = cell["scalars"].get(name) or cell[name]
        assert cell["differences"][name]["difference"] == pytest.approx(
            cell["own"]["all_call"] - arm["all_call"], abs=1e-12
        )
        assert (arm["n"], arm["n_users"], arm["n_failed"]) == (DECIDED, USERS, 0)
    assert (cell["paper"], cell["ceiling"]) == (0.83, 0.8)
    assert cell["way_to_ceiling"] == pytest.approx((cell["own"]["all_call"] - 0.5) / 0.3)
    assert cell["ceilings"]["choice_noisy"] == 0.8
    assert summary["judge"]["calls"] == summary["judge"]["asked"] == ASKED


def test_a_judge_that_ignores_shots_is_not_personalised(tmp_path: Path) -> None:
    with pytest.raises(NotPersonalised, match="blind is not personalised") as caught:
        calibrated(tmp_path, judge="blind")
    assert caught.value.exit_code == 1 and caught.value.run is not None
    summary = summary_of(caught.value.run)
    cell = summary["benchmarks"]["calibration"]
    assert summary["withheld"] is None and summary["complete"] is True
    assert cell["personalised"] is False
    assert cell["differences"]["other_shots"]["difference_ci_low"] <= 0
    assert cell["own"]["all_call"] == pytest.approx(0.6, abs=0.12)
    status = json.loads((caught.value.run / "status.json").read_bytes())
    assert status["state"] == "failed"
    toy_judges.clear()
    with pytest.raises(NotPersonalised):
        calibrated(tmp_path, judge="blind")
    assert toy_judges.answered == []


@pytest.mark.parametrize("judge", ["always-first", "random", "scalar:red"])
def test_a_judge_that_knows_nothing_of_users_is_not_personalised(
    tmp_path: Path, judge: str
) -> None:
    with pytest.raises(NotPersonalised) as caught:
        calibrated(tmp_path, judge=judge)
    cell = summary_of(caught.value.run)["benchmarks"]["calibration"]
    if judge == "always-first":
        assert cell["own"]["all_call"] == cell["own"]["tie_half"] == 0.5
        assert cell["own"]["coverage"] == 0.0 and cell["own"]["consistent"] is None
        assert cell["own"]["first_pick_bias_flagged"] is True
        assert cell["identical"] == {
            "n": 50,
            "first": 50,
            "second": 0,
            "abstain": 0,
            "bias": 1.0,
            "p_value": pytest.approx(2.0**-49),
            "flagged": True,
        }
        assert cell["repeats"]["stable"] == 1.0
    if judge == "random":
        assert cell["own"]["all_call"] == pytest.approx(0.5, abs=0.1)
        assert cell["own"]["coverage"] == pytest.approx(0.5, abs=0.15)
        assert cell["repeats"]["stable"] == pytest.approx(0.25, abs=0.2)
    if judge == "scalar:red":
        assert cell["differences"]["other_shots"]["difference"] == 0.0
        assert set(cell["scalars"]) == {"scalar:green"}  # it is not held against itself


def test_what_is_asked_and_by_whose_shots(tmp_path: Path) -> None:
    records = [r for r in records_of(calibrated(tmp_path)) if r["judge"] == "taste"]
    arms: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for record in records:
        arms[record["arm"]].append(record)
    assert {arm: len(some) for arm, some in arms.items()} == {
        **dict.fromkeys(("own", "zero_shots", "other_shots"), 2 * DECIDED),
        "repeat": 100,
        "identical": 50,
    }
    assert len({record["question"] for record in records}) == len(records) == ASKED
    partners: dict[int, int] = {}
    for arm, some in arms.items():
        for record in some:
            who = int(record["user"].removeprefix("user:"))
            pair, shots = record["pair"], record["shots"]
            assert who in CALIBRATION and record["split"] == "calibration"
            number, row = divmod(int(pair) - FIRST_CHOICE, CHOICES)
            assert number == who and row != CHOICES - 1  # its own choice, and no tie
            sides = {0: [0, 1], 1: [1, 0], None: [0, 0]}[record["order"]]
            assert record["images"] == [f"{pair}#{side}" for side in sides]
            if arm == "zero_shots":
                assert shots == []
            elif arm == "other_shots":
                (other,) = {int(shot) // EACH for shot in shots}
                assert other != who and partners.setdefault(who, other) == other
            else:
                assert shots == [str(who * EACH + place) for place in range(4)]
    assert sorted(partners.values()) == list(CALIBRATION)
    assert {record["repeat"] for record in arms["repeat"]} == {1, 2}
    assert {record["order"] for record in arms["repeat"]} == {0}


def test_the_same_again_asks_nothing_and_changes_nothing(tmp_path: Path) -> None:
    folder = calibrated(tmp_path)
    before = files_of(folder)
    toy_judges.clear()
    assert calibrated(tmp_path) == folder
    assert toy_judges.answered == [] and files_of(folder) == before


def test_a_stopped_calibration_ends_where_an_undisturbed_one_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = calibrated(tmp_path / "whole", choices=3)
    monkeypatch.setenv("PPDBENCH_CACHE", str(tmp_path / "other cache"))
    toy_judges.clear()

    def interrupt(_: Question) -> None:
        if len(toy_judges.answered) == 70:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(toy_judges, "before", interrupt)
        calibrated(tmp_path / "stopped", choices=3)
    assert figures(calibrated(tmp_path / "stopped", choices=3)) == figures(whole)
    assert len(toy_judges.answered) == len(set(toy_judges.answered))


def test_the_budgets_end_withholds_the_figures(tmp_path: Path) -> None:
    with pytest.raises(BudgetReached) as caught:
        calibrated(tmp_path, judge="paid", max_cost=5.0)
    assert caught.value.run is not None and len(toy_judges.answered) == 20
    cell = summary_of(caught.value.run)["benchmarks"]["calibration"]
    assert cell["own"]["all_call"] is cell["personalised"] is cell["way_to_ceiling"] is None
    assert cell["by_margin"] == [] and cell["repeats"] is cell["identical"] is None
    assert "a call costs" in cell["own"]["reason"]
    assert calibrated(tmp_path, judge="paid", max_cost=1000.0) == caught.value.run
    assert len(toy_judges.answered) == len(set(toy_judges.answered)) == ASKED


def test_a_refusal_is_neither_right_nor_wrong(tmp_path: Path) -> None:
    with pytest.raises(TooManyFailures):
        calibrated(tmp_path, judge="refuser")
    cell = found(tmp_path, judge="refuser", fail_on_error=1.0)
    assert cell["own"]["n_failed"] > 20
    assert cell["own"]["n"] + cell["own"]["n_failed"] == DECIDED == cell["n_expected"]
    assert cell["differences"]["other_shots"]["n"] < min(cell["own"]["n"], DECIDED)
    assert cell["identical"]["n"] < 50
    assert cell["own"]["all_call"] > 0.8


def test_a_judge_without_noise_says_the_same_again_and_abstains_on_one_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = found(tmp_path)
    assert 0.8 < cell["repeats"]["stable"] < 1 and cell["repeats"]["n"] == 50
    assert cell["repeats"]["asked"] == 3
    assert cell["identical"]["abstain"] == 0 and abs(cell["identical"]["bias"]) < 0.4
    monkeypatch.setattr(toy_judges, "noise", 0.0)
    monkeypatch.setattr(toy_judges, "revision", "exact")
    cell = found(tmp_path)
    assert cell["repeats"]["stable"] == cell["own"]["coverage"] == 1.0
    assert cell["identical"]["abstain"] == 50 and cell["identical"]["bias"] == 0.0
    assert cell["identical"]["flagged"] is False


def test_clear_choices_are_told_apart_from_close_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = found(tmp_path)
    bins = cell["by_margin"]
    assert cell["margin_of"] == "true utility"
    assert [each["n"] for each in bins] == [27] * 4
    edges = [edge for each in bins for edge in (each["low"], each["high"])]
    assert edges == sorted(edges) and edges[0] > 0
    assert bins[-1]["own"]["rate"] == 1.0 > bins[0]["own"]["rate"]
    mean = sum(each["n"] * each["own"]["rate"] for each in bins) / DECIDED
    assert mean == pytest.approx(cell["own"]["all_call"])
    monkeypatch.setattr(people_world.ToyPeople, "truth", None)
    again = found(tmp_path / "unknown")
    assert again["margin_of"] == "scalar:red" and again["ceilings"] == {}
    assert again["ceiling"] is again["way_to_ceiling"] is None
    assert sum(each["n"] for each in again["by_margin"]) == DECIDED
    monkeypatch.setattr(fake_world, "load_reward", missing)
    events = fake_world.Quiet()
    without = found(tmp_path / "bare", events=events)
    assert without["margin_of"] is None and without["by_margin"] == []
    assert without["scalars"] == {} and len(events.notes) == 2
    assert events.notes[0] == "left out: scalar:red, for no weights of red"
    assert without["own"] == cell["own"]


def missing(spec: Any, _: str) -> Any:
    raise MissingPrerequisite(f"no weights of {spec.name}", fix="fetch them")


def test_scalars_that_fail_leave_no_margins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def score(_: Any, images: Any, captions: Any) -> Any:
        return np.full(len(images) or len(captions), np.nan)

    monkeypatch.setattr(people_world.ToyPeople, "truth", None)
    monkeypatch.setattr(fake_world.ToyReward, "score", score)
    cell = found(tmp_path, fail_on_error=1.0)
    assert cell["by_margin"] == [] and cell["scalars"]["scalar:red"]["n"] == 0
    assert cell["scalars"]["scalar:red"]["all_call"] is None
    assert cell["differences"]["scalar:red"]["difference"] is None
    assert cell["personalised"] is True


def test_where_everybody_was_undecided_nothing_can_be_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people_world, "CHOICES", 1)  # each user's only choice is a tie
    with pytest.raises(NotPersonalised, match="cannot be told") as caught:
        calibrated(tmp_path)
    cell = summary_of(caught.value.run)["benchmarks"]["calibration"]
    assert cell["n"] == cell["n_expected"] == 0 and cell["own"]["all_call"] is None
    assert cell["personalised"] is False and toy_judges.answered == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"shots": 9}, "9 shots, and calibration users have 8"),
        ({"shots": 0}, "0 shots"),
        ({"limit": 1}, "calibration needs two users at least, and there are 1"),
        ({"limit": 0}, "limit is 0"),
        ({"choices": 0}, "choices is 0"),
        ({"judge": "nobody"}, "no judge is called 'nobody'"),
    ],
)
def test_what_cannot_be_calibrated_is_said_before_anything_is_asked(
    tmp_path: Path, options: Any, says: str
) -> None:
    with pytest.raises(UsageError) as caught:
        calibrated(tmp_path, **options)
    assert says in caught.value.cause
    assert toy_judges.answered == [] and not (tmp_path / "runs").exists()


def test_fewer_users_choices_and_shots(tmp_path: Path) -> None:
    def asked(**options: Any) -> tuple[int, int]:
        try:
            folder = calibrated(tmp_path, **options)
        except NotPersonalised as error:
            folder = error.run
        cell = summary_of(folder)["benchmarks"]["calibration"]
        ceiling = 0.8 if not {"limit", "choices"} & options.keys() else None
        assert cell["ceiling"] == (ceiling if options.get("shots", 4) == 4 else None)
        return cell["n_users"], cell["n"]

    assert asked(limit=5) == (5, 5 * 9)
    assert asked(choices=3) == (USERS, USERS * 3)
    assert asked(shots=8) == (USERS, DECIDED)
    shots = {len(r["shots"]) for r in records_of(calibrated(tmp_path, shots=8))}
    assert shots == {0, 8}
    # Limits that limit nothing are the whole calibration.
    assert calibrated(tmp_path, limit=99, choices=99) == calibrated(tmp_path)


def test_other_names_for_the_users_change_no_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = found(tmp_path)
    monkeypatch.setattr(
        people_world,
        "rename",
        lambda user: str(int(hashlib.sha256(user.encode()).hexdigest()[:12], 16)),
    )
    toy_judges.clear()
    assert found(tmp_path) == before
    assert toy_judges.answered == []


# --- by hand --------------------------------------------------------------------------------------

RIGHT: tuple[Literal[0, 1], ...] = (0, 1, 0, 1)
FOUND = [
    Choice(number=n, user=n // 2, user_id=str(n // 2), pair=f"p{n}", caption="c", right=right)
    for n, right in enumerate(RIGHT)
]


def records(**arms: Sequence[tuple[str | None, str | None]]) -> dict[str, dict[str, Any]]:
    """What was said of each choice in both orders."""
    return {
        call_id(arm, choice, order): {"choice": said, "log_odds": None}
        for arm, both in arms.items()
        for choice, saids in zip(FOUND, both, strict=True)
        for order, said in enumerate(saids)
        if said is not None
    }


SAID = records(
    own=[
        ("first", "second"),  # right in both orders
        ("first", "first"),  # by its place
        ("second", "first"),  # wrong in both
        ("abstain", "first"),  # half, and right
    ],
    other_shots=[("first", "first")] * 4,
    zero_shots=[("first", None), *[("second", "second")] * 3],
)


def by_hand(**options: Any) -> Any:
    told: dict[str, Any] = {"ceiling": 0.75, "withheld": None, "margins": None, **options}
    said = told.pop("said", SAID)
    return summarise_calibration(FOUND, said, [], **told)


def test_the_figures_by_hand() -> None:
    cell = by_hand()
    own, zero, other = cell["own"], cell["zero_shots"], cell["other_shots"]
    assert own["all_call"] == (2 + 1 + 0 + 1.5) / 8
    assert own["tie_half"] == (1 + 0.5 + 0 + 0.5) / 4
    assert (own["consistent"], own["n_consistent"], own["coverage"]) == (0.5, 2, 0.5)
    assert own["first_pick_bias"] == 0.25  # one choice of four by its place
    assert (own["n"], own["n_users"], own["n_failed"]) == (4, 2, 0)
    assert (other["all_call"], other["coverage"], other["first_pick_bias"]) == (0.5, 0.0, 1.0)
    assert (zero["n"], zero["n_failed"], zero["n_calls"]) == (3, 1, 7)
    assert zero["all_call"] == (1 + 3) / 7 and zero["first_pick_bias"] == -1.0
    differences = cell["differences"]
    assert differences["other_shots"]["difference"] == (0.5 + 0 - 0.5 + 0.25) / 4
    assert differences["zero_shots"]["difference"] == pytest.approx((0 - 0.5 + 0.25) / 3)
    assert by_hand(ceiling=0.5)["way_to_ceiling"] is None  # there is no way to go
    assert (differences["zero_shots"]["n"], differences["zero_shots"]["n_users"]) == (3, 2)
    assert cell["personalised"] is False
    assert cell["way_to_ceiling"] == pytest.approx(0.0625 / 0.25)
    assert cell["repeats"] is cell["identical"] is None and cell["by_margin"] == []


def test_margins_by_hand() -> None:
    bins = by_hand(margins=np.array([1.0, 3.0, 2.0, np.nan]))["by_margin"]
    assert [(each["low"], each["high"], each["n"]) for each in bins] == [
        (1.0, 1.0, 1),
        (2.0, 2.0, 1),
        (3.0, 3.0, 1),
    ]
    assert [each["own"]["rate"] for each in bins] == [1.0, 0.0, 0.5]
    assert by_hand(margins=np.full(4, np.nan))["by_margin"] == []


def test_repeats_and_identical_images_by_hand() -> None:
    said = dict(SAID)
    for choice, again in zip(
        FOUND, [("first", "first"), ("second", "first"), ("second",), ()], strict=True
    ):
        for n, word in enumerate(again, start=1):
            said[call_id("repeat", choice, 0, n)] = {"choice": word}
    for choice, word in zip(FOUND, ["first", "first", "second", "abstain"], strict=True):
        said[call_id("identical", choice, None)] = {"choice": word}
    cell = by_hand(said=said)
    assert (cell["repeats"]["n"], cell["repeats"]["stable"]) == (2, 0.5)
    identical = cell["identical"]
    assert (identical["n"], identical["first"], identical["second"]) == (4, 2, 1)
    assert (identical["abstain"], identical["bias"], identical["p_value"]) == (1, 0.25, 1.0)


def test_withheld_figures_are_none() -> None:
    cell = by_hand(withheld="too much failed", margins=np.ones(4))
    assert cell["own"]["all_call"] is cell["personalised"] is cell["way_to_ceiling"] is None
    assert cell["own"]["reason"] == "too much failed" and cell["own"]["n"] == 4
    assert cell["differences"]["other_shots"]["difference"] is None
    assert cell["by_margin"] == []


def test_all_that_is_right_beats_what_knows_nothing() -> None:
    right = [("first", "second") if r == 0 else ("second", "first") for r in RIGHT]
    said = records(own=right, other_shots=[("first", "first")] * 4, zero_shots=right)
    cell = by_hand(said=said, ceiling=None)
    assert cell["own"]["all_call"] == cell["own"]["consistent"] == 1.0
    assert cell["differences"]["other_shots"]["difference"] == 0.5
    assert cell["differences"]["zero_shots"]["difference"] == 0.0
    assert cell["way_to_ceiling"] is None
