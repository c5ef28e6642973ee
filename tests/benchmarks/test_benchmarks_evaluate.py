"""Whole runs of the toy world: what is drawn and measured, and when nothing is done anew."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import fake_world
import pytest
from recording import record_entry
from toy_runs import ITEMS, figures, items_of, run, summary_of, use_toy_world

from ppdbench.benchmarks import summary
from ppdbench.benchmarks.evaluate import evaluate
from ppdbench.data.plain_yaml import parse_yaml, write_yaml
from ppdbench.errors import (
    MissingPrerequisite,
    PpdbenchError,
    UsageError,
)
from ppdbench.runs.records import read_records

world = pytest.fixture(autouse=True)(use_toy_world)


def test_every_user_draws_every_caption_and_the_baseline_draws_it_once(tmp_path: Path) -> None:
    events = fake_world.Quiet()
    folder = run(tmp_path, events=events)
    assert folder.parent == tmp_path / "runs" / "toy"
    assert folder.name.startswith("tuned-")
    items = items_of(folder)
    assert len(items) == len(set(items)) == ITEMS
    assert "tuned/reward:red/test-003/0" in items
    assert "plain/-/test-003/0" in items
    seeds = {
        record["item"]: record["seed"] for record in read_records(folder / "generations.jsonl")
    }
    assert seeds["tuned/reward:red/test-003/0"] == seeds["plain/-/test-003/0"]
    assert events.stages["generate"] == [ITEMS, ITEMS]
    assert events.stages["measure"] == [ITEMS, ITEMS]
    assert json.loads((folder / "status.json").read_bytes())["state"] == "done"
    found = summary_of(folder)
    assert found["complete"] is True
    assert (found["n_ok"], found["n_expected"]) == (ITEMS, ITEMS)
    assert set(found["seconds"]) == {"generate", "load scorers", "measure", "summarise"}


def test_the_figures_are_those_of_the_images(tmp_path: Path) -> None:
    folder = run(tmp_path, "tuned", "other", "only-red")
    scores: dict[tuple[str, str], Any] = {
        (record["item"], record["scorer"]): record.get("score")
        for record in read_records(folder / "scores.jsonl")
    }
    captions = [f"test-{n:03}" for n in range(fake_world.CAPTIONS)]
    ours = [scores[f"tuned/reward:red/{c}/0", "reward:red"] for c in captions]
    base = [scores[f"plain/-/{c}/0", "reward:red"] for c in captions]
    best = [scores[f"only-red/-/{c}/0", "reward:red"] for c in captions]
    wins = sum((a > b) + 0.5 * (a == b) for a, b in zip(ours, base, strict=True))
    found = summary_of(folder)["benchmarks"]
    cell = found["rewards"]["plain"]["red"]
    assert cell["mean"] == pytest.approx(sum(ours) / 12)
    assert cell["opponent_mean"] == pytest.approx(sum(base) / 12)
    for key, scores_ in (("mean", ours), ("opponent_mean", base)):
        half = 1.96 * statistics.stdev(scores_) / 12**0.5
        assert cell[f"{key}_ci_low"] == pytest.approx(cell[key] - half, abs=half / 2)
        assert cell[f"{key}_ci_high"] == pytest.approx(cell[key] + half, abs=half / 2)
    assert cell["win_rate"] == pytest.approx(wins / 12)
    assert cell["ci_low"] <= cell["win_rate"] <= cell["ci_high"]
    assert cell["p_value"] <= cell["p_holm"] <= 2 * cell["p_value"]
    assert (cell["n"], cell["n_expected"], cell["source"]) == (12, 12, "fresh")
    assert list(found["rewards"]) == ["plain", "other", "only-red"]
    # The toy's gold scorers measure the same channel, so nothing of a gain is lost.
    assert found["rewards_gold"]["plain"]["red"]["win_rate"] == cell["win_rate"]
    assert found["gold_gain"]["red"]["kept"] == pytest.approx(1.0)
    gain = found["gain"]["red"]
    assert gain["gain"] == pytest.approx(sum(ours) / 12 - sum(base) / 12)
    assert gain["upper_bound_gain"] == pytest.approx(sum(best) / 12 - sum(base) / 12)
    assert gain["ratio"] == pytest.approx(gain["gain"] / gain["upper_bound_gain"])
    assert gain["ci_low"] < gain["ratio"] < gain["ci_high"]
    assert found["gain"]["green"]["ratio"] is None
    assert "upper bound" in found["gain"]["green"]["reason"]
    # The user who cares for red wins on red, and not on green.
    assert found["matrix"]["red"]["red"]["win_rate"] == cell["win_rate"]
    assert found["matrix"]["red"]["red"]["win_rate"] > found["matrix"]["green"]["red"]["win_rate"]


def test_fidelity_is_paired_with_the_baseline(tmp_path: Path) -> None:
    found = summary_of(run(tmp_path))["benchmarks"]
    ours, base = (found["caption_fidelity"][name]["all"] for name in ("tuned", "plain"))
    assert (ours["n"], base["n"]) == (24, 12)
    difference = found["caption_fidelity_difference"]["all"]
    assert difference["difference"] == pytest.approx(ours["rate"] - base["rate"])
    assert difference["n"] == 24


def test_a_suite_without_a_classifier_has_no_fidelity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fake_world, "classifies", False)
    folder = run(tmp_path)
    assert summary_of(folder)["complete"] is True
    assert "caption_fidelity" not in summary_of(folder)["benchmarks"]
    fake_world.calls.clear()
    run(tmp_path)
    assert fake_world.calls == []


def test_the_same_command_again_loads_and_changes_nothing(tmp_path: Path) -> None:
    folder = run(tmp_path)
    before = {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}
    fake_world.calls.clear()
    assert run(tmp_path, batch_size=3) == folder  # the batch size changes no result
    assert fake_world.calls == []
    after = {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}
    before.pop("status.json"), after.pop("status.json")
    assert after == before


def test_the_batch_size_changes_no_figure(tmp_path: Path) -> None:
    assert figures(run(tmp_path / "a", batch_size=64)) == figures(run(tmp_path / "b", batch_size=1))


def test_another_list_of_opponents_is_another_summary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert list(summary_of(run(tmp_path))["benchmarks"]["rewards"]) == ["plain", "other"]
    monkeypatch.setattr(fake_world.ToySuite, "opponents", ("plain",))
    monkeypatch.setattr(fake_world.ToySuite, "upper_bounds", {"green": "other"})
    found = summary_of(run(tmp_path))["benchmarks"]
    assert list(found["rewards"]) == ["plain"]


def test_importing_the_job_brings_neither_torch_nor_scipy() -> None:
    code = (
        "import sys; import ppdbench.benchmarks.evaluate;"
        "print({'torch', 'scipy', 'pandas', 'matplotlib'} & set(sys.modules))"
    )
    found = os.pathsep.join(path or "." for path in sys.path)
    output = subprocess.check_output(
        [sys.executable, "-c", code], text=True, env={**os.environ, "PYTHONPATH": found}
    )
    assert output.strip() == "set()"


def test_another_scorer_never_meets_old_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run(tmp_path)
    init = fake_world.ToyReward.__init__

    def changed(self: Any, spec: Any) -> None:
        init(self, spec)
        if spec.name == "green":
            self.info = type(self.info)(
                name="green", kind="green", checkpoint_sha256="b" * 64, preprocess="mean"
            )

    monkeypatch.setattr(fake_world.ToyReward, "__init__", changed)
    (folder / "scorers.json").unlink()  # as a new version of ppdbench would disregard it
    fake_world.calls.clear()
    run(tmp_path)
    assert not [call for call in fake_world.calls if "draws" in call]
    records = read_records(folder / "scores.jsonl")
    assert sum(record["scorer"] == "reward:green" for record in records) == 2 * ITEMS
    assert sum(record["scorer"] == "reward:red" for record in records) == ITEMS
    assert summary_of(folder)["rewards"]["green"]["checkpoint_sha256"] == "b" * 64


def test_recorded_rows_stand_in_for_what_is_not_drawn(tmp_path: Path) -> None:
    fresh = run(tmp_path, "tuned", "other", "only-red")
    alone = run(tmp_path)
    cell = summary_of(alone)["benchmarks"]["rewards"]["other"]["red"]
    assert cell["win_rate"] is None
    assert "--model other" in cell["reason"]
    for name in ("other", "only-red"):
        record_entry(fresh, name, tmp_path / "leaderboards" / "toy")
    fake_world.calls.clear()
    run(tmp_path)
    assert fake_world.calls == []
    found, expected = summary_of(alone), summary_of(fresh)
    for name in ("rewards", "rewards_gold"):
        cell = found["benchmarks"][name]["other"]["red"]
        assert cell.pop("source") == "recorded"
        assert expected["benchmarks"][name]["other"]["red"] == {**cell, "source": "fresh"}
    assert found["benchmarks"]["gain"] == expected["benchmarks"]["gain"]
    assert found["generators"]["other"]["source"] == "recorded"
    assert found["benchmarks"]["caption_fidelity"]["other"]["all"]["n"] == 12
    part = summary_of(run(tmp_path, limit=5))
    assert part["benchmarks"]["rewards"]["other"]["red"]["n"] == 5
    assert part["generators"]["other"]["n_expected"] == 5


def test_recorded_seeds_of_the_model_give_its_rates_a_spread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fake_world, "settings", {"training": {"seed": 0, "steps": 9}})
    folder = run(tmp_path)
    assert summary_of(folder)["benchmarks"]["training_seeds"]["tuned"]["seeds"] == [0]
    recorded = record_entry(folder, "tuned", tmp_path / "leaderboards" / "toy")
    entry = parse_yaml((recorded / "entry.yaml").read_bytes())
    entry["name"] = "tuned-seed-4"
    entry["generator"]["settings"]["training"]["seed"] = 4
    (recorded / "entry.yaml").write_text(write_yaml(entry))
    found = summary_of(run(tmp_path))["benchmarks"]
    spread = found["training_seeds"]["tuned"]
    rate = found["rewards"]["plain"]["red"]["win_rate"]
    assert spread["seeds"] == [0, 4]
    assert spread["win_rate"]["red"] == {"mean": rate, "min": rate, "max": rate, "n": 12}
    assert found["rewards"]["plain"]["red"]["n_trainings"] == {"model": 2, "opponent": 1}
    assert found["rewards_gold"]["plain"]["red"]["n_trainings"] == {"model": 2, "opponent": 1}
    entry["generator"]["settings"]["training"]["steps"] = 8
    (recorded / "entry.yaml").write_text(write_yaml(entry))
    found = summary_of(run(tmp_path))["benchmarks"]
    assert found["training_seeds"]["tuned"]["seeds"] == [0]


def test_recorded_rows_of_another_baseline_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = run(tmp_path, "tuned", "other")
    record_entry(fresh, "other", tmp_path / "leaderboards" / "toy")
    events = fake_world.Quiet()
    assert "other" in summary_of(run(tmp_path, events=events))["generators"]
    assert events.notes == []
    monkeypatch.setattr(fake_world, "revision", "2")  # the base was trained anew
    found = summary_of(run(tmp_path, events=events))
    assert "other" not in found["generators"]
    assert found["benchmarks"]["rewards"]["other"]["red"]["mean_ci_low"] is None
    assert "other is left out" in events.notes[0] and "another baseline" in events.notes[0]


def test_other_formulas_are_another_summary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run(tmp_path)
    before = summary_of(folder)["inputs"]
    monkeypatch.setattr(summary, "SUMMARY_VERSION", summary.SUMMARY_VERSION + 1)
    run(tmp_path)
    assert summary_of(folder)["inputs"] != before


@pytest.mark.parametrize("what", ["other", "load_reward"])
def test_a_plugin_that_needs_a_module_says_which(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    def needy(*_: Any) -> None:
        raise ModuleNotFoundError("No module named 'painting'", name="painting")

    monkeypatch.setattr(fake_world, what, needy)
    with pytest.raises(MissingPrerequisite, match="needs the module 'painting'") as caught:
        run(tmp_path, "other")
    assert caught.value.fix.startswith("install painting")


def test_the_baseline_can_be_measured_itself(tmp_path: Path) -> None:
    found = summary_of(run(tmp_path, "plain", "other"))
    assert found["n_expected"] == 2 * fake_world.CAPTIONS
    assert list(found["benchmarks"]["rewards"]) == ["other"]
    assert "matrix" not in found["benchmarks"]


def test_a_generator_by_module_runs_under_its_own_name(tmp_path: Path) -> None:
    folder = run(tmp_path, "fake_world:tuned")
    assert folder.name.startswith("tuned-")
    assert folder == run(tmp_path)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"models": ["tunned"]}, UsageError),
        ({"models": []}, UsageError),
        ({"models": ["without-weights"]}, MissingPrerequisite),
        ({"suite": "shape"}, UsageError),
        ({"benchmarks": ["reward"]}, UsageError),
        ({"limit": 0}, UsageError),
        ({"fail_on_error": 1.5}, UsageError),
        ({"device": "gpu"}, UsageError),
    ],
    ids=str,
)
def test_a_wrong_call_makes_no_run(
    tmp_path: Path, options: dict[str, Any], error: type[PpdbenchError]
) -> None:
    options = {"models": ["tuned"], "suite": "toy", "device": "cpu", **options}
    with pytest.raises(error):
        evaluate(options.pop("models"), runs=tmp_path, events=fake_world.Quiet(), **options)
    assert list(tmp_path.iterdir()) == []
