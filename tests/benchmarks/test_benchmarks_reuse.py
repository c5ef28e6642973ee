"""Pictures are taken over from runs beside this one exactly where they would be drawn the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import fake_world
import people_world
import pytest
from judged_town import FEW, judge, use_judges
from town_runs import run
from toy_runs import figures

from ppdbench.protocols import LoadContext
from ppdbench.runs.records import read_records

world = pytest.fixture(autouse=True)(use_judges)
MODEL, BASELINE = 4 * FEW, 2 * FEW
"""Pictures of a judged run: the model draws for the owner and for another, the baseline once."""


def drawn() -> dict[str, int]:
    """How many pictures each generator was asked for since the last look."""
    found: dict[str, int] = {}
    for call in fake_world.calls:
        name, draws, count = (*call.split(), "", "")[:3]
        if draws == "draws":
            found[name] = found.get(name, 0) + int(count)
    fake_world.calls.clear()
    return found


def records_of(folder: Path) -> dict[str, dict[str, Any]]:
    """By item."""
    return {record["item"]: record for record in read_records(folder / "generations.jsonl")}


def taken(folder: Path) -> dict[str, str]:
    """Item -> the folder that it was taken over from."""
    return {item: record["from"] for item, record in records_of(folder).items() if "from" in record}


def apart(tmp_path: Path, **options: Any) -> Path:
    """The same run with nothing beside it and nothing asked before."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PPDBENCH_CACHE", str(tmp_path / "apart" / "cache"))
        return judge(tmp_path / "apart", **options)


def check_as_if_drawn(folder: Path, tmp_path: Path, **options: Any) -> None:
    """Its figures and images are those of a run that drew everything itself."""
    alone = apart(tmp_path, **options)
    assert figures(folder) == figures(alone)
    ours, theirs = records_of(folder), records_of(alone)
    assert ours.keys() == theirs.keys()
    for item, record in ours.items():
        assert {k: v for k, v in record.items() if k != "from"} == theirs[item]
        name = f"images/{record['image']}.png"
        assert (folder / name).read_bytes() == (alone / name).read_bytes()


@pytest.mark.parametrize("model", ["oracle", "embedder"])
def test_a_second_judge_draws_nothing(tmp_path: Path, model: str) -> None:
    first = judge(tmp_path, model=model)
    assert drawn() == {model: MODEL, "plain": BASELINE} and taken(first) == {}
    events = fake_world.Quiet()
    second = judge(tmp_path, model=model, judge="blind", events=events)
    assert not any("draws" in call or "encodes" in call for call in fake_world.calls)
    assert second != first and drawn() == {}
    assert taken(second) == dict.fromkeys(records_of(first), first.name)
    assert events.notes == [f"{MODEL + BASELINE} pictures taken over from {first.name}"]
    check_as_if_drawn(second, tmp_path, model=model, judge="blind")


def test_the_same_run_again_takes_over_nothing_more(tmp_path: Path) -> None:
    judge(tmp_path)
    second = judge(tmp_path, judge="blind")
    before = (second / "generations.jsonl").read_bytes()
    events = fake_world.Quiet()
    assert judge(tmp_path, judge="blind", events=events) == second
    assert (second / "generations.jsonl").read_bytes() == before
    assert not any("taken over" in note for note in events.notes)


def test_what_eval_drew_for_people_is_taken_over(tmp_path: Path) -> None:
    """Same users, same captions, same noise; who was the control there need not be here."""
    beside = run(tmp_path, "oracle", limit=FEW)
    assert drawn()["oracle"] > MODEL
    folder = judge(tmp_path)
    assert drawn() == {}
    assert taken(folder) == dict.fromkeys(records_of(folder), beside.name)
    assert {record["benchmark"] for record in records_of(folder).values()} == {"judge"}
    check_as_if_drawn(folder, tmp_path)


def test_nothing_is_taken_over_from_a_benchmark_without_people(tmp_path: Path) -> None:
    run(tmp_path, "oracle", benchmarks=["rewards"], limit=FEW)
    drawn()
    assert taken(judge(tmp_path)) == {} and drawn() == {"oracle": MODEL, "plain": BASELINE}


def test_another_model_has_the_baselines_pictures(tmp_path: Path) -> None:
    judge(tmp_path)
    drawn()
    folder = judge(tmp_path, model="deaf")
    assert drawn() == {"deaf": MODEL}
    assert {item.split("/")[0] for item in taken(folder)} == {"plain"}


@pytest.mark.parametrize(
    ("before", "after", "own", "baseline"),
    [
        ({"limit": 3}, {}, 6, 6),
        ({}, {"limit": 3}, 6, 6),
        ({"split": "unseen"}, {}, FEW, FEW),
        ({}, {"split": "seen"}, FEW, FEW),
        ({"controls": False}, {}, 2 * FEW, 2 * FEW),
        ({}, {"full": True}, 2 * FEW, 2 * FEW),
        ({}, {"samples": 2}, 2 * FEW, 2 * FEW),
        ({}, {"judge_shots": "shared"}, 2 * FEW, 2 * FEW),
        ({"shots": 2}, {}, 0, 2 * FEW),
    ],
)
def test_runs_that_overlap_share_what_they_have_in_common(
    tmp_path: Path, before: Any, after: Any, own: int, baseline: int
) -> None:
    first = judge(tmp_path, **before)
    drawn()
    folder = judge(tmp_path, judge="blind", **after)
    asked, found = drawn(), records_of(folder)
    assert taken(folder) == dict.fromkeys(found.keys() & records_of(first).keys(), first.name)
    assert sum(asked.values()) == len(found) - len(taken(folder))
    arms = [found[item]["arm"] for item in taken(folder)]
    assert (arms.count("own"), arms.count("nobody")) == (own, baseline)
    check_as_if_drawn(folder, tmp_path, judge="blind", **after)


