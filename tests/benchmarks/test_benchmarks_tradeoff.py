"""Benchmark tradeoff on the toy world: what is measured, resumed, refused and told."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import fake_world
import numpy as np
import pytest
from toy_runs import only_folder, summary_of, use_toy_world
from toy_runs import run as run_toy

from ppdbench import plugins
from ppdbench.benchmarks.evaluate import TooManyFailures
from ppdbench.benchmarks.tradeoff import diversity as tradeoff_diversity
from ppdbench.benchmarks.tradeoff.divergence import read_divergence
from ppdbench.benchmarks.tradeoff.plan import DIVERGENCE_SAMPLES, SAMPLES
from ppdbench.errors import PpdbenchError, UsageError
from ppdbench.protocols import GenerationRequest, LoadContext
from ppdbench.runs.images import ImageStore
from ppdbench.runs.records import read_records

ITEMS = fake_world.CAPTIONS * SAMPLES
"""Of one user."""


@pytest.fixture(autouse=True)
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    use_toy_world(monkeypatch, tmp_path)
    monkeypatch.setattr(fake_world, "embeds", True)
    yield


def run(tmp_path: Path, *models: str, **options: Any) -> Path:
    return run_toy(tmp_path, *(models or ["diverging"]), benchmarks=("tradeoff",), **options)


def tradeoff_of(folder: Path) -> Any:
    return summary_of(folder)["benchmarks"]["tradeoff"]


def points_of(folder: Path) -> dict[tuple[str, str | None], Any]:
    return {(p["row"], p["user"]): p for p in tradeoff_of(folder)["points"]}


# --- what is measured -----------------------------------------------------------------------------


def test_figures_are_those_of_records_by_a_slow_twin(tmp_path: Path) -> None:
    folder = run(tmp_path)
    found = tradeoff_of(folder)
    assert (found["captions"], found["samples"], found["unit"]) == (12, 8, "nats an image")
    assert found["reference"] == {"name": "plain", "revision": "1"}
    assert found["embedder"]["reward"] == "clip-gold"
    points = points_of(folder)
    assert list(points) == [("plain", None), ("diverging", "red"), ("diverging", "green")]

    drawn = {r["item"]: r for r in read_records(folder / "generations.jsonl")}
    store = ImageStore(folder / "images")
    means: dict[str, list[float]] = {
        item: np.asarray(store.get(r["image"]), float).mean((0, 1)).tolist()
        for item, r in drawn.items()
    }
    nats = {r["item"]: r["nats"] for r in read_records(folder / "divergence.jsonl")}
    assert len(nats) == 2 * fake_world.CAPTIONS * DIVERGENCE_SAMPLES

    def item(user: str | None, caption: int, sample: int) -> str:
        name = f"diverging/reward:{user}" if user else "plain/-"
        return f"tradeoff/{name}/test-{caption:03}/{sample}"

    def spread(user: str | None, caption: int) -> float:
        rows = [np.array(means[item(user, caption, n)]) for n in range(SAMPLES)]
        cosines = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in combinations(rows, 2)]
        return float(np.mean([1 - cosine for cosine in cosines]))

    places = [(c, n) for c in range(fake_world.CAPTIONS) for n in range(SAMPLES)]
    for user, channel in fake_world.CHANNELS.items():
        point = points["diverging", user]
        gains = [means[item(user, *p)][channel] - means[item(None, *p)][channel] for p in places]
        unit = np.std([means[item(None, *p)][channel] for p in places], ddof=1)
        (cell,) = point["rewards"].values()
        assert list(point["rewards"]) == [user]
        assert cell["gain"] == cell["gold_gain"] == pytest.approx(np.mean(gains) / unit)
        assert cell["gain_ci_low"] < cell["gain"] < cell["gain_ci_high"]
        assert (cell["n_captions"], cell["n_samples"]) == (12, 96)
        steps = [nats[item(user, c, n)] for c, n in places if n < DIVERGENCE_SAMPLES]
        assert point["by_step"] == pytest.approx(np.mean(steps, axis=0))
        assert point["divergence"] == pytest.approx(np.sum(steps) / len(steps))
        assert point["divergence_before_last"] == pytest.approx(
            np.mean([sum(each[:-1]) for each in steps])
        )
        assert point["divergence_ci_low"] < point["divergence"] < point["divergence_ci_high"]
        ours = [spread(user, c) for c in range(12)]
        theirs = [spread(None, c) for c in range(12)]
        assert point["diversity"] == pytest.approx(np.mean(ours), rel=1e-6)
        assert point["diversity_difference"] == pytest.approx(
            np.mean(ours) - np.mean(theirs), abs=1e-9
        )
        assert "reason" not in point
    base = points["plain", None]
    assert (base["divergence"], base["divergence_ci_low"], base["rewards"]) == (0.0, 0.0, {})
    assert base["diversity"] > 0 and base["diversity_difference"] is None


def test_a_finished_run_loads_and_changes_nothing(tmp_path: Path) -> None:
    folder = run(tmp_path)
    files = {path: path.read_bytes() for path in folder.glob("*.json*")}
    fake_world.calls.clear()
    assert run(tmp_path) == folder
    assert fake_world.calls == []
    changed = [path.name for path, data in files.items() if path.read_bytes() != data]
    assert set(changed) <= {"status.json"}


def test_batches_and_other_benchmarks_change_no_figure(tmp_path: Path) -> None:
    one, other = (tradeoff_of(run(tmp_path / str(size), batch_size=size)) for size in (3, 1000))
    assert one == other
    folder = run_toy(tmp_path / "both", "diverging", benchmarks=("rewards", "tradeoff"))
    assert tradeoff_of(folder) == one
    assert summary_of(folder)["benchmarks"]["rewards"]["plain"]["red"]["n"] == 12


def test_the_baseline_alone_has_its_point(tmp_path: Path) -> None:
    found = tradeoff_of(run(tmp_path, "plain"))
    assert [point["row"] for point in found["points"]] == ["plain"]
    assert found["matched"] == {axis: {"red": [], "green": []} for axis in found["matched"]}
    assert set(found["headline"]) == {"divergence", "divergence_before_last"}


# --- what cannot be measured ----------------------------------------------------------------------


def test_who_tells_no_divergence_is_measured_otherwise(tmp_path: Path) -> None:
    events = fake_world.Quiet()
    folder = run(tmp_path, "tuned", "other", events=events)
    points = points_of(folder)
    for row, user in (("tuned", "red"), ("other", None)):
        point = points[row, user]
        assert point["divergence"] is point["divergence_before_last"] is point["by_step"] is None
        assert point["divergence_ci_low"] is None
        assert point["reason"] == f"{row} does not tell its divergence"
        assert point["diversity"] is not None and point["rewards"]["red"]["gain"] > 0
    assert not (folder / "divergence.jsonl").exists()
    assert events.notes == []
    assert tradeoff_of(folder)["matched"]["divergence"] == {"red": [], "green": []}


def test_a_divergence_from_another_model_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fake_world, "reference", "0")
    events = fake_world.Quiet()
    point = points_of(run(tmp_path, events=events))["diverging", "red"]
    assert point["divergence"] is None and point["rewards"]["red"]["gain"] > 0
    assert "another model" in point["reason"] and "another model" in events.notes[0]
    assert not any("diverges" in call for call in fake_world.calls)


def spoil(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """What `diverging` says of caption 5 is no divergence, or it says too little."""
    tell = fake_world.DivergingGenerator.divergence

    def told(self: Any, requests: Sequence[GenerationRequest]) -> Any:
        found = [list(steps) for steps in tell(self, requests)]
        for place, request in enumerate(requests):
            if request.caption == "caption 5":
                if how == "raises":
                    raise RuntimeError("no path there")
                if how == "count":
                    return found[:-1]
                found[place] = {"nan": [0.1, float("nan")], "negative": [-1e-9], "empty": []}[how]
        return found

    monkeypatch.setattr(fake_world.DivergingGenerator, "divergence", told)


@pytest.mark.parametrize("how", ["nan", "negative", "empty", "count", "raises"])
def test_a_bad_divergence_is_no_zero_and_is_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    whole = tradeoff_of(run(tmp_path / "whole"))
    with monkeypatch.context() as patch:
        spoil(patch, how)
        folder = run(tmp_path)
    failed = [r for r in read_records(folder / "divergence.jsonl") if r["error"]]
    assert {record["item"].split("/")[-2] for record in failed} == {"test-005"}
    assert all(record["nats"] is None for record in failed)
    point = points_of(folder)["diverging", "red"]
    assert "4 divergences failed" in point["reason"]
    assert point["divergence"] is not None and point["divergence_ci_low"] is not None
    rest = [
        r["nats"]
        for r in read_records(folder / "divergence.jsonl")
        if "reward:red" in r["item"] and r["nats"]
    ]
    assert point["divergence"] == pytest.approx(np.sum(rest) / len(rest))
    assert point["rewards"]["red"]["n_captions"] == 12
    assert summary_of(folder)["complete"] is True
    run(tmp_path)
    assert tradeoff_of(folder) == whole


def test_a_batch_that_fails_is_asked_for_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tradeoff_of(run(tmp_path / "whole"))

    def crowded(requests: Sequence[GenerationRequest]) -> None:
        if len(requests) > 1:
            raise MemoryError("too many at once")

    monkeypatch.setattr(fake_world, "diverge_error", crowded)
    assert tradeoff_of(run(tmp_path)) == whole


def test_an_error_with_a_fix_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Sequence[GenerationRequest]) -> None:
        raise PpdbenchError("no weights", fix="train them")

    monkeypatch.setattr(fake_world, "diverge_error", broken)
    with pytest.raises(PpdbenchError, match="no weights"):
        run(tmp_path)


def test_who_knows_the_sum_alone_has_no_divergence_before_the_last_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell = fake_world.DivergingGenerator.divergence
    monkeypatch.setattr(
        fake_world.DivergingGenerator,
        "divergence",
        lambda self, requests: [[sum(steps)] for steps in tell(self, requests)],
    )
    point = points_of(run(tmp_path))["diverging", "red"]
    assert point["divergence"] > 0 and len(point["by_step"]) == 1
    assert point["divergence_before_last"] is None
    assert "as a sum, not step by step" in point["reason"]


def test_a_suite_without_a_clip_has_no_diversity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fake_world, "embeds", False)
    folder = run(tmp_path)
    found = tradeoff_of(folder)
    assert found["embedder"]["reward"] is None and "kind clip" in found["embedder"]["reason"]
    point = points_of(folder)["diverging", "red"]
    assert point["diversity"] is point["diversity_difference"] is None
    assert "kind clip" in point["reason"] and point["divergence"] is not None
    assert not (folder / "diversity.jsonl").exists()


def test_a_clip_without_embeddings_gives_no_diversity_and_is_asked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fake_world, "load_tower_reward", fake_world.load_reward)
    folder = run(tmp_path)
    assert "gives no embeddings" in points_of(folder)["diverging", "red"]["reason"]
    fake_world.calls.clear()
    run(tmp_path)
    assert fake_world.calls == []


def test_an_embedding_that_fails_costs_its_caption_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tradeoff_of(run(tmp_path / "whole"))
    spread = tradeoff_diversity.mean_distance
    first: list[float] = []

    def failing(embeddings: Any) -> float:
        first.append(embeddings.sum())
        if embeddings.sum() == first[0]:
            raise RuntimeError("cannot see")
        return spread(embeddings)

    with monkeypatch.context() as patch:
        patch.setattr(tradeoff_diversity, "mean_distance", failing)
        folder = run(tmp_path, batch_size=1000)
    errors = [r for r in read_records(folder / "diversity.jsonl") if r.get("error")]
    assert [record["distance"] for record in errors] == [None]
    assert "cannot see" in errors[0]["error"]
    assert points_of(folder)["diverging", "red"]["diversity"] is not None
    run(tmp_path)
    assert tradeoff_of(folder) == whole


def test_what_has_no_interval_or_no_baseline_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = points_of(run(tmp_path / "one", limit=1))["diverging", "red"]
    assert one["divergence"] is not None and one["divergence_ci_low"] is None
    assert one["reason"] == "one cluster only: its spread cannot be known"

    def broken(requests: Sequence[GenerationRequest]) -> None:
        if any("/plain/" in request.id for request in requests):
            raise RuntimeError("no baseline")

    monkeypatch.setattr(fake_world, "generate_error", broken)
    alone = points_of(run(tmp_path, fail_on_error=1.0))["diverging", "red"]
    assert alone["diversity"] is not None and alone["diversity_difference"] is None
    assert "the baseline's is not known" in alone["reason"]


def test_pictures_that_fail_withhold_everything_or_cost_their_caption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(requests: Sequence[GenerationRequest]) -> None:
        if any(request.id == "tradeoff/diverging/reward:red/test-002/3" for request in requests):
            raise RuntimeError("no such colour")

    monkeypatch.setattr(fake_world, "generate_error", broken)
    with pytest.raises(TooManyFailures):
        run(tmp_path)
    found = tradeoff_of(only_folder(tmp_path))
    assert "1 of 288" in found["reason"]
    assert found["matched"] == found["matched_theirs"] == found["headline"] == {}
    assert all(point["divergence"] is point["diversity"] is None for point in found["points"])
    assert all(point["rewards"] == {} for point in found["points"])
    point = points_of(run(tmp_path, fail_on_error=0.1))["diverging", "red"]
    assert (point["n_captions"], point["n_captions_expected"]) == (11, 12)
    assert point["rewards"]["red"]["n_samples"] == 88


def test_a_distance_is_0_of_what_is_alike_and_2_of_opposites() -> None:
    distance = tradeoff_diversity.mean_distance
    assert distance(np.array([[1.0, 2.0], [2.0, 4.0]])) == pytest.approx(0, abs=1e-12)
    assert distance(np.array([[1.0, 0.0], [0.0, 3.0]])) == pytest.approx(1)
    assert distance(np.array([[1.0, 0.0], [-2.0, 0.0]])) == pytest.approx(2)
    assert distance(np.array([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])) == pytest.approx(4 / 3)


def test_a_divergence_on_record_is_of_one_reference(tmp_path: Path) -> None:
    folder = run(tmp_path)
    known = read_divergence(folder, fake_world.reference)
    assert len(known) == 2 * fake_world.CAPTIONS * DIVERGENCE_SAMPLES
    assert read_divergence(folder, "another") == {}


# --- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["divergence.jsonl", "diversity.jsonl"])
def test_a_torn_tail_is_measured_again(tmp_path: Path, name: str) -> None:
    folder = run(tmp_path)
    whole, data = tradeoff_of(folder), (folder / name).read_bytes()
    (folder / name).write_bytes(data[:-40])
    run(tmp_path)
    assert tradeoff_of(folder) == whole
    assert sorted((folder / name).read_text().splitlines()) == sorted(data.decode().splitlines())


def test_damage_further_up_is_an_error(tmp_path: Path) -> None:
    folder = run(tmp_path)
    lines = (folder / "divergence.jsonl").read_text().splitlines()
    (folder / "divergence.jsonl").write_text("\n".join(["{", *lines[1:]]) + "\n")
    with pytest.raises(PpdbenchError, match="line 1, is not a record"):
        run(tmp_path)


def test_an_image_drawn_anew_is_compared_anew(tmp_path: Path) -> None:
    """Diversity is by the pictures' own hashes: an old number never meets a new picture."""
    folder = run(tmp_path)
    before = points_of(folder)["diverging", "red"]["diversity"]
    lines = (folder / "generations.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    one, other = (
        next(r for r in records if r["item"] == f"tradeoff/diverging/reward:red/test-00{n}/0")
        for n in (1, 2)
    )
    one["image"], other["image"] = other["image"], one["image"]
    (folder / "generations.jsonl").write_text(
        "".join(json.dumps(record) + "\n" for record in records)
    )
    run(tmp_path)
    assert points_of(folder)["diverging", "red"]["diversity"] != before


