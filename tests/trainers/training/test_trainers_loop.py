"""Whole trainings on the tiny world: what they leave, and what they refuse."""

from __future__ import annotations

import hashlib
import json
import math
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file, save_file
from tiny_cascade import OVERRIDES, Log, TinySuite, at_step, run_training
from trained import metrics_of, run_script, same_outcome

from ppdbench.errors import (
    Interrupted,
    MissingPrerequisite,
    PpdbenchError,
    UsageError,
)
from ppdbench.protocols import Split
from ppdbench.runs.lock import RunLock
from trainers import assets, ppd
from trainers.adapters.header import read_header
from trainers.config_file import CONFIGS, load_config
from trainers.training import loop, recipe
from trainers.training.metrics import DriftWatch, read_metrics
from trainers.training.steps import PreferenceStep

pytestmark = pytest.mark.usefixtures("channel_rewards")
METHODS = ("ppd", "sft", "diffusion-dpo")


@pytest.mark.parametrize("method", METHODS)
def test_training_leaves_what_it_should(method: str, uninterrupted: Callable[[str], Path]) -> None:
    folder = uninterrupted(method)
    left = {path.name for path in folder.iterdir()}
    assert left >= {
        "adapter.safetensors", "config.yaml", "README.md", "metrics.jsonl", "loss.png",
        "manifest.json", "trainer_state.pt", "validation",
    }  # fmt: skip
    assert (folder / "validation" / "step-000006.png").is_file()
    rows = read_metrics(folder / "metrics.jsonl")
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert rows[0]["divergence"] == 0 < rows[-1]["divergence"]
    tensors = load_file(folder / "adapter.safetensors")
    assert tensors["up_blocks.1.2.attention.to_v_user.weight"].any()
    header = read_header(folder)
    assert header.method == method
    assert header.rewards == ("clip", "aesthetic", "hps")
    assert header.facts["left_out"]
    manifest = json.loads((folder / "manifest.json").read_text())
    digest = hashlib.sha256((folder / "adapter.safetensors").read_bytes()).hexdigest()
    assert manifest["sha256"] == {"adapter.safetensors": digest}
    assert manifest["figures"]["divergence"] > 0
    assert f"--method {method}" in manifest["command"]


@pytest.mark.parametrize("method", ["ppd", "diffusion-dpo"])
def test_first_loss_is_ln2(method: str, uninterrupted: Callable[[str], Path]) -> None:
    first = metrics_of(uninterrupted(method))[0]
    assert first["loss"] == pytest.approx(0.6931472, abs=1e-7)
    assert first["win_term"] == first["lose_term"] == 0
    assert first["implicit_accuracy"] == 0.5


def test_gradient_norm_is_measured_when_nothing_is_clipped(
    tmp_path: Path, tiny_base_folder: Path, uninterrupted: Callable[[str], Path]
) -> None:
    folder = run_training("ppd", tiny_base_folder, tmp_path / "out", ["optimizer.grad_clip=null"])
    free, clipped = metrics_of(folder), metrics_of(uninterrupted("ppd"))
    assert all(row["grad_norm"] > 0 for row in free)
    assert free[0]["grad_norm"] == clipped[0]["grad_norm"]


def test_infinite_gradient_stops_the_run_before_it_is_saved(
    tmp_path: Path, tiny_base_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Accelerator, "clip_grad_norm_", lambda *_: torch.tensor(math.inf))
    with pytest.raises(PpdbenchError, match="step 1: grad_norm") as caught:
        run_training("ppd", tiny_base_folder, tmp_path / "out")
    assert "optimizer.lr" in caught.value.fix
    assert not (tmp_path / "out" / "trainer_state.pt").exists()


@pytest.mark.parametrize("odd", [math.nan, math.inf])
def test_latents_that_are_no_numbers_name_their_pair_and_teach_nothing(
    odd: float, tmp_path: Path, tiny_base_folder: Path, uninterrupted: Callable[[str], Path]
) -> None:
    """Damaged under a finished encoding; mended, the run goes on as if nothing had been."""
    run_training("ppd", tiny_base_folder, tmp_path / "first", ["validation.pairs=0"])
    (file,) = (tmp_path / "cache").glob("*/images-00000.safetensors")
    sound = {name: tensor.clone() for name, tensor in load_file(file).items()}  # it may be mapped
    met = met_at(tmp_path / "first", step=4)
    for image in ("image_0", "image_1"):
        damaged = {name: tensor.clone() for name, tensor in sound.items()}
        damaged[image][met, 1, 0, 0] = odd
        save_file(damaged, file)
        with pytest.raises(PpdbenchError, match=f"pair {met} .*square.* not finite") as caught:
            run_training("ppd", tiny_base_folder, tmp_path / "out")
        assert "encoded pairs" in caught.value.fix and caught.value.exit_code == 1
        state = torch.load(tmp_path / "out" / "trainer_state.pt", weights_only=True)
        assert state["step"] == 4
        assert all(tensor.isfinite().all() for tensor in state["adapter"].values())
        assert len(metrics_of(tmp_path / "out")) == 4
        assert not (tmp_path / "out" / "manifest.json").exists()
    save_file(sound, file)
    run_training("ppd", tiny_base_folder, tmp_path / "out")
    assert same_outcome(tmp_path / "out", uninterrupted("ppd"))


