"""Recorded pictures for people: as good as fresh ones, or left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fake_world
import people_world
import pytest
from recording import record_entry
from town_runs import FEW, run, use_town
from toy_runs import summary_of

from ppdbench.data.plain_yaml import parse_yaml, write_yaml
from ppdbench.errors import PpdbenchError

world = pytest.fixture(autouse=True)(use_town)


def test_a_recorded_opponent_equals_the_fresh_one(tmp_path: Path) -> None:
    fresh = run(tmp_path, "embedder", "brighter", limit=None)
    cell = summary_of(run(tmp_path, limit=None))["benchmarks"]["personal"]["brighter"]["all"]
    assert cell["win_rate"] is None and "--model brighter" in cell["reason"]
    record_entry(fresh, "brighter", tmp_path / "leaderboards" / "town")
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
    monkeypatch.setattr(people_world.ToyPeople, "opponents", ("plain", "oracle"))
    fresh = run(tmp_path, "oracle", limit=None, benchmarks=["personal", "rewards"])
    entry = record_entry(fresh, "oracle", tmp_path / "leaderboards" / "town")
    lines = [json.loads(line) for line in (entry / "scores.jsonl").read_text().splitlines()]
    arms = {line.get("arm") for line in lines}
    assert arms == {None, "own", "shuffled", "nobody"}  # nothing of the matrix
    found = summary_of(run(tmp_path, limit=None))
    cell = found["benchmarks"]["personal"]["oracle"]["all"]
    assert cell["n"] == 52 and abs(cell["utility_gain"]) < 3  # both draw by the user's shots
    both = summary_of(run(tmp_path, "embedder", "oracle", limit=None))
    other = both["benchmarks"]["personal"]["oracle"]["all"]
    assert {**other, "source": "recorded"} == cell


def test_each_benchmark_has_opponents_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both: dict[str, Any] = {"benchmarks": ["rewards", "personal"], "limit": None}
    entries = tmp_path / "leaderboards" / "town"
    for name in ("brighter", "ider", "oracle"):
        record_entry(run(tmp_path, name, **both), name, entries)
    people = ("plain", "ider", "embedder", "absent")
    monkeypatch.setattr(people_world.ToyPeople, "opponents", people)
    found = summary_of(run(tmp_path, **both))["benchmarks"]
    assert list(found["rewards"]) == ["plain", "brighter"]
    assert list(found["personal"]) == ["plain", "ider", "absent"]
    ider = found["personal"]["ider"]
    assert ider["seen"]["source"] == "recorded" and ider["seen"]["win_rate"] is not None
    assert ider["unseen"]["reason"] == ider["all"]["reason"] == "ider cannot serve unseen users"
    absent = found["personal"]["absent"]["all"]
    assert absent["win_rate"] is None and "--model absent" in absent["reason"]
    # The people's opponents are named in the summary's inputs.
    monkeypatch.setattr(people_world.ToyPeople, "opponents", people[:2])
    assert list(summary_of(run(tmp_path, **both))["benchmarks"]["personal"]) == ["plain", "ider"]


@pytest.mark.parametrize("what", ["people", "truth"])
def test_recorded_pictures_for_other_people_are_left_out_and_rewards_stay(
    tmp_path: Path, what: str
) -> None:
    both: dict[str, Any] = {"benchmarks": ["rewards", "personal"], "limit": None}
    fresh = run(tmp_path, "embedder", "brighter", **both)
    entry = record_entry(fresh, "brighter", tmp_path / "leaderboards" / "town")
    about = parse_yaml((entry / "entry.yaml").read_bytes())
    if what == "people":
        about["people"] = "x"
    else:
        about["scorers"]["truth"] = "x"
    (entry / "entry.yaml").write_text(write_yaml(about))
    events = fake_world.Quiet()
    found = summary_of(run(tmp_path, events=events, **both))["benchmarks"]
    assert found["rewards"]["brighter"]["red"]["n"] == fake_world.CAPTIONS
    assert found["personal"]["brighter"]["all"]["win_rate"] is None
    (note,) = [note for note in events.notes if "brighter" in note]
    assert "its pictures for people are left out" in note


def test_an_entry_without_pictures_for_people_counts_for_rewards(tmp_path: Path) -> None:
    fresh = run(tmp_path, "embedder", "brighter", benchmarks=["rewards"], limit=None)
    record_entry(fresh, "brighter", tmp_path / "leaderboards" / "town")
    events = fake_world.Quiet()
    found = summary_of(
        run(tmp_path, benchmarks=["rewards", "personal"], limit=None, events=events)
    )["benchmarks"]
    assert events.notes == []
    assert found["rewards"]["brighter"]["red"]["n"] == fake_world.CAPTIONS
    assert found["personal"]["brighter"]["all"]["n"] == 0


def test_a_run_that_drew_nothing_is_no_entry(tmp_path: Path) -> None:
    folder = run(tmp_path, benchmarks=["users"], limit=None)
    with pytest.raises(PpdbenchError, match="embedder drew nothing"):
        record_entry(folder, "embedder", tmp_path / "leaderboards" / "town")
