"""Whole trainings on the tiny world: what they leave, and that a killed one ends like any other."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_cascade
import torch
from accelerate import Accelerator
from safetensors.torch import load_file
from tiny_cascade import OVERRIDES, Log, TinySuite, at_step, run_training

import trainers
from ppdbench.errors import (
    FingerprintMismatch,
    Interrupted,
    MissingPrerequisite,
    PpdbenchError,
    UsageError,
    from_os_error,
)
from ppdbench.protocols import Split
from ppdbench.runs.lock import RunLock
from ppdbench.runs.records import RecordWriter
from trainers import assets, checkpoints, latents, loop, ppd, recipe, relabel, results
from trainers.config import CONFIGS, load_config
from trainers.metrics import DriftWatch, read_metrics
from trainers.steps import PreferenceStep

pytestmark = pytest.mark.usefixtures("channel_rewards")
METHODS = ("ppd", "sft", "diffusion-dpo")


def metrics_of(folder: Path) -> list[dict[str, Any]]:
    """Every line without the time it took."""
    return [
        {key: value for key, value in row.items() if key != "seconds"}
        for row in read_metrics(folder / "metrics.jsonl")
    ]


def same_outcome(one: Path, other: Path) -> bool:
    """Adapter and metrics equal to the last bit."""
    adapters = [(folder / "adapter.safetensors").read_bytes() for folder in (one, other)]
    return adapters[0] == adapters[1] and metrics_of(one) == metrics_of(other)


def run_script(*command: str | Path) -> subprocess.CompletedProcess[bytes]:
    """Run a command that has the tiny world's script in place of "{script}"."""
    script = Path(tiny_cascade.__file__)
    path = [str(Path(trainers.__file__).parent.parent), str(script.parent)]
    return subprocess.run(
        [script if word == "{script}" else word for word in command],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def uninterrupted(
    tmp_path_factory: pytest.TempPathFactory, tiny_base_folder: Path
) -> Callable[[str], Path]:
    """A method's training that nobody disturbed, made once."""
    made: dict[str, Path] = {}

    def of(method: str) -> Path:
        if method not in made:
            with pytest.MonkeyPatch.context() as patch:
                tiny_cascade.use_channel_rewards(patch.setattr)
                folder = tmp_path_factory.mktemp(method) / "out"
                made[method] = run_training(method, tiny_base_folder, folder)
        return made[method]

    return of


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
    header = checkpoints.read_header(folder)
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


def test_killed_process_resumes_bit_for_bit(
    tmp_path: Path, tiny_base_folder: Path, uninterrupted: Callable[[str], Path]
) -> None:
    output = tmp_path / "out"
    killed = run_script(sys.executable, "{script}", "ppd", tiny_base_folder, output, "5")
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert not (output / "manifest.json").exists()
    assert len(metrics_of(output)) == 5  # the state is of step 4: one line too many
    run_training("ppd", tiny_base_folder, output)
    assert same_outcome(output, uninterrupted("ppd"))


class _Killed(BaseException):
    """Stands for a kill at a place of our choice."""


@pytest.mark.parametrize(
    ("module", "name", "call"),
    [
        (latents, "_write_pairs", 1),
        (latents, "_encode_captions", 1),
        (latents, "write_json", 2),
        (relabel, "write_atomic", 2),
        (loop, "save_state", 1),
        (loop, "save_state", 3),
        (recipe, "draw_grid", 1),
        (results, "save_adapter", 1),
        (results, "write_json", 1),
    ],
    ids=lambda value: str(getattr(value, "__name__", value)),
)
def test_killed_anywhere_resumes_bit_for_bit(
    module: Any,
    name: str,
    call: int,
    tmp_path: Path,
    tiny_base_folder: Path,
    uninterrupted: Callable[[str], Path],
) -> None:
    calls, real = 0, getattr(module, name)

    def die(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            raise _Killed
        return real(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(_Killed):
        patch.setattr(module, name, die)
        run_training("ppd", tiny_base_folder, tmp_path / "out")
    run_training("ppd", tiny_base_folder, tmp_path / "out")
    assert same_outcome(tmp_path / "out", uninterrupted("ppd"))


def test_sigterm_saves_and_the_same_command_goes_on(
    tmp_path: Path, tiny_base_folder: Path, uninterrupted: Callable[[str], Path]
) -> None:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Interrupted, match="step 3 of 6"):
        patch.setattr(loop, "_tell", at_step(3, lambda: os.kill(os.getpid(), signal.SIGTERM)))
        run_training("ppd", tiny_base_folder, tmp_path / "out")
    run_training("ppd", tiny_base_folder, tmp_path / "out")
    assert same_outcome(tmp_path / "out", uninterrupted("ppd"))


def test_moving_average_survives_a_stop(tmp_path: Path, tiny_base_folder: Path) -> None:
    with_average = ["optimizer.ema=0.9"]
    run_training("ppd", tiny_base_folder, tmp_path / "whole", with_average)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(loop, "_tell", at_step(3, lambda: os.kill(os.getpid(), signal.SIGINT)))
        run_training("ppd", tiny_base_folder, tmp_path / "out", with_average)
    run_training("ppd", tiny_base_folder, tmp_path / "out", with_average)
    assert same_outcome(tmp_path / "whole", tmp_path / "out")
    state = torch.load(tmp_path / "out" / "trainer_state.pt", weights_only=True)
    name = "up_blocks.1.2.attention.to_v_user.weight"
    kept = load_file(tmp_path / "out" / "adapter.safetensors")[name]
    assert torch.equal(kept, state["average"][name])
    assert not torch.equal(kept, state["adapter"][name])


def test_finished_run_returns_at_once(
    uninterrupted: Callable[[str], Path], tiny_base_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = uninterrupted("sft")
    monkeypatch.setattr(recipe, "fit", lambda _job: pytest.fail("trained again"))
    before = (folder / "adapter.safetensors").stat().st_mtime_ns
    assert run_training("sft", tiny_base_folder, folder) == folder
    assert (folder / "adapter.safetensors").stat().st_mtime_ns == before


def test_other_settings_are_refused_and_named(
    uninterrupted: Callable[[str], Path], tiny_base_folder: Path
) -> None:
    with pytest.raises(FingerprintMismatch, match=r"config\.objective\.beta \(\d+\.\d+ -> 7\.0\)"):
        run_training("ppd", tiny_base_folder, uninterrupted("ppd"), ["objective.beta=7"])


def test_manifest_of_an_older_run_does_not_end_this_one(
    tmp_path: Path, tiny_base_folder: Path, uninterrupted: Callable[[str], Path]
) -> None:
    """Its state deleted and other settings given: killed after the last step, it is not done."""
    output = tmp_path / "out"
    run_training("ppd", tiny_base_folder, output, ["seed=5"])
    (output / "trainer_state.pt").unlink()
    with pytest.MonkeyPatch.context() as patch, pytest.raises(_Killed):
        patch.setattr(results, "save_adapter", _die)
        run_training("ppd", tiny_base_folder, output)
    run_training("ppd", tiny_base_folder, output)
    assert same_outcome(output, uninterrupted("ppd"))


def _die(*_args: Any) -> None:
    raise _Killed


def test_lost_adapter_is_written_again(tmp_path: Path, tiny_base_folder: Path) -> None:
    folder = run_training("sft", tiny_base_folder, tmp_path / "out")
    before = (folder / "adapter.safetensors").read_bytes()
    (folder / "adapter.safetensors").unlink()
    run_training("sft", tiny_base_folder, folder)
    assert (folder / "adapter.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("module", "name"),
    [(checkpoints, "write_atomic"), (RecordWriter, "write"), (latents, "write_atomic")],
    ids=["state", "metrics", "latents"],
)
def test_full_disk_is_named_and_nothing_is_lost(
    module: Any,
    name: str,
    tmp_path: Path,
    tiny_base_folder: Path,
    uninterrupted: Callable[[str], Path],
) -> None:
    calls, real = 0, getattr(module, name)

    def full(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            refused = OSError(errno.ENOSPC, "No space left on device")
            raise from_os_error(refused, tmp_path / "out")
        return real(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, name, full)
        with pytest.raises(MissingPrerequisite, match="no space left"):
            run_training("ppd", tiny_base_folder, tmp_path / "out")
    run_training("ppd", tiny_base_folder, tmp_path / "out")
    assert same_outcome(tmp_path / "out", uninterrupted("ppd"))


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


@pytest.mark.parametrize("device", ["gpu", "mps" if not torch.backends.mps.is_available() else "x"])
def test_device_that_is_not_there_is_refused(device: str, tmp_path: Path) -> None:
    with pytest.raises(MissingPrerequisite, match=f"no device {device}"):
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
    exec(code, made)  # noqa: S102
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
    header = checkpoints.read_header(folder)
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
