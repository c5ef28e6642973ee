"""Whole runs over people: what is drawn and embedded, what is not, and how a run goes on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fake_world
import people_world
import pytest
from toy_runs import figures, summary_of

from ppdbench import plugins
from ppdbench.benchmarks.evaluate import TooManyFailures, evaluate
from ppdbench.benchmarks.selection import BENCHMARKS
from ppdbench.errors import (
    FingerprintMismatch,
    Interrupted,
    MissingPrerequisite,
    PpdbenchError,
    UsageError,
)
from ppdbench.leaderboard import recorded as leaderboard
from ppdbench.protocols import GenerationRequest
from ppdbench.runs.records import read_records

FEW = 17
"""Users a split: one group, and one more."""


@pytest.fixture(autouse=True)
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(plugins, "entry_points", people_world.entry_points)
    monkeypatch.setattr(leaderboard, "installed", lambda: tmp_path / "leaderboards")
    monkeypatch.setenv("PPDBENCH_CACHE", str(tmp_path / "cache"))
    fake_world.calls.clear()


def run(tmp_path: Path, *models: str, **options: Any) -> Path:
    options.setdefault("events", fake_world.Quiet())
    options.setdefault("benchmarks", ["personal"])
    options.setdefault("limit", FEW)
    return evaluate(
        models or ["embedder"],
        suite="town",
        runs=tmp_path / "runs",
        device="cpu",
        **{"batch_size": 64, **options},
    )


def by_arm(folder: Path, generator: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for record in read_records(folder / "generations.jsonl"):
        if record["generator"] == generator:
            found[record["arm"]] = found.get(record["arm"], 0) + 1
    return found


def test_each_user_is_embedded_once_and_each_picture_drawn_and_measured_once(
    tmp_path: Path,
) -> None:
    folder = run(tmp_path, "embedder", "brighter")
    users, group = 2 * FEW, 2 * (16 * 16 - 16)
    arms = by_arm(folder, "embedder")
    overlap = users + users + group - sum(arms[arm] for arm in ("own", "shuffled", "group"))
    assert (arms["own"], arms["shuffled"], arms["nobody"]) == (users, users, users)
    assert 0 < overlap < users  # a partner who is of the group
    assert by_arm(folder, "brighter") == by_arm(folder, "plain") == {"nobody": users}
    encoded = [int(call.split()[1]) for call in fake_world.calls if call.startswith("encodes")]
    assert sum(encoded) == users
    drawn = read_records(folder / "generations.jsonl")
    assert len(drawn) == len({record["item"] for record in drawn})
    scored = read_records(folder / "scores.jsonl")
    assert len(scored) == len({(r["item"], r["scorer"]) for r in scored}) == 2 * len(drawn)
    assert {record["scorer"] for record in scored} == {"truth", "fidelity"}
    assert not any(" on cpu" in call and "classifier" not in call for call in fake_world.calls)
    found = summary_of(folder)
    assert (found["n_ok"], found["n_expected"]) == (len(drawn), len(drawn))
    assert found["benchmarks"]["personal"]["plain"]["all"]["win_rate"] > 0.95
    assert found["benchmarks"]["personal_matrix"]["all"]["own_is_best"] > 0.6
    shown = found["benchmarks"]["personal_shown"]
    assert {user["split"] for user in shown["users"]} == {"unseen"}
    assert all(user["profile"].startswith("likes <") for user in shown["users"])
    captions = json.loads((folder / "captions.json").read_bytes())["captions"]
    assert {r["caption_id"] for r in drawn} == {caption["id"] for caption in captions}


def test_the_same_command_again_loads_and_changes_nothing(tmp_path: Path) -> None:
    options: dict[str, Any] = {"benchmarks": ["rewards", "personal"], "full": True, "limit": 5}
    folder = run(tmp_path, "embedder", "ider", **options)
    before = {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}
    fake_world.calls.clear()
    assert run(tmp_path, "embedder", "ider", **options) == folder
    assert fake_world.calls == []
    after = {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}
    before.pop("status.json"), after.pop("status.json")
    assert after == before


def test_a_run_that_was_stopped_ends_where_an_undisturbed_one_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(tmp_path / "whole", full=True, limit=4, batch_size=9)
    batches = sum("draws" in call for call in fake_world.calls)
    for stop in (1, batches // 3, batches // 3):
        seen: list[int] = []

        def interrupt(_: Sequence[GenerationRequest], stop: int = stop, seen: Any = seen) -> None:
            seen.append(1)
            if len(seen) == stop:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(fake_world, "generate_error", interrupt)
            with pytest.raises(Interrupted):
                run(tmp_path / "stopped", full=True, limit=4, batch_size=9)
    folder = run(tmp_path / "stopped", full=True, limit=4, batch_size=9)
    assert figures(folder) == figures(whole)
    items = [record["item"] for record in read_records(folder / "generations.jsonl")]
    assert len(items) == len(set(items))


def test_a_recorded_opponent_equals_the_fresh_one(tmp_path: Path) -> None:
    fresh = run(tmp_path, "embedder", "brighter", limit=None)
    cell = summary_of(run(tmp_path, limit=None))["benchmarks"]["personal"]["brighter"]["all"]
    assert cell["win_rate"] is None and "--model brighter" in cell["reason"]
    leaderboard.record_entry(fresh, "brighter", tmp_path / "leaderboards" / "town")
    fake_world.calls.clear()
    found = summary_of(run(tmp_path, limit=None))
    assert fake_world.calls == []
    expected = summary_of(fresh)["benchmarks"]["personal"]["brighter"]
    for split, cell in found["benchmarks"]["personal"]["brighter"].items():
        assert cell.pop("source") == "recorded"
        assert expected[split] == {**cell, "source": "fresh"}
    assert found["generators"]["brighter"]["source"] == "recorded"
    # Of fewer users it is compared on those.
    part = summary_of(run(tmp_path))["benchmarks"]["personal"]["brighter"]["all"]
    assert (part["n"], part["n_expected"]) == (2 * FEW, 2 * FEW)


def test_a_recorded_user_model_is_an_opponent_by_its_own_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people_world.Town, "opponents", ("plain", "oracle"))
    fresh = run(tmp_path, "oracle", limit=None, benchmarks=["personal", "rewards"])
    entry = leaderboard.record_entry(fresh, "oracle", tmp_path / "leaderboards" / "town")
    lines = [json.loads(line) for line in (entry / "scores.jsonl").read_text().splitlines()]
    arms = {line.get("arm") for line in lines}
    assert arms == {None, "own", "shuffled", "nobody"}  # nothing of the matrix
    found = summary_of(run(tmp_path, limit=None))
    cell = found["benchmarks"]["personal"]["oracle"]["all"]
    assert cell["n"] == 52 and abs(cell["utility_gain"]) < 3  # both draw by the user's shots
    both = summary_of(run(tmp_path, "embedder", "oracle", limit=None))
    other = both["benchmarks"]["personal"]["oracle"]["all"]
    assert {**other, "source": "recorded"} == cell


@pytest.mark.parametrize("what", ["people", "truth"])
def test_recorded_pictures_for_other_people_are_left_out_and_rewards_stay(
    tmp_path: Path, what: str
) -> None:
    both: dict[str, Any] = {"benchmarks": ["rewards", "personal"], "limit": None}
    fresh = run(tmp_path, "embedder", "brighter", **both)
    entry = leaderboard.record_entry(fresh, "brighter", tmp_path / "leaderboards" / "town")
    about = json.loads((entry / "entry.json").read_bytes())
    if what == "people":
        about["people"] = "x"
    else:
        about["scorers"]["truth"] = "x"
    (entry / "entry.json").write_text(json.dumps(about))
    events = fake_world.Quiet()
    found = summary_of(run(tmp_path, events=events, **both))["benchmarks"]
    assert found["rewards"]["brighter"]["red"]["n"] == fake_world.CAPTIONS
    assert found["personal"]["brighter"]["all"]["win_rate"] is None
    (note,) = [note for note in events.notes if "brighter" in note]
    assert "its pictures for people are left out" in note


def test_an_entry_without_pictures_for_people_counts_for_rewards(tmp_path: Path) -> None:
    fresh = run(tmp_path, "embedder", "brighter", benchmarks=["rewards"], limit=None)
    leaderboard.record_entry(fresh, "brighter", tmp_path / "leaderboards" / "town")
    events = fake_world.Quiet()
    found = summary_of(
        run(tmp_path, benchmarks=["rewards", "personal"], limit=None, events=events)
    )["benchmarks"]
    assert events.notes == []
    assert found["rewards"]["brighter"]["red"]["n"] == fake_world.CAPTIONS
    assert found["personal"]["brighter"]["all"]["n"] == 0


def test_users_whom_an_encoder_of_ids_cannot_know_are_never_asked_for(tmp_path: Path) -> None:
    events = fake_world.Quiet()
    folder = run(tmp_path, "ider", events=events, full=True)
    assert events.notes == [f"ider cannot serve unseen users: {FEW} are left out"]
    found = summary_of(folder)
    assert found["complete"] is True and found["failures"] == []
    assert found["generators"]["ider"]["unserved"] == {"unseen": FEW}
    drawn = read_records(folder / "generations.jsonl")
    assert not any("unseen" in r["caption_id"] for r in drawn if r["generator"] == "ider")
    cells = found["benchmarks"]["personal"]["plain"]
    assert cells["seen"]["win_rate"] > 0.95
    for split in ("unseen", "all"):
        assert cells[split]["win_rate"] is None
        assert cells[split]["reason"] == "ider cannot serve unseen users"
    assert "all" not in found["benchmarks"]["personal_matrix"]
    assert "personal_shots" not in found["benchmarks"]  # ids are not read from shots
    assert set(found["benchmarks"]["personal_between"]) == {"seen", "unseen"}
    assert {user["split"] for user in found["benchmarks"]["personal_shown"]["users"]} == {"seen"}


def test_a_user_whose_embedding_fails_is_a_failure_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = people_world.PairEncoder.encode

    def failing(self: Any, users: Sequence[Any]) -> Any:
        if any(shot.caption == "shot 8000" for user in users for shot in user.shots):
            raise RuntimeError("cannot see")
        return encode(self, users)

    with monkeypatch.context() as patch:
        patch.setattr(people_world.PairEncoder, "encode", failing)
        with pytest.raises(TooManyFailures) as caught:
            run(tmp_path)
        assert "pairs has no embedding of user 1000 by 4 shots" in str(caught.value)
    found = summary_of(caught.value.run)
    assert found["benchmarks"]["personal"]["plain"]["seen"]["win_rate"] is None
    assert "items failed" in found["benchmarks"]["personal"]["plain"]["seen"]["reason"]
    fake_world.calls.clear()
    run(tmp_path)
    assert sum("encodes" in call for call in fake_world.calls) == 1
    assert summary_of(caught.value.run)["complete"] is True


def test_a_measurement_that_fails_costs_its_item_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure = people_world.ToyTruth.measure
    lost: list[bytes] = []

    def failing(self: Any, images: Sequence[Any]) -> Any:
        if not lost:
            lost.append(images[3].tobytes())
        if any(image.tobytes() == lost[0] for image in images):
            raise RuntimeError("too dark")
        return measure(self, images)

    with monkeypatch.context() as patch:
        patch.setattr(people_world.ToyTruth, "measure", failing)
        folder = run(tmp_path, fail_on_error=0.5)
    found = summary_of(folder)
    assert [failure["error"] for failure in found["failures"]] == [
        "truth failed: RuntimeError: too dark"
    ]
    run(tmp_path)
    assert summary_of(folder)["complete"] is True


def test_by_default_everything_is_made_that_suite_and_model_support(tmp_path: Path) -> None:
    events = fake_world.Quiet()
    options: dict[str, Any] = {"benchmarks": [], "events": events, "limit": 2}
    made = summary_of(run(tmp_path, "oracle", **options))["benchmarks"]
    assert "rewards" in made and "personal" in made
    assert events.notes == ["left out: users, for oracle has no user encoder"]
    events.notes.clear()
    made = summary_of(run(tmp_path, "brighter", **options))["benchmarks"]
    assert "rewards" in made and "personal" not in made
    assert "left out: personal, for brighter does not condition on people" in events.notes


def test_what_is_asked_for_by_name_must_be_possible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="oracle has no user encoder"):
        run(tmp_path, "oracle", benchmarks=["users"])
    monkeypatch.setattr(people_world.ToyPeople, "truth", None)
    with pytest.raises(UsageError, match="what the users of town like is not known"):
        run(tmp_path, "oracle")
    monkeypatch.setattr(people_world.Town, "people", None)
    with pytest.raises(UsageError, match="the suite town has no users"):
        run(tmp_path, "oracle")
    events = fake_world.Quiet()
    run(tmp_path, "oracle", benchmarks=[], events=events)
    assert events.notes == []  # nothing is missed


def test_an_encoder_that_is_not_there_is_an_error_only_where_it_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_: Any) -> Any:
        raise MissingPrerequisite("no weights of pairs", fix="fetch them")

    monkeypatch.setattr(people_world, "pair_encoder", gone)
    with pytest.raises(MissingPrerequisite, match="no weights of pairs"):
        run(tmp_path)
    events = fake_world.Quiet()
    made = summary_of(run(tmp_path, benchmarks=[], events=events))["benchmarks"]
    assert "rewards" in made and "personal" not in made
    assert events.notes == ["left out: users and personal, for no weights of pairs"]
    events.notes.clear()
    run(tmp_path, "oracle", "embedder", benchmarks=[], events=events)
    assert "embedder draws nothing for people: no weights of pairs" in events.notes


def test_rewards_alone_keep_the_folder_they_had_without_people(tmp_path: Path) -> None:
    spec = json.loads((run(tmp_path, benchmarks=["rewards"]) / "spec.json").read_bytes())
    assert spec["benchmark"] == "rewards"
    assert not {"people", "encoders", "full"} & set(spec)


def test_what_changes_pictures_for_people_is_in_the_fingerprint(tmp_path: Path) -> None:
    folder = run(tmp_path, limit=2)
    assert run(tmp_path, limit=2, full=True) != folder
    assert run(tmp_path, limit=2, benchmarks=["rewards", "personal"]) != folder
    spec = json.loads((folder / "spec.json").read_bytes())
    spec["encoders"]["pairs"]["revision"] = "0"
    (folder / "spec.json").write_text(json.dumps(spec))
    with pytest.raises(FingerprintMismatch, match=r"encoders\.pairs\.revision"):
        run(tmp_path, limit=2)
    (folder / "spec.json").unlink()
    assert run(tmp_path, limit=2) == folder


def test_captions_must_not_share_ids_between_benchmarks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    captions = people_world.ToyPeople().users("seen")[0].captions
    monkeypatch.setattr(people_world.Town, "captions", lambda _self, _split: list(captions))
    with pytest.raises(PpdbenchError, match="one id"):
        run(tmp_path, benchmarks=["rewards", "personal"])


def test_a_reader_of_profiles_is_given_words_and_nothing_else(tmp_path: Path) -> None:
    found = summary_of(run(tmp_path, "reader"))  # the generator itself asserts what it is given
    assert found["benchmarks"]["personal"]["plain"]["all"]["win_rate"] > 0.55


def test_the_names_are_the_documented_ones() -> None:
    assert BENCHMARKS == ("rewards", "users", "personal")


def test_users_are_told_apart_in_the_same_folder_and_once(tmp_path: Path) -> None:
    events = fake_world.Quiet()
    options: dict[str, Any] = {"benchmarks": ["users"], "limit": None, "events": events}
    folder = run(tmp_path, **options)
    found = summary_of(folder)["benchmarks"]
    assert set(found) == {"users"} and set(found["users"]) == {"pairs"}
    figures_of = found["users"]["pairs"]
    assert (figures_of["n_users"], figures_of["n_test"], figures_of["n_missing"]) == (12, 12, 0)
    assert figures_of["top5"] > 5 / 12
    assert figures_of["ceilings"]["top1"] == 0.5
    assert figures_of["gain_over_captions"]["n"] == 12
    assert not (folder / "generations.jsonl").exists()
    fake_world.calls.clear()
    run(tmp_path, **options)
    assert fake_world.calls == []
    everything = summary_of(run(tmp_path, **{**options, "full": True}))["benchmarks"]["users"]
    assert set(everything) == {"pairs", "ids"}
    assert "reads who the user is" in everything["ids"]["reason"]
    assert any("common" in note for note in events.notes)


def test_too_many_groups_without_an_embedding_withhold_an_encoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = people_world.PairEncoder.encode

    def failing(self: Any, users: Sequence[Any]) -> Any:
        if any(user.shots[0].caption == "shot 8006" for user in users):
            raise RuntimeError("cannot see")
        return encode(self, users)

    monkeypatch.setattr(people_world.PairEncoder, "encode", failing)
    found = summary_of(run(tmp_path, benchmarks=["users"], limit=None))["benchmarks"]["users"]
    assert found["pairs"]["top16"] is None and "1 of 12 groups" in found["pairs"]["reason"]
    allowed = run(tmp_path / "b", benchmarks=["users"], limit=None, fail_on_error=0.1)
    found = summary_of(allowed)["benchmarks"]["users"]
    assert found["pairs"]["top5"] is not None and found["pairs"]["n_missing"] == 1


def test_where_pairs_for_telling_apart_are_missing_only_a_named_run_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_self: Any, *, topics: bool) -> Any:
        raise MissingPrerequisite(f"no pairs, topics: {topics}", fix="copy them")

    monkeypatch.setattr(people_world.ToyPeople, "identified", gone)
    with pytest.raises(MissingPrerequisite, match="no pairs"):
        run(tmp_path, benchmarks=["users"], limit=2)
    events = fake_world.Quiet()
    found = summary_of(run(tmp_path, benchmarks=[], limit=2, events=events))["benchmarks"]
    assert "personal" in found and "users" not in found
    assert events.notes == ["left out: users, for no pairs, topics: True"]


def test_a_model_that_can_serve_nobody_says_so_and_nothing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(people_world.SIZES, "seen", 0)
    found = summary_of(run(tmp_path, "ider", limit=None))
    assert found["complete"] is True
    cells = found["benchmarks"]["personal"]["plain"]
    assert cells["unseen"]["reason"] == "ider cannot serve unseen users"
    assert cells["seen"]["reason"] == "no pairs to compare"


def test_a_run_that_drew_nothing_is_no_entry(tmp_path: Path) -> None:
    folder = run(tmp_path, benchmarks=["users"], limit=None)
    with pytest.raises(PpdbenchError, match="embedder drew nothing"):
        leaderboard.record_entry(folder, "embedder", tmp_path / "leaderboards" / "town")


def test_a_limit_that_limits_nothing_is_the_whole_run(tmp_path: Path) -> None:
    whole = run(tmp_path, limit=None)
    assert run(tmp_path, limit=34) == whole
    spec = json.loads((run(tmp_path, limit=33) / "spec.json").read_bytes())
    assert spec["limit"] == 33
