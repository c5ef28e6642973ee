"""Stopping a training as schedulers do: the state is saved, the exit is 0, a second one insists."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from tiny_cascade import run_training

from ppdbench.errors import Interrupted, Preempted
from trainers.encoded import encoding
from trainers.training import stop
from trainers.training.metrics import read_metrics
from trainers.training.stop import preemptible, stop_requests, stopped


def test_the_first_request_is_noted_and_the_second_insists(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [100.0]
    monkeypatch.setattr(stop, "time", SimpleNamespace(monotonic=lambda: now[0]))
    before = signal.getsignal(signal.SIGTERM)
    with stop_requests() as request:
        assert request.signal == 0
        for _ in range(3):  # the launcher passes on what the scheduler sent to all
            os.kill(os.getpid(), signal.SIGTERM)
            now[0] += 1
        assert request.signal == signal.SIGTERM
        now[0] += 1
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) is before


def test_only_sigterm_is_no_failure() -> None:
    assert type(stopped(signal.SIGTERM, 3, 6)) is Preempted
    assert type(stopped(signal.SIGINT, 3, 6)) is Interrupted
    assert (Preempted.exit_code, Interrupted.exit_code) == (0, 130)


def test_outside_of_steps_sigterm_is_heeded_at_once_and_ctrl_c_left_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Preempted, match="same command"), preemptible():
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before
    with pytest.raises(KeyboardInterrupt), preemptible():
        raise KeyboardInterrupt


def test_another_thread_sets_no_handlers() -> None:
    met: list[int] = []

    def work() -> None:
        with preemptible(), stop_requests() as request:
            met.append(request.signal)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert met == [0]


@pytest.mark.usefixtures("channel_rewards")
def test_sigterm_while_pairs_are_encoded(
    tmp_path: Path, tiny_base_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        encoding, "_encode_captions", lambda *_, **__: os.kill(os.getpid(), signal.SIGTERM)
    )
    with pytest.raises(Preempted):
        run_training("ppd", tiny_base_folder, tmp_path / "out")
    monkeypatch.undo()


SETTINGS = (
    "steps=100000", "batch_size=2", "data.limit=48", "data.margin_quantile=0",
    "validation.pairs=0", "validation.captions=0", "checkpoint_every=100000",
)  # fmt: skip


def start(output: Path) -> subprocess.Popen[str]:
    """The command itself, on the shipped base, once it has taken three more steps."""
    had = len(read_metrics(output / "metrics.jsonl")) if output.exists() else 0
    command = [sys.executable, "-m", "ppdbench", "train-reference", "--method", "sft"]
    process = subprocess.Popen(
        [*command, "--device", "cpu", "--output", str(output), *SETTINGS],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until = time.monotonic() + 120
    while time.monotonic() < until and process.poll() is None:
        metrics = output / "metrics.jsonl"
        if metrics.exists() and len(read_metrics(metrics)) >= had + 3:
            return process
        time.sleep(0.1)
    process.kill()
    raise AssertionError(process.communicate()[1])


@pytest.mark.slow
def test_a_scheduler_stops_the_command_and_starts_it_again(tmp_path: Path) -> None:
    output, steps = tmp_path / "out", 0
    for _ in range(2):
        process = start(output)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
        state = torch.load(output / "trainer_state.pt", weights_only=True)
        assert state["step"] == len(read_metrics(output / "metrics.jsonl")) >= steps + 3
        assert f"stopped: training stopped at step {state['step']} of 100000" in said
        assert "run the same command again" in said
        assert not (output / "manifest.json").exists()
        if steps:
            assert f"goes on at step {steps}" in said
        steps = state["step"]


@pytest.mark.slow
def test_a_second_signal_insists(tmp_path: Path) -> None:
    """The first one waits for a step that does not end."""
    slow = tmp_path / "slow.py"
    slow.write_text(
        "import sys, time\n"
        "from ppdbench.cli import main\n"
        "from trainers.training import loop\n"
        "real = loop._tell\n"
        "def tell(*given):\n"
        "    real(*given)\n"
        "    while given[3].step == 2: time.sleep(0.05)\n"
        "loop._tell = tell\n"
        "main()\n"
    )
    output = tmp_path / "out"
    command = [sys.executable, str(slow), "train-reference", "--method", "sft", "--device", "cpu"]
    process = subprocess.Popen(
        [*command, "--output", str(output), *SETTINGS], stderr=subprocess.PIPE, text=True
    )
    until = time.monotonic() + 120
    metrics = output / "metrics.jsonl"
    while time.monotonic() < until and process.poll() is None:
        if metrics.exists() and len(read_metrics(metrics)) == 2:
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    time.sleep(stop.ECHO + 1)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert not (output / "trainer_state.pt").exists()
