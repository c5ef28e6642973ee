"""Benchmark `users` in whole runs: once, beside the others, withheld, left out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import fake_world
import people_world
import pytest
from recording import record_entry
from town_runs import run, use_town
from toy_runs import summary_of

from ppdbench.benchmarks.evaluate import TooManyFailures
from ppdbench.errors import MissingPrerequisite, PpdbenchError, UsageError
from ppdbench.reports.html import write_report

world = pytest.fixture(autouse=True)(use_town)


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

    with monkeypatch.context() as patch:
        patch.setattr(people_world.PairEncoder, "encode", failing)
        with pytest.raises(TooManyFailures, match="1 of 12 groups have no embedding by pairs") as e:
            run(tmp_path, benchmarks=["users"], limit=None)
        found = summary_of(e.value.run)["benchmarks"]["users"]
        assert found["pairs"]["top16"] is None and "1 of 12 groups" in found["pairs"]["reason"]
        allowed = run(tmp_path / "b", benchmarks=["users"], limit=None, fail_on_error=0.1)
        found = summary_of(allowed)["benchmarks"]["users"]
        assert found["pairs"]["top5"] is not None and found["pairs"]["n_missing"] == 1
    folder = run(tmp_path, benchmarks=["users"], limit=None)
    assert folder == e.value.run
    assert summary_of(folder)["withheld"] is None
    assert summary_of(folder)["benchmarks"]["users"]["pairs"]["n_missing"] == 0


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
    assert events.notes[-1] == "left out: users, for no pairs, topics: True"


class Unread:
    """A part of a suite that is not at hand."""

    def __get__(self, *_: Any) -> Any:
        raise MissingPrerequisite("captions are not here", fix="name them")


@pytest.fixture
def no_captions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people_world.Town, "digest", Unread())
    monkeypatch.setattr(people_world.Town, "captions", Unread())
    monkeypatch.setattr(people_world.Town, "baseline", "nowhere")


ALONE: dict[str, Any] = {"models": [], "benchmarks": ["users"], "limit": None}


@pytest.mark.usefixtures("no_captions")
def test_encoders_alone_need_neither_a_model_nor_captions(tmp_path: Path) -> None:
    folder = run(tmp_path, **ALONE, encoders=["pairs", "ids"])
    assert folder.name.startswith("pairs_ids-")
    found = summary_of(folder)
    assert (found["model"], found["generators"]) == ("pairs+ids", {})
    assert (found["complete"], found["withheld"], found["n_expected"]) == (True, None, 0)
    assert found["suite_digest"] == people_world.ToyPeople().digest
    assert list(found["benchmarks"]) == ["users"]
    assert found["benchmarks"]["users"]["pairs"]["top5"] > 5 / 12
    assert "reads who the user is" in found["benchmarks"]["users"]["ids"]["reason"]
    assert "pairs+ids" in write_report(folder).read_text()
    with pytest.raises(UsageError, match="pairs"):
        record_entry(folder, "pairs", tmp_path / "leaderboards" / "town")
    fake_world.calls.clear()
    assert run(tmp_path, **{**ALONE, "benchmarks": []}, encoders=["pairs", "ids"]) == folder
    assert fake_world.calls == []
    # Every control, and of the encoders those named.
    full = run(tmp_path, **ALONE, encoders=["pairs"], full=True)
    own = summary_of(full)["benchmarks"]["users"]
    assert list(own) == ["pairs"] and own["pairs"]["controls"]["labels_swapped"]["top5"] is not None


@pytest.mark.usefixtures("no_captions")
def test_encoders_alone_equal_those_of_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = summary_of(run(tmp_path, **ALONE, encoders=["pairs"]))["benchmarks"]
    monkeypatch.undo()
    use_town(monkeypatch, tmp_path)
    beside = run(tmp_path, "brighter", benchmarks=["users"], encoders=["pairs"], limit=None)
    assert summary_of(beside)["benchmarks"] == alone


@pytest.mark.usefixtures("no_captions")
def test_what_cannot_be_made_is_refused_before_notes_that_read_all_pairs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def notes(_self: Any) -> Any:
        raise AssertionError("splits are made")

    monkeypatch.setattr(people_world.Town, "notes", property(notes))
    monkeypatch.setattr(people_world.ToyPeople, "digest", property(notes))
    with pytest.raises(UsageError, match="no encoder is called 'pears'"):
        run(tmp_path, **ALONE, encoders=["pears"])
    with pytest.raises(UsageError, match="no generator is called 'nowhere'"):
        run(tmp_path, benchmarks=["users"])
    monkeypatch.setattr(people_world.Town, "baseline", "plain")
    with pytest.raises(MissingPrerequisite, match="captions are not here"):
        run(tmp_path, benchmarks=["users"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"models": []}, "benchmark personal draws with one"),
        ({"models": [], "benchmarks": []}, "no model is named"),
        ({"models": [], "benchmarks": ["users"]}, "no model is named"),
        ({"encoders": ["pairs"]}, "--encoder is for benchmark users, not for personal"),
    ],
)
def test_names_that_make_no_run_are_refused(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        run(tmp_path, **options)


def test_an_encoder_goes_by_the_name_it_is_registered_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def painter(_: Any) -> people_world.Painter:
        return people_world.Painter(
            "painter", people_world._by_embedding("other"), "other", "embeddings"
        )

    monkeypatch.setattr(people_world, "painter", painter, raising=False)
    monkeypatch.setitem(people_world.OWN["generators"], "painter", "painter")
    monkeypatch.setitem(people_world.OWN["encoders"], "other", "pair_encoder")
    found = summary_of(run(tmp_path, "painter", benchmarks=["users", "personal"], limit=2))
    assert set(found["benchmarks"]["users"]) == {"other"}
    assert found["benchmarks"]["personal"]["plain"]["all"]["win_rate"] > 0.95
    beside = summary_of(run(tmp_path, **ALONE, encoders=["pairs", "other"]))["benchmarks"]["users"]
    assert beside["pairs"] == beside["other"]


def test_a_group_lost_by_any_encoder_withholds_a_run_of_encoders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        people_world.PairEncoder, "encode", lambda _self, users: [None] * len(users)
    )
    with pytest.raises(TooManyFailures, match="have no embedding by pairs"):
        run(tmp_path, **ALONE, encoders=["ids", "pairs"])


def test_a_suite_without_people_refuses_encoders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people_world.Town, "people", None)
    for models in ([], ["plain"]):
        with pytest.raises(UsageError, match="town has no users"):
            run(tmp_path, models=models, benchmarks=[], encoders=["pairs"])


@pytest.fixture
def choosing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Users choose in held-out pairs, too."""
    users = people_world.ToyPeople.users
    monkeypatch.setattr(
        people_world.ToyPeople,
        "users",
        lambda self, split: [replace(u, choices=u.shots[1]) for u in users(self, split)],
    )


