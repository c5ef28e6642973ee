"""`compare` on rewards: who is better by construction, who is nobody, and what a pair rests on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import fake_world
import numpy as np
import pytest
from compared_runs import cells, check_mirrored, compared, copied, measured
from toy_runs import use_toy_world

from ppdbench.benchmarks.compare.run import compare
from ppdbench.protocols import GenerationRequest
from ppdbench.runs.records import RecordWriter, read_records

world = pytest.fixture(autouse=True)(use_toy_world)
ALIKE = "not distinguishable"


def scores(run: Path, generator: str, user: str | None, scorer: str) -> dict[str, float]:
    """Caption id -> score, from the records, by another way than the comparison's."""
    drawn = {
        r["item"]: r["caption_id"]
        for r in read_records(run / "generations.jsonl")
        if r["generator"] == generator and r["user"] == user
    }
    return {
        drawn[r["item"]]: r["score"]
        for r in read_records(run / "scores.jsonl")
        if r["item"] in drawn and r["scorer"] == f"reward:{scorer}"
    }


def test_a_run_that_is_better_by_construction_is_found(tmp_path: Path) -> None:
    tuned, other = measured(tmp_path, "tuned"), measured(tmp_path, "other")
    found = compared(tmp_path, tuned, other)
    for benchmark in ("rewards", "rewards_gold"):
        for reward, own in found["benchmarks"][benchmark]["A-B"].items():
            assert own["head_to_head"]["verdict"] == "A higher", reward
            assert own["mean"]["verdict"] == "A higher", reward
    assert found["kind"] == "comparison"
    assert [run["label"] for run in found["runs"]] == ["tuned", "other"]


@pytest.mark.parametrize(("model", "user"), [("tuned", "reward:red"), ("other", None)])
def test_figures_are_those_of_the_records(tmp_path: Path, model: str, user: str | None) -> None:
    """Every figure of one reward by hand: paired by caption, from scores.jsonl alone."""
    run, plain = measured(tmp_path, model), measured(tmp_path, "plain")
    cell = compared(tmp_path, run, plain)["benchmarks"]["rewards"]["A-B"]["red"]
    ours = scores(run, model, user, "red")
    theirs = scores(plain, "plain", None, "red")
    base = scores(run, "plain", None, "red")
    assert ours.keys() == theirs.keys() == base.keys() and len(ours) == fake_world.CAPTIONS
    gaps = [ours[key] - theirs[key] for key in sorted(ours)]
    assert len(set(gaps)) == len(gaps)
    wins = fmean((gap > 0) + 0.5 * (gap == 0) for gap in gaps)
    assert cell["head_to_head"]["win_rate"] == pytest.approx(wins)
    assert cell["mean"]["difference"] == pytest.approx(fmean(gaps))
    assert (cell["mean"]["a"], cell["mean"]["b"]) == (
        pytest.approx(fmean(ours.values())),
        pytest.approx(fmean(theirs.values())),
    )
    unit = float(np.std(list(base.values()), ddof=1))
    assert cell["mean"]["baseline_deviation"] == pytest.approx(unit)
    assert cell["mean"]["standardised"]["difference"] == pytest.approx(fmean(gaps) / unit)
    assert cell["mean"]["standard_error"] == pytest.approx(np.std(gaps, ddof=1) / len(gaps) ** 0.5)
    over = [
        fmean((own[key] > base[key]) + 0.5 * (own[key] == base[key]) for key in base)
        for own in (ours, theirs)
    ]
    assert cell["over_baseline"]["difference"] == pytest.approx(over[0] - over[1])
    assert cell["head_to_head"]["n"] == cell["head_to_head"]["n_clusters"] == fake_world.CAPTIONS
    assert cell["mean"]["minimum_detectable"] == pytest.approx(
        2.8016 * cell["mean"]["standard_error"], rel=1e-4
    )


def test_two_equal_runs_are_not_distinguishable(tmp_path: Path) -> None:
    run = measured(tmp_path, "tuned")
    found = compared(tmp_path, run, copied(run, tmp_path / "elsewhere"))
    told = list(cells(found["benchmarks"]))
    assert len(told) > 12
    for path, cell in told:
        if "verdict" not in cell:
            continue
        assert cell["verdict"] == ALIKE, path
        assert cell["p_value"] == cell["p_holm"] == 1.0
        assert cell.get("win_rate", 0.5) == 0.5 and cell.get("difference", 0.0) == 0.0
        assert cell["minimum_detectable"] is None and cell["minimum_detectable_reason"]
    labels = [run["label"] for run in found["runs"]]
    assert len(set(labels)) == 2 and all("tuned" in label for label in labels)


