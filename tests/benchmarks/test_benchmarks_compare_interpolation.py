"""`compare` on interpolation: whose scores follow the weights, and which runs cannot be held so."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import fake_world
import numpy as np
import pytest
from compared_runs import cells, check_mirrored, compared, copied, measured
from PIL import Image as PilImage
from PIL.Image import Image
from scipy import stats
from toy_runs import use_toy_world

from ppdbench.errors import FingerprintMismatch
from ppdbench.protocols import GenerationRequest
from ppdbench.runs.records import read_records

ALIKE = "not distinguishable"
ALONE = {"benchmarks": ["interpolation"]}
PLACES = ["weights:red=1", *(f"weights:red={1 - w},green={w}" for w in (0.25, 0.5, 0.75))]
PLACES.append("weights:green=1")
"""Along the edge, the weight of green rising."""


class Restless(fake_world.ToyGenerator):
    """Moves as `tuned` does, and at each mixture by chance as well."""

    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[Image]:
        for request, image in zip(requests, super().generate(requests), strict=True):
            weights = request.user.reward_weights if request.user else None
            rng = np.random.default_rng([request.seed, round(100 * (weights or {})["red"])])
            pixels = np.asarray(image, dtype=np.float64) + rng.normal(0, 6, 3)
            yield PilImage.fromarray(pixels.clip(0, 255).astype(np.uint8))


@pytest.fixture(autouse=True)
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`diverging` is the restless one."""
    use_toy_world(monkeypatch, tmp_path)
    restless = Restless("diverging", {"red": 8.0, "green": 8.0}, conditioned=True)
    monkeypatch.setattr(fake_world, "diverging", lambda _: restless)


def pair(tmp_path: Path, **options: Any) -> tuple[Path, Path]:
    options = {**ALONE, **options}
    return measured(tmp_path, "tuned", **options), measured(tmp_path, "diverging", **options)


def scores(run: Path, generator: str, scorer: str) -> dict[tuple[str, str, int], float]:
    """(user, caption, sample) -> score, from the records."""
    drawn = {
        r["item"]: (r["user"], r["caption_id"], r["sample"])
        for r in read_records(run / "generations.jsonl")
        if r["generator"] == generator
    }
    return {
        drawn[r["item"]]: r["score"]
        for r in read_records(run / "scores.jsonl")
        if r["item"] in drawn and r["scorer"] == f"reward:{scorer}"
    }


def along(run: Path, generator: str) -> Any:
    """(captions, samples, places) by green."""
    known = scores(run, generator, "green")
    captions = sorted({caption for _, caption, _ in known})
    return np.array(
        [[[known[place, c, k] for place in PLACES] for k in range(2)] for c in captions]
    )


def test_figures_are_those_of_the_records(tmp_path: Path) -> None:
    tuned, restless = pair(tmp_path)
    found = compared(tmp_path, tuned, restless)
    assert list(found["benchmarks"]) == ["interpolation", "interpolation_gold"]
    cell = found["benchmarks"]["interpolation"]["A-B"]["red+green"]["green"]
    a, b = along(tuned, "tuned"), along(restless, "diverging")
    rho = [[stats.spearmanr(row.mean(0), range(5)).statistic for row in each] for each in (a, b)]
    gaps = [one - other for one, other in zip(*rho, strict=True)]
    own = cell["spearman"]
    assert own["difference"] == pytest.approx(fmean(gaps)) and own["difference"] > 0.1
    assert (own["a"], own["b"]) == (pytest.approx(fmean(rho[0])), pytest.approx(fmean(rho[1])))
    assert own["standard_error"] == pytest.approx(np.std(gaps, ddof=1) / 12**0.5)
    assert own["n"] == own["n_expected"] == own["n_clusters"] == 12
    ends = [(each[:, :, -1], each[:, :, 0]) for each in (a, b)]
    won = [np.mean((high > low) + 0.5 * (high == low)) for high, low in ends]
    assert cell["corner_win_rate"]["difference"] == pytest.approx(won[0] - won[1])
    assert (cell["corner_win_rate"]["n"], cell["corner_win_rate"]["n_clusters"]) == (24, 12)
    gain = [np.mean(high - low) for high, low in ends]
    base = list(scores(tuned, "plain", "green").values())
    assert cell["endpoint_gain"]["difference"] == pytest.approx(gain[0] - gain[1])
    assert cell["endpoint_gain"]["a"] == pytest.approx(gain[0])
    assert cell["endpoint_gain"]["standardised"]["difference"] == pytest.approx(
        (gain[0] - gain[1]) / np.std(base, ddof=1)
    )


