"""Benchmark `interpolation`: the simplex, what is drawn, what is found on models we know."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import fake_world
import numpy as np
import pytest
from scipy import stats
from toy_runs import run, summary_of, use_toy_world

from ppdbench.benchmarks.interpolation.plan import interpolation, plan_interpolation
from ppdbench.benchmarks.interpolation.simplex import Simplex, edge_name
from ppdbench.errors import UsageError
from ppdbench.protocols import Caption, GeneratorInfo
from ppdbench.runs.records import read_records

ALONE = {"benchmarks": ("interpolation",)}


@pytest.fixture(autouse=True)
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use_toy_world(monkeypatch, tmp_path)


def cells(folder: Path, part: str = "interpolation") -> Any:
    return summary_of(folder)["benchmarks"][part]["red+green"]


@pytest.mark.parametrize(("rewards", "step"), [(2, 0.5), (3, 0.25), (3, 0.1), (4, 0.2)])
def test_the_simplex_has_every_mixture_once(rewards: int, step: float) -> None:
    simplex = Simplex.of([f"r{n}" for n in range(rewards)], step)
    weights = [point.reward_weights or {} for point in simplex.points]
    assert len(weights) == math.comb(round(1 / step) + rewards - 1, rewards - 1)
    assert len({point.id for point in simplex.points}) == len(weights)
    for mixture in weights:
        assert sum(mixture.values()) == pytest.approx(1)
        assert all(abs(w / step - round(w / step)) < 1e-6 and w >= 0 for w in mixture.values())


def test_an_edge_mixes_two_rewards_and_is_walked_both_ways() -> None:
    simplex = Simplex.of(["a", "b", "c"], 0.25)
    assert simplex.edges == [("a", "b"), ("a", "c"), ("b", "c")]
    by_id = {point.id: point.reward_weights or {} for point in simplex.points}
    for edge in simplex.edges:
        up, down = (simplex.path(edge, reward) for reward in edge)
        assert up == down[::-1]
        assert [by_id[place][edge[0]] for place in up] == [0, 0.25, 0.5, 0.75, 1]
        assert all(by_id[place][edge[0]] + by_id[place][edge[1]] == 1 for place in up)
    assert edge_name(("a", "b")) == "a+b"


@pytest.mark.parametrize("step", [0.0, -0.5, 0.3, 1.0, 2.0, float("nan"), float("inf")])
def test_a_step_that_does_not_divide_is_refused(step: float) -> None:
    with pytest.raises(UsageError, match="weight step"):
        Simplex.of(["a", "b"], step)


def test_captions_are_taken_in_turn_and_noise_is_the_same_at_every_weight() -> None:
    captions = [
        Caption(id=f"{kind}-{n}", text=f"{kind} {n}", category=kind)
        for kind in ("x", "y", "z")
        for n in range(60)
    ]
    suite = fake_world.ToySuite()
    some = interpolation(suite, captions, step=0.25, samples=1, full=False)
    assert len(some.captions) == 96
    assert {k: sum(c.category == k for c in some.captions) for k in "xyz"} == dict.fromkeys(
        "xyz", 32
    )
    assert len(interpolation(suite, captions, step=0.25, samples=1, full=True).captions) == 180
    hears = GeneratorInfo(
        name="m", version="", revision="", licence="", conditions_on=frozenset({"reward_weights"})
    )
    items = plan_interpolation(suite, "m", hears, some)
    assert len(items) == 5 * 96 * 2 and len({item.id for item in items}) == len(items)
    seeds = {(i.caption.id, i.sample): set[int]() for i in items}
    for item in items:
        seeds[item.caption.id, item.sample].add(item.seed)
    assert all(len(own) == 1 for own in seeds.values())
    assert len(set.union(*seeds.values())) == 96 * 2


def test_a_model_that_listens_is_found(tmp_path: Path) -> None:
    folder = run(tmp_path, **ALONE)
    found = cells(folder)
    for reward in ("red", "green"):
        assert found[reward]["median_spearman"] >= 0.9
        assert found[reward]["p_holm"] < 1e-6
        assert found[reward]["corner_win_rate_ci_low"] > 0.7
        assert found[reward]["endpoint_gain"] > 1
        assert found[reward]["n"] == found[reward]["n_expected"] == fake_world.CAPTIONS
    drawn = {record["item"] for record in read_records(folder / "generations.jsonl")}
    assert len(drawn) == (5 + 1) * 2 * fake_world.CAPTIONS
    controls = summary_of(folder)["benchmarks"]["interpolation_controls"]
    for reward in ("red", "green"):
        permuted = controls["permuted"]["red+green"][reward]
        assert permuted["ci_low"] <= 0 <= permuted["ci_high"]
        assert permuted["ci_high"] - permuted["ci_low"] < 0.5
        assert permuted["corner_win_rate"] == pytest.approx(0.5, abs=0.1)  # of ends in random order
        assert permuted["violations"] == pytest.approx(0.5, abs=0.1)
        assert permuted["p_value"] > 1e-3
        base = controls["base"]["red+green"][reward]
        assert base["median_spearman"] == 0 and base["corner_win_rate"] == 0.5
        assert base["violations"] == 0 and base["p_value"] > 0.4
    gold = summary_of(folder)["benchmarks"]["interpolation_gold"]["red+green"]
    assert gold["red"]["median_spearman"] == found["red"]["median_spearman"]


def test_the_figures_are_those_of_the_records(tmp_path: Path) -> None:
    """A slow twin: from records alone, by scipy, without any of the benchmark's own code."""
    folder = run(tmp_path, **ALONE)
    image_of = {r["item"]: r["image"] for r in read_records(folder / "generations.jsonl")}
    score = {
        r["item"]: r["score"]
        for r in read_records(folder / "scores.jsonl")
        if r["scorer"] == "reward:green" and image_of[r["item"]] == r["image"]
    }
    names = ["weights:red=1", *(f"weights:red={1 - w},green={w}" for w in (0.25, 0.5, 0.75))]
    names.append("weights:green=1")
    captions = [f"test-{n:03}" for n in range(fake_world.CAPTIONS)]
    means = np.array(
        [
            [
                np.mean([score[f"interpolation/tuned/{name}/{c}/{k}"] for k in range(2)])
                for name in names
            ]
            for c in captions
        ]
    )
    found = cells(folder)["green"]
    spearman = [stats.spearmanr(row, range(5)).statistic for row in means]
    assert found["median_spearman"] == pytest.approx(np.median(spearman))
    assert found["mean_spearman"] == pytest.approx(np.mean(spearman))
    page = stats.page_trend_test(means)
    assert found["page_l"] == page.statistic and found["p_value"] == pytest.approx(page.pvalue)
    assert found["violations"] == pytest.approx(np.mean(np.diff(means, axis=1) < 0))
    ends = [
        tuple(score[f"interpolation/tuned/{name}/{c}/{k}"] for name in (names[-1], names[0]))
        for c in captions
        for k in range(2)
    ]
    assert found["corner_win_rate"] == pytest.approx(np.mean([a > b for a, b in ends]))
    base = [score[f"interpolation/plain/-/{c}/{k}"] for c in captions for k in range(2)]
    gain = np.mean([a - b for a, b in ends]) / np.std(base, ddof=1)
    assert found["endpoint_gain"] == pytest.approx(gain)
    middle = summary_of(folder)["benchmarks"]["interpolation_grid"][2]
    assert middle["weights"] == {"red": 0.5, "green": 0.5}
    ours = [score[f"interpolation/tuned/{names[2]}/{c}/{k}"] for c in captions for k in range(2)]
    lead = np.mean(np.array(ours) - np.array(base)) / np.std(base, ddof=1)
    assert middle["rewards"]["green"]["gain"] == pytest.approx(lead)