@pytest.mark.parametrize("model", ["tuned", "other"])
def test_swapping_the_runs_mirrors_every_figure_to_the_last_bit(tmp_path: Path, model: str) -> None:
    run, plain = measured(tmp_path, model), measured(tmp_path, "plain")
    there = compared(tmp_path, run, plain, out="there")
    back = compared(tmp_path, plain, run, out="back")
    assert check_mirrored(there, back) >= 14  # three views of two rewards, gold too, fidelity
    if model == "other":  # which wins some and loses some
        assert 0.5 < there["benchmarks"]["rewards"]["A-B"]["red"]["head_to_head"]["win_rate"] < 1


def test_what_only_one_run_has_is_left_out_and_counted(tmp_path: Path) -> None:
    whole, few = measured(tmp_path, "tuned"), measured(tmp_path, "other", limit=5, samples=2)
    found = compared(tmp_path, whole, few)["benchmarks"]
    cell = found["rewards"]["A-B"]["red"]["head_to_head"]
    # 12 captions once, and 5 captions twice: 5 are shared, 17 were planned.
    assert (cell["n"], cell["n_expected"], cell["n_clusters"]) == (5, 17, 5)
    whole_rate = fmean(
        scores(whole, "tuned", "reward:red", "red")[key] > value
        for key, value in scores_of_first_sample(few).items()
    )
    assert cell["win_rate"] == whole_rate
    fidelity = found["caption_fidelity"]["A-B"]["all"]
    assert (fidelity["n"], fidelity["n_clusters"]) == (10, 5)  # both of tuned's users


def scores_of_first_sample(run: Path) -> dict[str, float]:
    drawn = {
        r["item"]: r["caption_id"]
        for r in read_records(run / "generations.jsonl")
        if r["generator"] == "other" and r["sample"] == 0
    }
    return {
        drawn[r["item"]]: r["score"]
        for r in read_records(run / "scores.jsonl")
        if r["item"] in drawn and r["scorer"] == "reward:red"
    }


def test_a_failed_item_is_no_zero(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tuned = measured(tmp_path, "tuned")

    def fail(requests: Sequence[GenerationRequest]) -> None:
        if any(request.caption == "caption 3" for request in requests):
            raise ValueError("cannot draw three")

    monkeypatch.setattr(fake_world, "generate_error", fail)
    other = measured(tmp_path / "torn", "other", fail_on_error=0.9)
    found = compared(tmp_path, tuned, other)["benchmarks"]["rewards"]["A-B"]["red"]
    whole = {k: v for k, v in scores(tuned, "tuned", "reward:red", "red").items() if "003" not in k}
    theirs = scores(other, "other", None, "red")
    assert theirs.keys() == whole.keys()
    for view in ("head_to_head", "mean"):
        assert (found[view]["n"], found[view]["n_expected"]) == (11, 12)
    assert found["mean"]["difference"] == pytest.approx(
        fmean(whole[key] - theirs[key] for key in whole)
    )


def test_another_scorer_leaves_its_reward_out_and_names_what_differs(tmp_path: Path) -> None:
    tuned, other = measured(tmp_path, "tuned"), measured(tmp_path, "other")
    path = other / "scorers.json"
    known = json.loads(path.read_bytes())
    known["scorers"]["reward:red"] |= {"identity": "f" * 12, "preprocess": "median"}
    path.write_text(json.dumps(known))
    found = compared(tmp_path, tuned, other)["benchmarks"]["rewards"]["A-B"]
    reason = found["red"]["reason"]
    assert "red is" in reason and "f" * 12 in reason and "preprocess" in reason
    assert found["red"]["head_to_head"]["win_rate"] is None
    assert found["red"]["head_to_head"]["verdict"] is None
    assert found["green"]["head_to_head"]["verdict"] == "A higher"


def test_another_baseline_leaves_what_is_over_it_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuned = measured(tmp_path, "tuned")
    monkeypatch.setattr(fake_world, "revision", "2")
    other = measured(tmp_path, "other")
    cell = compared(tmp_path, tuned, other)["benchmarks"]["rewards"]["A-B"]["red"]
    assert cell["over_baseline"]["difference"] is None
    assert "plain is 1 in tuned and 2 in other" in cell["over_baseline"]["reason"]
    assert cell["mean"]["difference"] is not None
    assert cell["mean"]["standardised"]["difference"] is None
    assert cell["head_to_head"]["verdict"] == "A higher"


def test_other_noise_is_no_pair(tmp_path: Path) -> None:
    tuned, other = measured(tmp_path, "tuned"), measured(tmp_path, "other")
    path = other / "generations.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        if line["caption_id"] == "test-004":
            line["seed"] += 1
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    cell = compared(tmp_path, tuned, other)["benchmarks"]["rewards"]["A-B"]["red"]["head_to_head"]
    assert (cell["n"], cell["n_expected"]) == (11, 13)


def test_several_trainings_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake_world, "settings", {"training": {"seed": 3}})
    tuned = measured(tmp_path, "tuned")
    path = tuned / "summary.json"
    summary = json.loads(path.read_bytes())
    summary["benchmarks"]["training_seeds"]["tuned"] = {"seeds": [3, 4], "win_rate": None}
    path.write_text(json.dumps(summary))
    found = compared(tmp_path, tuned, measured(tmp_path, "other"))
    ours, theirs = found["runs"]
    assert (ours["training_seeds"], ours["training_seed"]) == ([3, 4], 3)
    assert theirs["training_seeds"] == [3]
    assert any("tuned was trained 2 times" in n and "these weights" in n for n in found["notes"])
    assert any("other was trained once, with seed 3" in note for note in found["notes"])


