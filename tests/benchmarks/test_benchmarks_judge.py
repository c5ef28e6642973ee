"""What a judged run draws, shows and asks: arms, shots, orders, and what cannot be asked."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import fake_world
import people_world
import pytest
import toy_judges
from judged_town import FEW, files_of, judge, judged, records_of, request, use_judges
from people_world import EACH
from toy_runs import summary_of

from ppdbench.benchmarks.judge.cost import judge_cost
from ppdbench.errors import PpdbenchError, UsageError
from ppdbench.protocols import GenerationRequest, Question
from ppdbench.runs.records import read_records

world = pytest.fixture(autouse=True)(use_judges)
ARMS = ["shared", "disjoint", "zero_shots", "other_shots", "other_context"]


def by_arm(folder: Path) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for record in records_of(folder):
        found[record["arm"]].append(record)
    return dict(found)


def drawn(folder: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """What was drawn, by generator and image."""
    records = read_records(folder / "generations.jsonl")
    return {(record["generator"], record["image"]): record for record in records}


def owner(record: dict[str, Any]) -> int:
    return int(record["user"].removeprefix("user:"))


def owner_of_shots(shots: Sequence[str]) -> int:
    (number,) = {int(pair) // EACH for pair in shots}
    return number


def test_a_record_a_call_says_what_was_asked_and_answered(tmp_path: Path) -> None:
    folder = judge(tmp_path)
    records = records_of(folder)
    assert len(records) == len({record["call"] for record in records}) == 5 * 2 * FEW * 2
    assert {record["question"] for record in records} == set(toy_judges.answered)
    first = records[0]
    assert first["call"] == "shared/user:1000/seen-1000-0/0/0"
    assert {k: first[k] for k in ("arm", "user", "split", "caption_id", "sample", "order")} == {
        "arm": "shared",
        "user": "user:1000",
        "split": "seen",
        "caption_id": "seen-1000-0",
        "sample": 0,
        "order": 0,
    }
    assert first["shots"] == ["8000", "8001", "8002", "8003"]
    assert (first["judge"], first["status"], first["cached"]) == ("taste", "ok", False)
    assert first["details"] == {
        "model": "toy-1",
        "tokens_in": 10,
        "tokens_out": 1,
        "seconds": 0.5,
    }
    assert set(first) == {
        *("schema_version", "call", "arm", "user", "split", "caption_id", "sample", "order"),
        *("repeat", "shots", "images", "stamp", "question", "key", "judge", "cached"),
        *("status", "choice", "log_odds", "confidence", "reason", "raw", "error", "cost"),
        "details",
    }


def test_both_orders_show_the_same_with_the_candidates_swapped(tmp_path: Path) -> None:
    folder = judge(tmp_path)
    pairs: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for record in records_of(folder):
        pairs[record["call"].rpartition("/")[0]].append(record)
    assert len(pairs) == 5 * 2 * FEW
    pictures = drawn(folder)
    for zero, one in pairs.values():
        assert (zero["order"], one["order"]) == (0, 1)
        assert zero["shots"] == one["shots"] and zero["stamp"] != one["stamp"]
        assert zero["images"] == one["images"][::-1]
        ours, theirs = pictures["oracle", zero["images"][0]], pictures["plain", zero["images"][1]]
        assert ours["caption_id"] == theirs["caption_id"] == zero["caption_id"]
        assert ours["seed"] == theirs["seed"]


def test_arms_show_whose_shots_they_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, list[str]] = {}

    def note(requests: Sequence[GenerationRequest]) -> None:
        for each in requests:
            given[each.id] = [shot.caption for shot in each.user.shots] if each.user else []

    monkeypatch.setattr(fake_world, "generate_error", note)
    folder = judge(tmp_path)
    found, pictures = by_arm(folder), drawn(folder)
    assert list(found) == ARMS
    assert {arm: len(records) for arm, records in found.items()} == dict.fromkeys(ARMS, 4 * FEW)
    partners: dict[int, int] = {}
    for arm, records in found.items():
        for record in records:
            who, shots = owner(record), record["shots"]
            ours = pictures["oracle", record["images"][record["order"]]]
            own = [str(who * EACH + row) for row in range(EACH)]
            if arm == "other_context":
                other = int(ours["user"].removeprefix("user:"))
                assert partners[who] == other != who and ours["arm"] == "shuffled"
            else:
                assert ours["user"] == f"user:{who}" and ours["arm"] == "own"
            if arm == "shared":
                assert shots == own[:4] and given[ours["item"]] == [f"shot {n}" for n in shots]
            elif arm in ("disjoint", "other_context"):
                assert shots == own[4:]
                assert not {f"shot {pair}" for pair in shots} & set(given[ours["item"]])
            elif arm == "zero_shots":
                assert shots == []
            else:
                other = owner_of_shots(shots)
                assert other != who and partners.setdefault(who, other) == other
                assert shots == [str(other * EACH + row) for row in range(4, 8)]
    seen, unseen = range(1000, 1000 + FEW), range(1034, 1034 + FEW)
    for split in (seen, unseen):
        assert sorted(partners[who] for who in split) == list(split)  # each once, none their own


def test_a_judge_is_told_captions_and_pictures_and_nothing_else(tmp_path: Path) -> None:
    """Neither ids nor names of users and models reach it."""
    judge(tmp_path, limit=1)
    for question in toy_judges.heard:
        texts = [question.caption, *(shot.caption for shot in question.shots)]
        assert not any("user:" in text or "oracle" in text or "plain" in text for text in texts)
        images: list[Any] = [question.first, question.second]
        images += [shot.preferred for shot in question.shots]
        assert not any(image.info or hasattr(image, "filename") for image in images)


@pytest.mark.parametrize(
    ("options", "arms", "flat"),
    [
        ({"judge_shots": "shared"}, ["shared", *ARMS[2:]], "shared"),
        ({"judge_shots": "disjoint"}, ["disjoint", *ARMS[2:]], "disjoint"),
        ({"controls": False}, ["shared", "disjoint"], "shared"),
        ({"controls": False, "judge_shots": "shared"}, ["shared"], "shared"),
    ],
)
def test_only_the_arms_that_were_asked_for(
    tmp_path: Path, options: Any, arms: list[str], flat: str
) -> None:
    folder = judge(tmp_path, **options)
    assert list(by_arm(folder)) == arms
    found = summary_of(folder)["benchmarks"]
    cell = found["judge"]["all"]
    assert cell["shots"] == flat and cell["win_rate"] == cell[flat]["win_rate"]
    assert list(cell["controls"]) == [arm for arm in arms if arm in ARMS[2:]]
    headline = "shared" if options.get("judge_shots") == "shared" else "disjoint"
    assert cell[headline]["difference"] is None
    assert all(each["difference"] is not None for each in cell["controls"].values())
    assert found["judge_funnel"]["arm"] == headline
    for arm in {"shared", "disjoint"} - set(arms):
        assert cell[arm] is cell["inflation"] is None
    assert (cell["win_rate_disjoint"] is None) == ("disjoint" not in arms)
    if options.get("judge_shots") == "shared" and "other_shots" in arms:
        assert {len(r["shots"]) for r in by_arm(folder)["other_shots"]} == {4}
        assert all(int(r["shots"][0]) % EACH == 0 for r in by_arm(folder)["other_shots"])


def test_fewer_and_more_shots_for_model_and_judge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, list[str]] = {}

    def note(requests: Sequence[GenerationRequest]) -> None:
        for each in requests:
            given[each.id] = [shot.caption for shot in each.user.shots] if each.user else []

    monkeypatch.setattr(fake_world, "generate_error", note)
    found = by_arm(judge(tmp_path, shots=2, limit=2))
    assert found["shared"][0]["shots"] == ["8000", "8001"]
    assert found["disjoint"][0]["shots"] == ["8004", "8005"]
    assert {len(shots) for item, shots in given.items() if item.startswith("oracle")} == {2}
    found = by_arm(judge(tmp_path, shots=8, judge_shots="shared", limit=2))
    assert found["shared"][0]["shots"] == [str(8000 + row) for row in range(8)]
    assert owner_of_shots(found["other_shots"][0]["shots"]) == 1001
    assert {len(shots) for item, shots in given.items() if item.endswith(":8")} <= {8}
    assert len(found["other_context"]) == 8


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"shots": 0}, "a judge needs shots"),
        ({"shots": 9, "judge_shots": "shared"}, "9 shots, and users have 8"),
        ({"shots": 5}, "users have no 5 further shots for the judge beside the model's"),
        ({"shots": 8, "judge_shots": "disjoint"}, "users have no 8 further shots"),
        ({"model": "plain"}, "plain would be held against itself"),
        ({"baseline": "oracle"}, "oracle would be held against itself"),
        ({"judge": "tast"}, "no judge is called 'tast'"),
        ({"judge": "scalar:blue"}, "no reward of town is called 'blue'"),
        ({"judge": "always-first:2"}, "takes nothing after a colon"),
        ({"model": "orakel"}, "no generator is called 'orakel'"),
        ({"limit": 0}, "limit is 0"),
        ({"samples": 0}, "samples is 0"),
        ({"fail_on_error": 1.5}, "fail on error is 1.5"),
    ],
)
def test_what_cannot_be_judged_is_said_before_anything_is_drawn(
    tmp_path: Path, options: Any, says: str
) -> None:
    with pytest.raises(UsageError) as caught:
        judge(tmp_path, **options)
    assert says in caught.value.cause
    assert not (tmp_path / "runs").exists() and toy_judges.answered == []
    assert not any("draws" in call for call in fake_world.calls)


def test_a_suite_without_users_cannot_be_judged_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(people_world.SIZES, "unseen", 0)
        with pytest.raises(UsageError, match="town has no unseen users"):
            judge(tmp_path, split="unseen")
    monkeypatch.setattr(people_world.Town, "people", None)
    with pytest.raises(UsageError, match="town has no users"):
        judge(tmp_path)


def test_a_budget_for_tokens_needs_their_price(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def body(_: Any, __: Question) -> dict[str, Any]:
        return {}

    monkeypatch.setattr(toy_judges.Paid, "body", body, raising=False)  # one that sells tokens
    with pytest.raises(UsageError, match="--max-cost needs to know what tokens of paid cost"):
        judge(tmp_path, judge="paid", max_cost=1.0)
    judge(tmp_path, judge="paid", max_cost=100.0, price=(1.0, 1.0), limit=2)


def test_two_users_must_not_share_a_captions_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their pictures would be taken for each other's."""
    shared = people_world.ToyPeople().users("seen")[0].captions
    users = people_world.ToyPeople.users

    def alike(self: Any, split: str) -> list[Any]:
        return [replace(user, captions=shared) for user in users(self, split)]

    monkeypatch.setattr(people_world.ToyPeople, "users", alike)
    with pytest.raises(PpdbenchError, match="one id"):
        judge(tmp_path)