@pytest.mark.usefixtures("choosing")
def test_a_full_run_probes_each_encoder_once(tmp_path: Path) -> None:
    options: dict[str, Any] = {**ALONE, "encoders": ["pairs", "ids"], "full": True}
    folder = run(tmp_path, **options)
    found = summary_of(folder)["benchmarks"]["users"]
    assert "pairs" in write_report(folder).read_text()
    probe = found["pairs"]["probe"]
    assert (probe["n"], probe["n_users"], probe["n_missing"]) == (4 * 18, 18, 0)
    assert probe["accuracy"] > 0.9 > probe["shuffled"]
    assert (probe["ceiling"], probe["ceiling_true"]) == (0.8, 0.9)
    assert "reads who the user is" in found["ids"]["probe"]["reason"]
    fake_world.calls.clear()
    assert run(tmp_path, **options) == folder
    assert fake_world.calls == []
    # Stopped between two encoders, the other one is made, and the same figures come out.
    probes = json.loads((folder / "probes.json").read_bytes())
    del probes["probes"]["pairs"]
    (folder / "probes.json").write_text(json.dumps(probes))
    assert summary_of(run(tmp_path, **options))["benchmarks"]["users"] == found
    quick = summary_of(run(tmp_path, **{**options, "full": False}))["benchmarks"]["users"]
    assert "probe" not in quick["pairs"]
    (folder / "probes.json").write_text("{")
    with pytest.raises(PpdbenchError, match=r"probes.json is damaged"):
        run(tmp_path, **options)


@pytest.mark.usefixtures("choosing")
def test_where_nobody_knows_what_users_like_there_is_no_probe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people_world.ToyPeople, "truth", None)
    folder = run(tmp_path, **ALONE, encoders=["pairs"], full=True)
    assert "probe" not in summary_of(folder)["benchmarks"]["users"]["pairs"]
    assert not (folder / "probes.json").exists()