def met_at(folder: Path, *, step: int) -> int:
    """A pair that the tiny run meets at a step, counted from 0, and not before."""
    from trainers.training import batches

    config = load_config(folder / "config.yaml")
    met: list[list[int]] = []
    with pytest.MonkeyPatch.context() as patch:
        real = batches._check_finite

        def check(job: Any, pair: Any, *latents: Any) -> None:
            met.append(pair.tolist())
            real(job, pair, *latents)

        patch.setattr(batches, "_check_finite", check)
        run_training("ppd", Path(str(config.base)), folder.parent / "look", ["validation.pairs=0"])
    before = {pair for pairs in met[:step] for pair in pairs}
    return next(pair for pair in met[step] if pair not in before)


def test_warning_comes_also_after_a_stop(
    tmp_path: Path, tiny_base_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watch is given the steps before the stop, and an uninterrupted run none."""
    met: list[int] = []
    real = DriftWatch.recall

    def recall(self: Any, rows: Any, *, warned: bool) -> None:
        met.append(len(rows))
        real(self, rows, warned=warned)

    monkeypatch.setattr(DriftWatch, "recall", recall)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(loop, "_tell", at_step(3, lambda: os.kill(os.getpid(), signal.SIGINT)))
        run_training("ppd", tiny_base_folder, tmp_path / "out")
    run_training("ppd", tiny_base_folder, tmp_path / "out")
    assert met == [0, 3]


def test_missing_validation_pairs_are_said_before_training(
    tmp_path: Path, tiny_base_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = TinySuite.pairs

    def pairs(self: TinySuite, split: Split) -> Path:
        if split == "validation":
            raise MissingPrerequisite("no validation pairs", fix="set validation.pairs=0")
        return real(self, split)

    monkeypatch.setattr(TinySuite, "pairs", pairs)
    monkeypatch.setattr(recipe, "fit", lambda _job: pytest.fail("trained first"))
    with pytest.raises(MissingPrerequisite, match="no validation pairs"):
        run_training("sft", tiny_base_folder, tmp_path / "out")


def test_missing_validation_captions_are_said_before_training(
    tmp_path: Path, tiny_base_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And are nobody's business where no picture is asked for, up to the end."""

    def captions(*_: Any) -> Any:
        raise MissingPrerequisite("no validation captions", fix="set validation.captions=0")

    monkeypatch.setattr(TinySuite, "captions", captions)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipe, "fit", lambda _job: pytest.fail("trained first"))
        with pytest.raises(MissingPrerequisite, match="no validation captions"):
            run_training("sft", tiny_base_folder, tmp_path / "out")
    folder = run_training("sft", tiny_base_folder, tmp_path / "out", ["validation.captions=0"])
    assert (folder / "manifest.json").is_file()