@pytest.mark.parametrize("digest", [None, "5" * 64, "6" * 64])
def test_that_a_model_was_trained_for_others_is_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digest: str | None
) -> None:
    """Its seen and unseen users are not those of the suite."""

    def trained(context: Any, made: Any = people_world.embedder) -> people_world.Painter:
        painter: people_world.Painter = made(context)
        painter.info = replace(painter.info, training_users_digest=digest)
        return painter

    monkeypatch.setattr(people_world, "embedder", trained)
    events = fake_world.Quiet()
    found = summary_of(judge(tmp_path, model="embedder", limit=2, events=events))
    said = "embedder was trained for others than the training people of town"
    assert [said in note for note in found["notes"]] == [True] * (digest == "6" * 64)
    assert set(found["notes"]) <= set(events.notes)


def test_a_plug_in_that_is_no_judge_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Any) -> Any:
        raise RuntimeError("a wire is loose")

    with monkeypatch.context() as patch:
        patch.setattr(toy_judges, "taste", broken)
        with pytest.raises(PpdbenchError, match=r"cannot be made: .*a wire is loose"):
            judge(tmp_path)
        patch.setattr(toy_judges, "taste", lambda _: "a string")
        with pytest.raises(PpdbenchError, match="judge 'taste' gives no judge"):
            judge(tmp_path)
    monkeypatch.setattr(toy_judges, "noise", float("nan"))
    with pytest.raises(PpdbenchError, match="judge 'taste' describes itself by what is not JSON"):
        judge(tmp_path)