def test_a_model_that_listens_better_is_found(tmp_path: Path) -> None:
    found = compared(tmp_path, *pair(tmp_path))["benchmarks"]
    for benchmark in ("interpolation", "interpolation_gold"):
        for reward, own in found[benchmark]["A-B"]["red+green"].items():
            assert own["spearman"]["verdict"] == "A higher", reward
            assert own["scorer"] == (reward if benchmark == "interpolation" else f"{reward}-gold")
    # One family a view: two rewards and their gold twins.
    tests = [
        own["spearman"]
        for benchmark in ("interpolation", "interpolation_gold")
        for own in found[benchmark]["A-B"]["red+green"].values()
    ]
    assert min(cell["p_holm"] for cell in tests) == 4 * min(cell["p_value"] for cell in tests)


def test_two_equal_runs_are_not_distinguishable(tmp_path: Path) -> None:
    run = measured(tmp_path, "diverging", **ALONE)
    told = list(cells(compared(tmp_path, run, copied(run, tmp_path / "copy"))["benchmarks"]))
    tested = [(path, cell) for path, cell in told if "verdict" in cell]
    assert len(tested) == 12
    for path, cell in tested:
        assert cell["verdict"] == ALIKE, path
        assert cell["difference"] == 0 and cell["p_value"] == cell["p_holm"] == 1.0


def test_swapping_the_runs_mirrors_every_figure_to_the_last_bit(tmp_path: Path) -> None:
    one, other = pair(tmp_path)
    there = compared(tmp_path, one, other, out="there")
    back = compared(tmp_path, other, one, out="back")
    assert check_mirrored(there, back) == 12 + 4  # and the gains in the baseline's deviations


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [
        ("weight_step", 0.5, "another weight step: 0.25 in tuned and 0.5 in diverging"),
        ("samples", 3, "another number of noises: 2 in tuned and 3 in diverging"),
    ],
)
def test_other_mixtures_or_noises_are_left_out_with_both_values(
    tmp_path: Path, option: str, value: Any, reason: str
) -> None:
    tuned = measured(tmp_path, "tuned", **ALONE)
    other = measured(tmp_path, "diverging", **ALONE, **{option: value})
    with pytest.raises(FingerprintMismatch, match=reason) as error:
        compared(tmp_path, tuned, other)
    assert error.value.exit_code == 4
    both = {"benchmarks": ["rewards", "interpolation"], "limit": 4}
    tuned = measured(tmp_path, "tuned", **both)
    found = compared(tmp_path, tuned, measured(tmp_path, "diverging", **both, **{option: value}))
    assert {"benchmark": "interpolation", "runs": "A-B", "reason": reason} in found["left_out"]
    assert "rewards" in found["benchmarks"] and "interpolation" not in found["benchmarks"]


def test_captions_that_are_not_whole_in_both_runs_are_left_out_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuned = measured(tmp_path, "tuned", **ALONE)

    def fails(requests: Sequence[GenerationRequest]) -> None:
        if any("red=0.5" in r.id and "test-003" in r.id for r in requests):
            raise RuntimeError("no picture")

    monkeypatch.setattr(fake_world, "generate_error", fails)
    torn = measured(tmp_path, "diverging", **ALONE, fail_on_error=0.9, limit=10)
    path = torn / "generations.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        line["seed"] += line["caption_id"] == "test-004"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    cell = compared(tmp_path, tuned, torn)["benchmarks"]["interpolation"]["A-B"]["red+green"]
    # 12 of one and 10 of the other, of which one fails and one is of other noises: 8 of 13.
    for own in cell.values():
        assert (own["spearman"]["n"], own["spearman"]["n_expected"]) == (8, 13)
        assert (own["endpoint_gain"]["n"], own["endpoint_gain"]["n_expected"]) == (16, 26)


def test_another_scorer_leaves_its_reward_out(tmp_path: Path) -> None:
    tuned, other = pair(tmp_path)
    path = other / "scorers.json"
    known = json.loads(path.read_bytes())
    known["scorers"]["reward:red"] |= {"identity": "f" * 12}
    path.write_text(json.dumps(known))
    found = compared(tmp_path, tuned, other)["benchmarks"]["interpolation"]["A-B"]["red+green"]
    assert "red is" in found["red"]["reason"] and "f" * 12 in found["red"]["reason"]
    for view in ("spearman", "corner_win_rate", "endpoint_gain"):
        assert found["red"][view]["difference"] is found["red"][view]["verdict"] is None
    assert found["green"]["spearman"]["verdict"] == "A higher"


def test_another_baseline_gives_no_common_unit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuned = measured(tmp_path, "tuned", **ALONE)
    monkeypatch.setattr(fake_world, "revision", "2")
    other = measured(tmp_path, "diverging", **ALONE)
    found = compared(tmp_path, tuned, other)["benchmarks"]["interpolation"]["A-B"]["red+green"]
    gain = found["green"]["endpoint_gain"]
    assert gain["difference"] is not None and gain["standardised"]["difference"] is None
    assert "plain is 1 in tuned and 2 in diverging" in gain["standardised"]["reason"]
    assert found["green"]["spearman"]["verdict"] == "A higher"