def test_a_model_that_does_not_listen_is_not_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deaf = fake_world.ToyGenerator("tuned", {}, conditioned=True)
    monkeypatch.setattr(fake_world, "tuned", lambda _: deaf)
    for cell in cells(run(tmp_path, **ALONE)).values():
        assert cell["median_spearman"] == 0 and cell["corner_win_rate"] == 0.5
        assert cell["p_holm"] > 0.5


def test_a_caption_that_lacks_a_picture_is_left_out_and_never_a_zero(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = cells(run(tmp_path / "whole", **ALONE))["red"]

    def fails(requests: Any) -> None:
        if any("red=0.5" in r.id and "test-003" in r.id for r in requests):
            raise RuntimeError("no picture")

    monkeypatch.setattr(fake_world, "generate_error", fails)
    found = cells(run(tmp_path / "less", **ALONE, fail_on_error=0.5))["red"]
    assert found["n"] == fake_world.CAPTIONS - 1 and found["n_expected"] == fake_world.CAPTIONS
    assert found["corner_pairs"] == whole["corner_pairs"] - 2
    assert found["endpoint_gain"] == pytest.approx(whole["endpoint_gain"])


def test_a_baseline_that_does_not_vary_gives_no_unit_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every picture of the baseline scores 0.1, whose deviation is not 0 but for rounding."""

    def flat(reward: Any, images: Any, _captions: Any) -> Any:
        high = np.array([np.asarray(image)[..., reward._channel].mean() for image in images])
        return np.where(high > 101, high, 0.1)

    assert np.std([0.1] * 2 * fake_world.CAPTIONS, ddof=1) > 0
    monkeypatch.setattr(fake_world.ToyReward, "score", flat)
    plain = fake_world.ToyGenerator("plain", {"red": -30.0, "green": -30.0})
    monkeypatch.setattr(fake_world, "plain", lambda _: plain)
    folder = run(tmp_path, **ALONE)
    cell = cells(folder)["red"]
    assert cell["endpoint_gain"] is cell["endpoint_gain_ci_low"] is None
    assert cell["reason"] == "the baseline's scores do not vary"
    assert cell["median_spearman"] > 0 and cell["corner_win_rate"] > 0.5
    mixture = summary_of(folder)["benchmarks"]["interpolation_grid"][0]["rewards"]["red"]
    assert mixture["gain"] is None and "do not vary" in mixture["reason"]


def test_what_has_no_interval_has_a_reason(tmp_path: Path) -> None:
    controls = summary_of(run(tmp_path / "all", **ALONE))["benchmarks"]["interpolation_controls"]
    base = controls["base"]["red+green"]["red"]  # its corners are one picture: no gain at all
    assert (base["endpoint_gain"], base["endpoint_gain_ci_low"]) == (0, None)
    assert "same mean" in base["reason"]
    few = summary_of(run(tmp_path, **ALONE, limit=1))["benchmarks"]["interpolation_grid"]
    assert few[0]["rewards"]["red"]["gain_ci_low"] is None
    assert "one cluster" in few[0]["rewards"]["red"]["reason"]


def test_too_many_failures_withhold_every_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ppdbench.benchmarks.evaluate import TooManyFailures

    def fails(requests: Any) -> None:
        if any("red=0.5" in r.id and "test-003" in r.id for r in requests):
            raise RuntimeError("no picture")

    monkeypatch.setattr(fake_world, "generate_error", fails)
    with pytest.raises(TooManyFailures) as failure:
        run(tmp_path, **ALONE)
    found = summary_of(failure.value.run)["benchmarks"]
    for part in ("interpolation", "interpolation_gold"):
        for cell in found[part]["red+green"].values():
            assert cell["median_spearman"] is None and cell["corner_win_rate"] is None
            assert "items failed" in cell["reason"] and cell["p_holm"] is None
    assert "NaN" not in (failure.value.run / "summary.json").read_text()


def test_who_hears_no_weights_is_refused_by_name_and_noted_otherwise(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="other hears no reward weights"):
        run(tmp_path, "other", **ALONE)
    events = fake_world.Quiet()
    found = summary_of(run(tmp_path, "other", benchmarks=(), events=events))["benchmarks"]
    assert "rewards" in found and "interpolation" not in found
    assert "left out: interpolation, for other hears no reward weights" in events.notes


def test_step_and_captions_are_in_the_fingerprint_and_rewards_alone_is_what_it_was(
    tmp_path: Path,
) -> None:
    spec = json.loads((run(tmp_path, **ALONE) / "spec.json").read_bytes())
    assert spec["interpolation"] == {"step": 0.25, "captions": fake_world.CAPTIONS, "samples": 2}
    halves = run(tmp_path, **ALONE, weight_step=0.5)
    assert json.loads((halves / "spec.json").read_bytes())["interpolation"]["step"] == 0.5
    assert "interpolation" not in json.loads((run(tmp_path) / "spec.json").read_bytes())


def test_again_nothing_is_drawn_or_loaded(tmp_path: Path) -> None:
    folder = run(tmp_path, **ALONE)
    before = (folder / "summary.json").read_bytes()
    fake_world.calls.clear()
    assert run(tmp_path, **ALONE) == folder
    assert fake_world.calls == [] and (folder / "summary.json").read_bytes() == before
