"""Benchmark `users` in whole runs: once, beside the others, withheld, left out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fake_world
import people_world
import pytest
from town_runs import run, use_town
from toy_runs import summary_of

from ppdbench.benchmarks.evaluate import TooManyFailures
from ppdbench.errors import MissingPrerequisite

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
    assert events.notes == ["left out: users, for no pairs, topics: True"]