# --- methods at matched divergence ----------------------------------------------------------------


def test_curves_are_read_off_where_they_have_diverged_alike(tmp_path: Path) -> None:
    """Divergence grows evenly with the step here, so step 15 lies midway between 10 and 20."""
    models = ("at:15", "at:10/1", "at:20/1")
    folder = run(tmp_path, *models)
    found, points = tradeoff_of(folder), points_of(folder)
    assert [point["row"] for point in found["points"][1::2]] == [
        "at-15",
        "at-10-seed-1",
        "at-20-seed-1",
    ]
    assert found["curves"] == {
        "push, beta 2": {
            "method": "push",
            "labels": None,
            "beta": 2.0,
            "seed": 0,
            "over": "steps",
            "users": True,
            "steps": [15],
        },
        "push, beta 2, seed 1": {
            "method": "push",
            "labels": None,
            "beta": 2.0,
            "seed": 1,
            "over": "steps",
            "users": True,
            "steps": [10, 20],
        },
    }
    for axis in ("divergence", "divergence_before_last"):
        (entry,) = found["matched"][axis]["red"]
        assert (entry["row"], entry["user"]) == ("at-15", "red")
        assert entry[axis] == points["at-15", "red"][axis]
        (other,) = entry["others"]
        assert other["between"] == ["at-10-seed-1", "at-20-seed-1"]
        low, high = (points[row, "red"]["rewards"]["red"]["gain"] for row in other["between"])
        assert other["gain"] == pytest.approx((low + high) / 2)
        assert other["gain_ci_low"] < other["gain"] < other["gain_ci_high"]
        assert other["gain_difference"] == pytest.approx(entry["gain"] - other["gain"])
        assert other["n_captions"] == 12
    assert found["headline"]["divergence"]["red"]["others"] == []  # another seed is no rival


def test_a_run_of_a_module_is_held_against_recorded_curves_too(tmp_path: Path) -> None:
    """A generator given by module keeps its own name, and may tell a divergence as any other."""
    folder = run(tmp_path, "fake_world:diverging")
    assert ("diverging", "red") in points_of(folder)


# --- generators with an argument ------------------------------------------------------------------


def test_what_follows_the_colon_of_a_registered_name_is_its_argument(tmp_path: Path) -> None:
    assert ("at-10", "red") in points_of(run(tmp_path, "at:10"))
    with pytest.raises(UsageError, match="'plain' takes no argument"):
        run(tmp_path, "plain:nothing")
    with pytest.raises(UsageError, match="have one name in records"):
        run(tmp_path, "at:10", "at:10")  # named twice is once
        run(tmp_path, "diverging", "at:30")


def test_a_factory_is_told_its_argument() -> None:
    context = LoadContext(suite=fake_world.ToySuite(), device="cpu")
    assert context.argument == ""
    assert plugins.names("generators").count("at") == 1