def test_several_runs_beside_it_give_what_each_has(tmp_path: Path) -> None:
    seen, unseen = judge(tmp_path, split="seen"), judge(tmp_path, split="unseen")
    drawn()
    folder = judge(tmp_path)
    assert drawn() == {}
    assert set(taken(folder).values()) == {seen.name, unseen.name}


def _version(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(people_world.Town, "version", "2")


def _people(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(people_world.ToyPeople, "digest", "9" * 64)


def _sampling(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(people_world.Town, "sampling", replace(people_world.Town.sampling, steps=2))


def _generators(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(fake_world, "revision", "2")


@pytest.mark.parametrize("change", [_version, _people, _sampling, _generators])
def test_nothing_is_taken_over_from_another_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[pytest.MonkeyPatch], None]
) -> None:
    judge(tmp_path)
    drawn()
    change(monkeypatch)
    folder = judge(tmp_path, judge="blind")
    assert drawn() == {"oracle": MODEL, "plain": BASELINE} and taken(folder) == {}


def test_only_who_was_changed_draws_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judge(tmp_path, model="embedder")
    drawn()
    encoder = people_world.PairEncoder.info
    monkeypatch.setattr(people_world.PairEncoder, "info", replace(encoder, revision="2"))
    assert set(taken(judge(tmp_path, model="embedder"))) == {
        f"plain/-/{split}-{number}-0/0"
        for split, first in (("seen", 1000), ("unseen", 1034))
        for number in range(first, first + FEW)
    }
    assert drawn() == {"embedder": MODEL}

    def revised(context: LoadContext) -> people_world.Painter:
        painter = people_world.embedder(context)
        painter.info = replace(painter.info, revision="2")
        return painter

    monkeypatch.setitem(people_world.OWN["generators"], "embedder", "people_world:revised")
    monkeypatch.setattr(people_world, "revised", revised, raising=False)
    judge(tmp_path, model="embedder")
    assert drawn() == {"embedder": MODEL}


def test_another_seed_is_another_picture(tmp_path: Path) -> None:
    first = judge(tmp_path)
    path = first / "generations.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[0]["seed"] += 1
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    drawn()
    judge(tmp_path, judge="blind")
    assert drawn() == {"oracle": 1}


def test_a_damaged_image_over_there_is_drawn_here(tmp_path: Path) -> None:
    first = judge(tmp_path)
    images = sorted((first / "images").iterdir())
    images[0].write_bytes(b"\x89PNG no more")
    images[1].unlink()
    cut = images[2].read_bytes()
    images[2].write_bytes(cut[: len(cut) // 2])
    drawn()
    folder = judge(tmp_path, judge="blind")
    assert sum(drawn().values()) == 3 == MODEL + BASELINE - len(taken(folder))
    check_as_if_drawn(folder, tmp_path, judge="blind")


def test_what_failed_over_there_is_drawn_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(requests: Any) -> None:
        if any(request.caption == "wish 1000 0" for request in requests):
            raise ValueError("not that one")

    with monkeypatch.context() as patch:
        patch.setattr(fake_world, "generate_error", fail)
        judge(tmp_path, fail_on_error=1.0)
    drawn()
    folder = judge(tmp_path, judge="blind")
    assert drawn() == {"oracle": 2, "plain": 1}
    check_as_if_drawn(folder, tmp_path, judge="blind")


RECORDS = "generations.jsonl"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (RECORDS, "{\n{}\n{}\n"),
        (RECORDS, '{"schema_version": 2, "item": "a"}\n'),
        (RECORDS, '{"schema_version": 1}\n'),
        (RECORDS, '{"schema_version": 1, "item": "oracle/user:1000/seen-1000-0/0"}\n'),
        (RECORDS, ""),
        ("spec.json", "{"),
        ("spec.json", "[]"),
        ("spec.json", '{"schema_version": 2}'),
    ],
)
def test_damaged_records_over_there_cost_only_drawing_here(
    tmp_path: Path, name: str, text: str
) -> None:
    first = judge(tmp_path)
    (first / name).write_text(text)
    drawn()
    folder = judge(tmp_path, judge="blind")
    assert drawn() == {"oracle": MODEL, "plain": BASELINE} and taken(folder) == {}
    assert (first / name).read_text() == text


def test_a_torn_line_over_there_costs_one_picture(tmp_path: Path) -> None:
    first = judge(tmp_path)
    path = first / RECORDS
    data = path.read_bytes()
    path.write_bytes(data[:-20])  # as while that run still draws
    drawn()
    judge(tmp_path, judge="blind")
    assert drawn() == {"plain": 1}
    assert path.read_bytes() == data[:-20]
