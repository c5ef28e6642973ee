"""Whole runs over people: what is drawn and embedded, what is not, and how a run goes on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import fake_world
import people_world
import pytest
from town_runs import FEW, by_arm, run, use_town
from toy_runs import figures, summary_of

from ppdbench.benchmarks.evaluate import TooManyFailures
from ppdbench.benchmarks.selection import BENCHMARKS
from ppdbench.errors import (
    FingerprintMismatch,
    Interrupted,
    MissingPrerequisite,
    PpdbenchError,
    UsageError,
)
from ppdbench.protocols import GenerationRequest
from ppdbench.runs.records import read_records

world = pytest.fixture(autouse=True)(use_town)


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
    assert events.notes == [
        "left out: interpolation, for oracle hears no reward weights",
        "left out: users, for oracle has no user encoder",
    ]
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
    # The users that there are not are not missed.
    assert events.notes == ["left out: interpolation, for oracle hears no reward weights"]


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
    assert events.notes == [
        "left out: interpolation, for embedder hears no reward weights",
        "left out: users and personal, for no weights of pairs",
    ]
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


def test_two_users_must_not_share_a_captions_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = people_world.ToyPeople().users("seen")[0].captions
    users = people_world.ToyPeople.users

    def alike(self: Any, split: str) -> list[Any]:
        return [replace(user, captions=shared) for user in users(self, split)]

    monkeypatch.setattr(people_world.ToyPeople, "users", alike)
    with pytest.raises(PpdbenchError, match="one id"):
        run(tmp_path)


def test_shots_are_read_once_for_a_group(tmp_path: Path) -> None:
    folder = run(tmp_path, "oracle")
    reads = [call for call in fake_world.calls if call.startswith("reads")]
    users, arms = 2 * FEW, by_arm(folder, "oracle")
    assert arms["group"] > 400 and len(reads) <= users + users + 2 * 16


def test_who_hears_more_than_embeddings_walks_between_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def both(_: Any) -> people_world.Painter:
        return people_world.Painter(
            "embedder", people_world._by_shots, "pairs", "embeddings", "shots"
        )

    monkeypatch.setattr(people_world, "embedder", both)
    found = summary_of(run(tmp_path, full=True, limit=4))
    assert found["complete"] is True
    assert "personal_between" not in found["benchmarks"]
    assert found["benchmarks"]["personal"]["plain"]["all"]["win_rate"] > 0.9


def test_a_reader_of_profiles_is_given_words_and_nothing_else(tmp_path: Path) -> None:
    found = summary_of(run(tmp_path, "reader"))  # the generator itself asserts what it is given
    assert found["benchmarks"]["personal"]["plain"]["all"]["win_rate"] > 0.55


def test_the_names_are_the_documented_ones() -> None:
    assert BENCHMARKS == ("rewards", "interpolation", "tradeoff", "users", "personal")


def test_a_model_that_can_serve_nobody_says_so_and_nothing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(people_world.SIZES, "seen", 0)
    found = summary_of(run(tmp_path, "ider", limit=None))
    assert found["complete"] is True
    cells = found["benchmarks"]["personal"]["plain"]
    assert cells["unseen"]["reason"] == "ider cannot serve unseen users"
    assert cells["seen"]["reason"] == "no pairs to compare"


def test_a_limit_that_limits_nothing_is_the_whole_run(tmp_path: Path) -> None:
    whole = run(tmp_path, limit=None)
    assert run(tmp_path, limit=34) == whole
    spec = json.loads((run(tmp_path, limit=33) / "spec.json").read_bytes())
    assert spec["limit"] == 33


@pytest.mark.parametrize("digest", [None, "5" * 64, "6" * 64])
def test_whom_a_generator_was_trained_for_is_recorded_and_others_are_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digest: str | None
) -> None:
    def trained(_: Any) -> people_world.Painter:
        made = people_world.Painter("embedder", people_world._by_embedding("pairs"), "pairs")
        made.info = replace(
            made.info, conditions_on=frozenset({"embeddings"}), training_users_digest=digest
        )
        return made

    monkeypatch.setattr(people_world, "embedder", trained)
    events = fake_world.Quiet()
    found = summary_of(run(tmp_path, limit=2, events=events))
    assert found["generators"]["embedder"].get("training_users_digest") == digest
    assert "training_users_digest" not in found["generators"]["plain"]
    assert found["notes"] == events.notes
    if digest == "6" * 64:
        (note,) = found["notes"]
        assert "embedder was trained for others than the training people of town" in note
    else:
        assert found["notes"] == []
    # Where a suite does not know its training people, or nobody is measured for, nothing is said.
    assert summary_of(run(tmp_path, limit=2, benchmarks=["rewards"]))["notes"] == []
    monkeypatch.setattr(people_world.ToyPeople, "training_digest", None)
    assert summary_of(run(tmp_path, limit=2))["notes"] == []