def test_several_runs_are_put_in_one_order_whatever_their_order(tmp_path: Path) -> None:
    runs = {name: measured(tmp_path, name) for name in ("tuned", "other", "plain")}
    found = compared(tmp_path, runs["tuned"], runs["other"], runs["plain"], out="one")
    assert set(found["benchmarks"]["rewards"]) == {"A-B", "A-C", "B-C"}
    order = found["ranking"]["rewards"]["red"]
    first = order["runs"]["A"]
    assert (first["best_rank"], first["worst_rank"], first["beats"]) == (1, 1, ["B", "C"])
    assert order["n"] == 3 * fake_world.CAPTIONS
    again = compared(tmp_path, runs["plain"], runs["tuned"], runs["other"], out="two")
    other = again["ranking"]["rewards"]["red"]["runs"]
    assert {"A": other["B"], "B": other["C"], "C": other["A"]}.keys() == order["runs"].keys()
    for letter, same in (("A", "B"), ("B", "C"), ("C", "A")):
        ours, theirs = order["runs"][letter], other[same]
        strengths = [key for key in ours if key.startswith(("strength", "win_rate"))]
        assert {k: ours[k] for k in (*strengths, "best_rank", "worst_rank")} == {
            k: theirs[k] for k in (*strengths, "best_rank", "worst_rank")
        }


def test_ranks_are_what_the_tests_leave_open(tmp_path: Path) -> None:
    """A run and its copy beat a third one, and share the first two ranks."""
    tuned, other = measured(tmp_path, "tuned"), measured(tmp_path, "other")
    twin = copied(tuned, tmp_path / "twin")
    order = compared(tmp_path, tuned, twin, other)["ranking"]["rewards"]["red"]["runs"]
    ranks = {letter: (own["best_rank"], own["worst_rank"]) for letter, own in order.items()}
    assert ranks == {"A": (1, 2), "B": (1, 2), "C": (3, 3)}


def test_the_same_again_computes_nothing_and_a_changed_run_anew(tmp_path: Path) -> None:
    tuned, other = measured(tmp_path, "tuned"), measured(tmp_path, "other")
    out = tmp_path / "compared"
    compare([tuned, other], out=out, events=fake_world.Quiet())
    before = (out / "summary.json").read_bytes()
    events = fake_world.Quiet()
    compare([tuned, other], out=out, events=events)
    assert events.stages == {} and (out / "summary.json").read_bytes() == before
    last = [r for r in read_records(other / "scores.jsonl") if r["scorer"] == "reward:red"][-1]
    with RecordWriter(other / "scores.jsonl") as file:
        file.write([{**last, "score": last["score"] + 1}])
    compare([tuned, other], out=out, events=events)
    assert "compare" in events.stages and (out / "summary.json").read_bytes() != before


def test_the_runs_are_only_read(tmp_path: Path) -> None:
    runs = [measured(tmp_path, "tuned"), measured(tmp_path, "other")]

    def files() -> dict[str, tuple[bytes, int]]:
        found = [path for run in runs for path in run.rglob("*") if path.is_file()]
        return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in found}

    before = files()
    compared(tmp_path, *runs)
    assert files() == before


def test_the_default_folder_is_named_by_its_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [measured(tmp_path, "tuned"), measured(tmp_path, "other")]
    monkeypatch.chdir(tmp_path)
    path = compare(runs, events=fake_world.Quiet())
    assert path.parent == Path("comparisons") and path.name.startswith("tuned-vs-other-")
    assert compare(runs[::-1], events=fake_world.Quiet()) != path
    assert compare(runs, events=fake_world.Quiet()) == path


def test_nothing_is_nan_and_what_is_unknown_has_a_reason(tmp_path: Path) -> None:
    """One caption: no interval can be had of scores, and no test can find anything."""
    tuned, other = (measured(tmp_path, name, limit=1) for name in ("tuned", "other"))
    found = compared(tmp_path, tuned, other)

    def check(value: Any) -> None:
        if isinstance(value, dict):
            for each in value.values():
                check(each)
        assert value == value  # NaN is not itself

    check(found)
    mean = found["benchmarks"]["rewards"]["A-B"]["red"]["mean"]
    assert (mean["n"], mean["ci_low"], mean["verdict"]) == (1, None, ALIKE)
    assert "one cluster" in mean["reason"] and mean["minimum_detectable"] is None