def test_every_caption_and_several_samples(tmp_path: Path) -> None:
    folder = judge(tmp_path, full=True, samples=2, limit=3)
    found = by_arm(folder)
    assert {arm: len(records) for arm, records in found.items()} == dict.fromkeys(ARMS, 48)
    calls = {(r["user"], r["caption_id"], r["sample"], r["order"]) for r in found["disjoint"]}
    assert len(calls) == 48
    cell = summary_of(folder)["benchmarks"]["judge"]["all"]
    assert (cell["n"], cell["n_users"], cell["n_expected"]) == (24, 6, 24)
    assert judge(tmp_path, full=True, limit=3) != folder


def test_a_split_alone_is_what_it_is_beside_the_other(tmp_path: Path) -> None:
    """Partners, noise and figures of a user do not depend on who else is judged for."""
    both = judged(tmp_path)
    assert list(both) == ["seen", "unseen", "all"]

    def plain(cell: Any) -> Any:
        """Without what is corrected over all splits of a run."""
        return json.loads(
            json.dumps(cell), object_hook=lambda d: {k: v for k, v in d.items() if k != "p_holm"}
        )

    toy_judges.clear()
    for split in ("seen", "unseen"):
        alone = judged(tmp_path, split=split)
        assert list(alone) == [split]
        assert plain(alone[split]) == plain(both[split])
    assert toy_judges.answered == []  # the very same questions
    for count in ("n", "n_users", "n_expected"):
        assert both["all"][count] == both["seen"][count] + both["unseen"][count]


