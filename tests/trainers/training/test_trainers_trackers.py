"""TensorBoard and Weights & Biases: missed in time, told every number, shown the pictures."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from accelerate import Accelerator, utils
from PIL import Image
from tiny_cascade import at_step, run_training
from trained import metrics_of

from ppdbench.errors import Interrupted, MissingPrerequisite
from trainers.training import loop, opening, workshop
from trainers.training.trackers import GRID, check_tracker, send_grid


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_a_tracker_that_is_not_installed_is_said_at_once(
    name: str, tmp_path: Path, tiny_base_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(utils, f"is_{name}_available", lambda: False)
    monkeypatch.setattr(opening, "load_base", lambda *_, **__: pytest.fail("loaded first"))
    with pytest.raises(MissingPrerequisite, match=f"{name}, which is not installed") as caught:
        run_training("ppd", tiny_base_folder, tmp_path / "out", [f"tracker={name}"])
    assert "tracker=null" in caught.value.fix
    assert not (tmp_path / "out").exists()
    check_tracker(None)


def test_pictures_are_sent_in_the_order_that_each_tracker_reads() -> None:
    sent: list[tuple[str, Any, int, dict[str, Any]]] = []

    def tracker(name: str) -> SimpleNamespace:
        def log_images(values: dict[str, Any], *, step: int, **options: Any) -> None:
            sent.append((name, values[GRID], step, options))

        return SimpleNamespace(name=name, log_images=log_images)

    both: Any = SimpleNamespace(trackers=[tracker("tensorboard"), tracker("wandb")])
    send_grid(both, Image.new("RGB", (5, 3), "red"), step=7)
    assert [(name, step, options) for name, _, step, options in sent] == [
        ("tensorboard", 7, {"dataformats": "NHWC"}),
        ("wandb", 7, {}),
    ]
    for _, images, _, _ in sent:
        assert images.shape == (1, 3, 5, 3) and images.dtype == np.uint8


@pytest.mark.filterwarnings("ignore:.*no supported trackers")  # accelerate does not find it
@pytest.mark.usefixtures("channel_rewards")
def test_every_step_is_told_and_nothing_else_changes(
    tmp_path: Path, tiny_base_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[int, dict[str, float]]] = []
    monkeypatch.setattr(utils, "is_wandb_available", lambda: True)
    monkeypatch.setattr(Accelerator, "init_trackers", lambda *_, **__: None)
    monkeypatch.setattr(
        Accelerator, "log", lambda _, values, step: told.append((step, dict(values)))
    )
    folder = run_training("ppd", tiny_base_folder, tmp_path / "out", ["tracker=wandb"])
    rows = metrics_of(folder)
    assert [step for step, _ in told] == [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    for (_, values), row in zip(told, rows, strict=True):
        assert {"loss", "win_term", "lose_term", "grad_norm", "lr"} <= values.keys()
        assert all(row[name] == value for name, value in values.items())


@pytest.mark.filterwarnings("ignore:.*no supported trackers")
@pytest.mark.usefixtures("channel_rewards")
def test_a_tracker_is_closed_at_a_stop_and_not_opened_by_a_finished_run(
    tmp_path: Path, tiny_base_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    def begin(accelerator: Accelerator, *_: Any, **__: Any) -> None:
        told.append("begun")
        made: Any = SimpleNamespace(
            name="wandb",
            main_process_only=True,
            log=lambda *_, **__: None,
            log_images=lambda *_, **__: told.append("pictures"),
            finish=lambda: told.append("finished"),
        )
        accelerator.trackers.append(made)

    monkeypatch.setattr(utils, "is_wandb_available", lambda: True)
    monkeypatch.setattr(Accelerator, "init_trackers", begin)
    settings = ["tracker=wandb"]
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(loop, "_tell", at_step(3, lambda: os.kill(os.getpid(), signal.SIGINT)))
        run_training("ppd", tiny_base_folder, tmp_path / "out", settings)
    assert told == ["begun", "finished"]
    run_training("ppd", tiny_base_folder, tmp_path / "out", settings)
    assert told[2:] == ["begun", "pictures", "finished"]
    run_training("ppd", tiny_base_folder, tmp_path / "out", settings)
    assert len(told) == 5


@pytest.mark.filterwarnings("ignore:.*no supported trackers")
def test_a_tracker_that_nobody_logged_in_to_is_said_before_pairs_are_encoded(
    tmp_path: Path, tiny_base_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("api_key not configured\n(no-tty)")

    monkeypatch.setattr(utils, "is_wandb_available", lambda: True)
    monkeypatch.setattr(Accelerator, "init_trackers", refuse)
    monkeypatch.setattr(workshop, "encode_pairs", lambda *_, **__: pytest.fail("encoded first"))
    with pytest.raises(MissingPrerequisite, match=r"cannot be used: api_key not .*no-tty"):
        run_training("sft", tiny_base_folder, tmp_path / "out", ["tracker=wandb"])


@pytest.mark.usefixtures("channel_rewards")
def test_tensorboard_writes_beside_the_run(tmp_path: Path, tiny_base_folder: Path) -> None:
    pytest.importorskip("torch.utils.tensorboard")
    folder = run_training("ppd", tiny_base_folder, tmp_path / "out", ["tracker=tensorboard"])
    (events,) = (folder / "ppdbench").glob("events.out.*")
    data = events.read_bytes()
    assert b"win_term" in data and GRID.encode() in data