@pytest.mark.parametrize(
    ("device", "error", "cause"),
    [
        ("gpu", UsageError, "no device is called 'gpu'"),
        ("cuda", MissingPrerequisite, "torch finds no cuda device"),
    ],
)
def test_device_that_is_not_there_is_refused(
    device: str,
    error: type[Exception],
    cause: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(error, match=cause):
        ppd.train(
            TinySuite(tmp_path),
            output=tmp_path / "out",
            config=CONFIGS / "shapes" / "ppd.yaml",
            overrides=OVERRIDES,
            device=device,
            events=Log(),
        )


def test_model_card_is_true_and_its_code_runs(
    uninterrupted: Callable[[str], Path],
    tiny_base_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = uninterrupted("ppd")
    card = (folder / "README.md").read_text()
    config = load_config(folder / "config.yaml")
    step = PreferenceStep(config.objective, 1)
    assert f"beta {config.objective.beta:g}, beta_eff {step.beta_eff:g}" in card
    assert "weights of clip, aesthetic, hps" in card
    held_out = json.loads((folder / "manifest.json").read_text())["figures"]
    assert f"| {str(held_out['divergence'])[:5]}" in card  # not rounded twice
    code = card.partition("```python\n")[2].partition("```")[0]
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "base").symlink_to(tiny_base_folder)
    monkeypatch.setattr(assets, "SHIPPED", tmp_path)
    monkeypatch.chdir(folder)
    made: dict[str, Any] = {}
    exec(code, made)  # noqa: S102 - the card's own code, which users are told to run
    assert made["noise"].shape == made["latents"].shape
    assert not torch.equal(
        made["noise"],
        made["base"].predict_noise(
            made["latents"], made["timestep"], made["base"].encode_text(["a caption"])
        ),
    )


def test_second_process_is_told_to_wait(tmp_path: Path, tiny_base_folder: Path) -> None:
    (tmp_path / "out").mkdir()
    lock = RunLock(tmp_path / "out")
    with pytest.raises(PpdbenchError, match=r"another process[\s\S]*--output"):
        run_training("sft", tiny_base_folder, tmp_path / "out")
    lock.release()


def test_accumulated_micro_batches_give_the_same_steps(
    tmp_path: Path, tiny_base_folder: Path, uninterrupted: Callable[[str], Path]
) -> None:
    split = run_training("ppd", tiny_base_folder, tmp_path / "out", ["micro_batch=2"])
    # Adam's first steps go by a gradient's sign, so rounding soon shows: two are compared.
    rows = zip(metrics_of(split), metrics_of(uninterrupted("ppd")), strict=True)
    for parts, whole in list(rows)[:2]:
        for name in ("loss", "win_term", "divergence", "grad_norm"):
            assert parts[name] == pytest.approx(whole[name], rel=2e-3, abs=1e-6)
    with pytest.raises(UsageError, match="does not divide"):
        run_training("ppd", tiny_base_folder, tmp_path / "odd", ["micro_batch=3"])


def test_single_reward_run_takes_its_share(tmp_path: Path, tiny_base_folder: Path) -> None:
    folder = run_training("diffusion-dpo", tiny_base_folder, tmp_path / "out", ["reward=hps"])
    assert len(metrics_of(folder)) == 2  # a third of six
    header = read_header(folder)
    assert header.facts["reward"] == "hps"
    assert set(header.facts["left_out"]) == {"hps"}
    assert header.user_vector == "null"


@pytest.mark.parametrize("reward", ["clip-gold", "beauty"])
def test_gold_and_unknown_rewards_are_not_trained_on(
    reward: str, tmp_path: Path, tiny_base_folder: Path
) -> None:
    with pytest.raises(UsageError, match=reward):
        run_training("diffusion-dpo", tiny_base_folder, tmp_path / "out", [f"reward={reward}"])


def test_learns_the_users_apart(tmp_path: Path, tiny_base_folder: Path) -> None:
    """Forty steps on the rewards' labels: implicit accuracy leaves one half behind."""
    log = Log()
    ppd.train(
        TinySuite(tmp_path),
        output=tmp_path / "out",
        config=CONFIGS / "shapes" / "ppd.yaml",
        overrides=[
            *OVERRIDES,
            f"base={tiny_base_folder}",
            "steps=40",
            "batch_size=24",
            "log_every=20",
            "optimizer.lr=3e-3",
            "objective.user_dropout=0",
            "validation.captions=0",
        ],
        device="cpu",
        events=log,
    )
    rows = metrics_of(tmp_path / "out")
    last = [row["implicit_accuracy"] for row in rows[-10:]]
    assert sum(last) / len(last) > 0.6
    assert set(rows[-1]["implicit_accuracy_by_user"]) == {"clip", "aesthetic", "hps"}
    assert any("step 20/40" in note and "min left" in note for note in log.notes)


def test_rows_without_their_user_count_for_no_user(tmp_path: Path, tiny_base_folder: Path) -> None:
    for dropout, users in (("0.999", set()), ("0", {"clip", "aesthetic", "hps"})):
        overrides = [f"objective.user_dropout={dropout}", "batch_size=24", "steps=1"]
        folder = run_training("ppd", tiny_base_folder, tmp_path / dropout / "out", overrides)
        assert set(metrics_of(folder)[0]["implicit_accuracy_by_user"]) == users


@pytest.mark.slow
def test_two_processes_take_the_same_steps(
    tmp_path: Path, tiny_base_folder: Path, uninterrupted: Callable[[str], Path]
) -> None:
    output = tmp_path / "out"
    launch = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
    done = run_script(*launch, "{script}", "ppd", tiny_base_folder, output, "never")
    assert done.returncode == 0, done.stderr.decode()
    rows = zip(metrics_of(output), metrics_of(uninterrupted("ppd")), strict=True)
    for two, one in list(rows)[:2]:
        for name in ("loss", "implicit_accuracy", "win_term", "divergence", "grad_norm"):
            assert two[name] == pytest.approx(one[name], rel=2e-3, abs=1e-6)