def test_a_user_alone_has_no_other_users_controls(tmp_path: Path) -> None:
    folder = judge(tmp_path, limit=1)
    assert list(by_arm(folder)) == ARMS[:3]
    cell = summary_of(folder)["benchmarks"]["judge"]["all"]
    for arm in ("other_shots", "other_context"):
        assert cell["controls"][arm]["n"] == cell["controls"][arm]["n_expected"] == 0
        assert cell["controls"][arm]["win_rate"] is cell["controls"][arm]["difference"] is None
        assert cell["controls"][arm]["reason"] == "no comparison was judged in both orders"


def test_a_model_for_everybody_is_not_asked_for_another_user(tmp_path: Path) -> None:
    folder = judge(tmp_path, model="brighter")
    assert list(by_arm(folder)) == ARMS[:4]
    assert {record["user"] for record in drawn(folder).values()} == {None}
    assert len(drawn(folder)) == 2 * 2 * FEW


def test_a_baseline_that_knows_users_draws_for_the_owner(tmp_path: Path) -> None:
    folder = judge(tmp_path, model="bright-for-all", baseline="oracle")
    pictures = drawn(folder)
    for record in records_of(folder):
        theirs = pictures["oracle", record["images"][1 - record["order"]]]
        assert theirs["user"] == record["user"] and theirs["caption_id"] == record["caption_id"]
    assert len({r["item"] for r in pictures.values() if r["generator"] == "oracle"}) == 2 * FEW


