"""A training that is killed, stopped, or short of disk, and goes on: it ends like any other."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tiny_cascade import at_step, run_training, use_channel_rewards, write_base
from trained import killed_at, metrics_of, place, run_script, same_outcome

from ppdbench.errors import (
    FingerprintMismatch,
    Interrupted,
    MissingPrerequisite,
    from_os_error,
)
from ppdbench.runs import atomic
from ppdbench.runs.records import RecordWriter
from trainers.adapters import checkpoints
from trainers.encoded import encoding, relabel
from trainers.training import loop, recipe, results

pytestmark = pytest.mark.usefixtures("channel_rewards")


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


@pytest.mark.parametrize(
    ("module", "name", "call"),
    [
        (encoding, "write_listed", 1),
        (encoding, "_encode_captions", 1),
        (encoding, "write_json", 1),
        (relabel, "write_atomic", 2),
        (loop, "save_state", 1),
        (loop, "save_state", 3),
        (recipe, "draw_grid", 1),
        (results, "save_adapter", 1),
        (results, "write_json", 1),
    ],
    ids=place,
)
def test_killed_anywhere_resumes_bit_for_bit(
    module: Any,
    name: str,
    call: int,
    tmp_path: Path,
    tiny_base_folder: Path,
    uninterrupted: Callable[[str], Path],
) -> None:
    with killed_at(module, name, call):
        run_training("ppd", tiny_base_folder, tmp_path / "out")
    run_training("ppd", tiny_base_folder, tmp_path / "out")
    assert same_outcome(tmp_path / "out", uninterrupted("ppd"))


def test_validation_pictures_that_a_kill_kept_from_being_drawn_are_drawn_then(
    tmp_path: Path, tiny_base_folder: Path
) -> None:
    often = ["validation.every=2"]
    with killed_at(recipe, "draw_grid"):
        run_training("sft", tiny_base_folder, tmp_path / "out", often)
    run_training("sft", tiny_base_folder, tmp_path / "out", often)
    drawn = sorted(path.name for path in (tmp_path / "out" / "validation").iterdir())
    assert drawn == ["step-000002.png", "step-000004.png", "step-000006.png"]


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
    assert torch.equal(kept, state["average"][name].half())
    assert not torch.equal(kept, state["adapter"][name].half())


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


def test_another_base_under_a_run_is_refused(tmp_path: Path, tiny_base_folder: Path) -> None:
    run_training("sft", tiny_base_folder, tmp_path / "out", ["steps=1"])
    (tmp_path / "base").mkdir()
    other = write_base(tmp_path / "base", seed=9)
    with pytest.raises(
        FingerprintMismatch, match=r"other settings: base \([0-9a-f]+ -> "
    ) as caught:
        run_training("sft", other, tmp_path / "out", ["steps=1"])
    assert "config.base" not in caught.value.cause  # where it lies is nobody's business


@pytest.mark.parametrize("moment", ["write", "fsync", "replace"])
def test_last_good_checkpoint_stays_when_the_disk_is_full(
    moment: str,
    tmp_path: Path,
    tiny_base_folder: Path,
    uninterrupted: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As the system refuses it, at the second checkpoint, at each place where it may."""
    output, calls = tmp_path / "out", 0
    real_write, real_sync, real_replace = atomic.write_atomic, os.fsync, Path.replace

    def refuse() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def write(path: Path, data: bytes | str, **how: Any) -> None:
        nonlocal calls
        calls += 1
        with pytest.MonkeyPatch.context() as patch:
            if calls == 2:
                patch.setattr(os, "fsync", lambda file: refuse() if moment == "fsync" else file)
                if moment == "replace":
                    patch.setattr(Path, "replace", lambda *_: refuse())
                if moment == "write":
                    patch.setattr(Path, "open", lambda *_, **__: FullFile())
            real_write(path, data, **how)

    class FullFile(io.BytesIO):
        def write(self, data: Any) -> int:
            refuse()
            return len(data)

    monkeypatch.setattr(checkpoints, "write_atomic", write)
    with pytest.raises(MissingPrerequisite, match=r"no space left while writing .*trainer_state"):
        run_training("ppd", tiny_base_folder, output)
    assert (os.fsync, Path.replace) == (real_sync, real_replace)
    assert torch.load(output / "trainer_state.pt", weights_only=True)["step"] == 2
    assert not [*output.glob(".*.part")]
    monkeypatch.undo()
    use_channel_rewards(monkeypatch.setattr)
    run_training("ppd", tiny_base_folder, output)
    assert same_outcome(output, uninterrupted("ppd"))


def test_manifest_of_an_older_run_does_not_end_this_one(
    tmp_path: Path, tiny_base_folder: Path, uninterrupted: Callable[[str], Path]
) -> None:
    """Its state deleted and other settings given: killed after the last step, it is not done."""
    output = tmp_path / "out"
    run_training("ppd", tiny_base_folder, output, ["seed=5"])
    (output / "trainer_state.pt").unlink()
    with killed_at(results, "save_adapter"):
        run_training("ppd", tiny_base_folder, output)
    run_training("ppd", tiny_base_folder, output)
    assert same_outcome(output, uninterrupted("ppd"))


def test_lost_adapter_is_written_again(tmp_path: Path, tiny_base_folder: Path) -> None:
    folder = run_training("sft", tiny_base_folder, tmp_path / "out")
    before = (folder / "adapter.safetensors").read_bytes()
    (folder / "adapter.safetensors").unlink()
    run_training("sft", tiny_base_folder, folder)
    assert (folder / "adapter.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("module", "name"),
    [(checkpoints, "write_atomic"), (RecordWriter, "write"), (encoding, "write_atomic")],
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
        with pytest.raises(MissingPrerequisite, match="no space left") as caught:
            run_training("ppd", tiny_base_folder, tmp_path / "out")
    assert "free some space" in caught.value.fix
    run_training("ppd", tiny_base_folder, tmp_path / "out")
    assert same_outcome(tmp_path / "out", uninterrupted("ppd"))
