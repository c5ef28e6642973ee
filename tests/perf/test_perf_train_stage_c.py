"""The measurement of training: a dry run on this machine, and both sides train the same."""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState

PERF = Path(__file__).parents[2] / "perf"
SCRIPT = PERF / "train_stage_c.py"
TRAINING = {"naive", "naive-joined", "eager", "checkpointed", "compiled", "cached"}


@pytest.fixture(autouse=True)
def _accelerate_anew() -> Iterator[None]:
    """It keeps one precision for a whole process, and other tests train in another."""
    AcceleratorState._reset_state()
    yield
    AcceleratorState._reset_state()


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.syspath_prepend(PERF)
    return runpy.run_path(str(SCRIPT))


def run(
    script: dict[str, Any], monkeypatch: pytest.MonkeyPatch, out: Path, *words: str
) -> dict[str, Any]:
    command = ["train_stage_c.py", "--tiny", "--device", "cpu", *words, "--out", str(out)]
    monkeypatch.setattr(sys, "argv", command)
    assert script["main"]() == 0
    record: dict[str, Any] = json.loads(out.read_text())
    return record


def check_row(row: dict[str, Any]) -> None:
    assert row["micro_batch"] == 2 and row["did_not_fit"] == []
    assert row["pairs_per_second"] == pytest.approx(4 / row["step_seconds"][0], rel=0.01)
    assert row["share_of_matrix_product"] > 0
    assert row["peak_gib"] is None  # not measured, which is not 0


def test_sides_are_measured_and_what_another_call_measured_stays(
    script: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    out = tmp_path / "out.json"
    before = run(script, monkeypatch, out, "--only", "naive")
    assert before["training"].keys() == {"naive"}
    record = run(script, monkeypatch, out, "--only", "eager")
    assert record["training"].keys() == {"naive", "eager"}
    assert record["training"]["naive"] == before["training"]["naive"]
    for row in record["training"].values():
        check_row(row)
    assert {"command", "versions", "machine", "tflop_per_pair"} <= record.keys()
    assert record["goals"]["eager"] == {
        "goal": 10,
        "measured": record["training"]["eager"]["pairs_per_second"],
    }
    assert record["goals"]["cached/naive"] == {"goal": 2.5, "measured": None}
    assert str(tmp_path) not in json.dumps(record)


@pytest.mark.slow
def test_every_side_runs_dry(
    script: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    record = run(script, monkeypatch, tmp_path / "out.json")
    assert record["training"].keys() == TRAINING
    for row in record["training"].values():
        check_row(row)
    assert record["generation"]["images_per_second"].keys() == {"1", "2"}
    assert record["generation"]["best"] > 0
    rows = record["training"]
    ratio = rows["cached"]["pairs_per_second"] / rows["naive"]["pairs_per_second"]
    assert record["goals"]["cached/naive"]["measured"] == pytest.approx(ratio, rel=0.01)


def test_a_dry_run_leaves_no_result(
    script: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setitem(script["main"].__globals__, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(
        sys, "argv", ["train_stage_c.py", "--tiny", "--device", "cpu", "--only", "naive"]
    )
    assert script["main"]() == 0
    assert "written" in capsys.readouterr().err
    assert not (tmp_path / "results").exists()


def test_without_a_gpu_nothing_is_measured(
    script: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["train_stage_c.py", "--device", "cpu"])
    assert script["main"]() == 3
    assert "no GPU" in capsys.readouterr().err


def test_a_micro_batch_that_does_not_fit_is_halved(script: dict[str, Any]) -> None:
    def measure(micro: int) -> dict[str, Any]:
        if micro > 2:
            raise torch.cuda.OutOfMemoryError("no memory")
        return {"seen": micro}

    assert script["fitting"](measure, 8) == {"micro_batch": 2, "did_not_fit": [8, 4], "seen": 2}

    def never(_micro: int) -> dict[str, Any]:
        raise torch.cuda.OutOfMemoryError("no memory")

    found = script["fitting"](never, 2)
    assert found == {"micro_batch": None, "did_not_fit": [2, 1]}
    assert script["figures"](found, 4, 1.0, 1.0) == found


@pytest.mark.parametrize("joined", [False, True])
def test_both_sides_train_the_same(joined: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """One pair batch, one set of weights: the naive script's gradients are the loop's."""
    monkeypatch.syspath_prepend(PERF)
    import naive_dpo
    import stage_c_world as world

    from trainers.stable_cascade.stage_c import TextConditioning
    from trainers.training.policy import Policy
    from trainers.training.steps import Batch, PreferenceStep

    config = world.settings(3, 3)
    stage_c, shape = world.stage_c_of(world.TINY), world.shape_of(config)
    naive = naive_dpo.NaiveDpo(stage_c, shape, device="cpu", lr=1e-5, beta=500, joined=joined)
    base = world.random_base(world.TINY, "cpu")
    base.unet.load_state_dict(naive.unet.state_dict())
    policy = Policy(base, shape, seed=0)
    awake = {
        name: torch.randn_like(tensor) * 0.3 if ".to_v_user." in name else tensor
        for name, tensor in naive.adapter.tensors().items()
    }
    for adapter in (naive.adapter, policy.adapter):
        adapter.load_tensors(awake)
    pairs = naive_dpo.Pairs.random(3, stage_c, 4, world.captions_tokens(world.TINY), "cpu")
    noise = torch.randn_like(pairs.winner)
    monkeypatch.setattr(torch, "randn_like", lambda _: noise)
    monkeypatch.setattr(torch, "rand", lambda *_, **__: torch.tensor([0.2, 0.5, 0.8]))
    loss = naive.micro_step(pairs, parts=1)
    batch = Batch(
        winner=pairs.winner,
        loser=pairs.loser,
        noise_w=noise,
        noise_l=noise,
        timestep=torch.tensor([0.2, 0.5, 0.8]),
        text=TextConditioning(pairs.hidden, pairs.pooled),
        users=pairs.users,
    )
    with torch.autocast("cpu", torch.bfloat16):
        ours = PreferenceStep(config.objective, 1)(policy, policy, batch)
    torch.autograd.backward(ours.loss)
    assert loss > 0.8  # not ln 2: both have learnt something
    assert float(ours.loss.detach()) == pytest.approx(float(loss), rel=0.05)
    mine, theirs = (
        torch.cat([p.grad.flatten() for p in adapter.parameters() if p.grad is not None])
        for adapter in (policy.adapter, naive.adapter)
    )
    assert torch.cosine_similarity(mine, theirs, dim=0) > 0.98  # what bfloat16 leaves
    assert float(naive.optimizer_step()) > 0
    assert all(parameter.grad is None for parameter in naive.parameters)


@pytest.mark.slow
@pytest.mark.parametrize(("size", "width", "layers"), [("3.6b", 2048, 64), ("1b", 1536, 32)])
def test_a_pairs_arithmetic_is_what_the_formula_says(
    size: str, width: int, layers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """2L[10c^2 N + 2c^2 (N + M) + c^2 M + 2N(N + M)c] for an image's forward, N = 576, M = 85."""
    monkeypatch.syspath_prepend(PERF)
    from stage_c_flops import pair_flops

    c, n, m = width, 24 * 24, 77 + 4 + 4
    products = 10 * c * c * n + 2 * c * c * (n + m) + c * c * m + 2 * n * (n + m) * c
    forward = 2 * layers * products / 1e12
    counted = pair_flops(size)
    # Forward and backward of two images and their reference; the rest of the UNet and the adapter.
    assert 1 < counted["all"] / (6 * forward) < 1.03
    assert 1 < counted["cached"] / (4 * forward) < 1.03