def test_users_whom_an_encoder_of_ids_cannot_know_are_left_out_and_it_is_said(
    tmp_path: Path,
) -> None:
    events = fake_world.Quiet()
    folder = judge(tmp_path, model="ider", events=events)
    assert events.notes == [f"ider cannot serve unseen users: {FEW} are left out"]
    found = summary_of(folder)
    assert found["complete"] is True and found["failures"] == []
    assert found["generators"]["ider"]["unserved"] == {"unseen": FEW}
    assert {record["split"] for record in records_of(folder)} == {"seen"}
    cells = found["benchmarks"]["judge"]
    assert cells["seen"]["win_rate_disjoint"] > 0.5
    for split in ("unseen", "all"):  # those served would pass for all
        assert cells[split]["win_rate"] is cells[split]["win_rate_disjoint"] is None
        assert cells[split]["disjoint"]["win_rate"] is cells[split]["true_win_rate"] is None
        assert cells[split]["reason"] == "ider cannot serve unseen users"
    funnel = found["benchmarks"]["judge_funnel"]
    assert funnel["users"] == {"seen": FEW, "unseen": FEW} and funnel["comparisons"] == FEW
    assert funnel["excluded"] == {"ider cannot serve unseen users": FEW}
    alone = judge(tmp_path, model="ider", split="unseen")
    found = summary_of(alone)["benchmarks"]
    assert found["judge"]["unseen"]["reason"] == "ider cannot serve unseen users"
    assert found["judge_shown"] == [] and records_of(alone) == []


def test_what_it_would_take_is_what_it_takes(tmp_path: Path) -> None:
    def cost(**options: Any) -> dict[str, Any]:
        asked = request(judge="paid", **options)
        return judge_cost(asked, runs=tmp_path / "runs", events=fake_world.Quiet())

    found = cost()
    assert not (tmp_path / "runs").exists() and not (tmp_path / "cache").exists()
    assert toy_judges.answered == []
    assert not any("draws" in call for call in fake_world.calls)
    folder = judge(tmp_path, judge="paid")
    records = records_of(folder)
    assert found["folder"] == str(folder) and found["judge"] == "paid"
    assert found["arms"] == ARMS
    assert found["calls"] == found["calls_left"] == len(records) == len(toy_judges.answered)
    assert found["images_to_draw"] == len(read_records(folder / "generations.jsonl"))
    shown = [2 * len(record["shots"]) + 2 for record in records]
    assert found["images_shown"] == sum(shown)
    assert found["tokens_in"] == 10 * sum(shown)
    assert found["tokens_out"] == len(records)
    assert found["cost"] == sum(record["cost"] for record in records) == 25.0
    before = files_of(folder)
    again = cost()
    assert {name: again[name] for name in ("calls", "calls_left", "images_to_draw")} == {
        "calls": len(records),
        "calls_left": 0,
        "images_to_draw": 0,
    }
    assert again["cost"] == 0.0 and files_of(folder) == before
    assert judge_cost(request(), runs=tmp_path, events=fake_world.Quiet())["cost"] is None


def test_verdicts_shown_have_their_pictures_in_the_run(tmp_path: Path) -> None:
    folder = judge(tmp_path, limit=17)
    found = summary_of(folder)["benchmarks"]
    shown = found["judge_shown"]
    outcomes = [each["outcome"] for each in shown]
    assert outcomes == sorted(outcomes, reverse=True)
    assert set(outcomes) == {1.0, 0.5, 0.0} and all(outcomes.count(o) <= 2 for o in outcomes)
    records = {record["call"]: record for record in records_of(folder)}
    for each in shown:
        assert len(each["shots"]) == 4
        for shot in each["shots"]:
            for side in ("preferred", "dispreferred"):
                assert (folder / shot[side]).is_file()
        for side in ("model_image", "baseline_image"):
            assert (folder / "images" / f"{each[side]}.png").is_file()
        for order, verdict in enumerate(each["verdicts"]):
            record = records[f"disjoint/{each['user']}/{each['caption_id']}/0/{order}"]
            assert (verdict["order"], verdict["status"]) == (order, "ok")
            assert verdict["choice"] == record["choice"] and verdict["reason"] == "4 shots"
            assert (verdict["p_first"] > 0.5) == (record["choice"] == "first")
            assert record["images"][order] == each["model_image"]
        picks = [verdict["choice"] for verdict in each["verdicts"]]
        won = (picks[0] == "first") + (picks[1] == "second")
        assert each["outcome"] == won / 2 and each["truth"] in (0.0, 1.0)
