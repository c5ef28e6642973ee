"""Adapters kept on the way (`keep_every`): what they are, and that they change nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_cascade import run_training
from trained import killed_at, same_outcome

from trainers.adapters import checkpoints
from trainers.adapters.header import ADAPTER_FILE, read_header
from trainers.training import loop, recipe

pytestmark = pytest.mark.usefixtures("channel_rewards")
KEEP = ["keep_every=2"]


def kept(folder: Path) -> dict[str, bytes]:
    files = (folder / "steps").glob("*/adapter.safetensors")
    return {path.parent.name: path.read_bytes() for path in files}


def test_kept_adapters_are_those_of_their_steps_and_change_nothing(
    tmp_path: Path, tiny_base_folder: Path, uninterrupted: Callable[[str], Path]
) -> None:
    seen: dict[int, dict[str, torch.Tensor]] = {}
    save = checkpoints.save_state

    def spy(folder: Path, state: dict[str, object]) -> None:
        tensors = state["adapter"]
        assert isinstance(tensors, dict)
        seen[int(str(state["step"]))] = {name: t.clone() for name, t in tensors.items()}
        save(folder, state)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "save_state", spy)
        folder = run_training("ppd", tiny_base_folder, tmp_path / "out", KEEP)
    assert sorted(kept(folder)) == ["000002", "000004"]  # the last one is the folder's own
    for step in (2, 4):
        place = folder / "steps" / f"{step:06}"
        header = read_header(place)
        assert (header.facts["step"], header.facts["steps"]) == (step, 6)
        for name, tensor in load_file(place / "adapter.safetensors").items():
            assert torch.equal(tensor, seen[step][name].half())
    assert "step" not in read_header(folder).facts
    assert same_outcome(folder, uninterrupted("ppd"))


@pytest.mark.parametrize(
    ("module", "name", "call"), [(loop, "save_state", 1), (recipe, "save_adapter", 2)]
)
def test_killed_between_keeping_and_saving_none_is_missing(
    module: object,
    name: str,
    call: int,
    tmp_path: Path,
    tiny_base_folder: Path,
) -> None:
    whole = run_training("ppd", tiny_base_folder, tmp_path / "whole", KEEP)
    with killed_at(module, name, call):
        run_training("ppd", tiny_base_folder, tmp_path / "out", KEEP)
    run_training("ppd", tiny_base_folder, tmp_path / "out", KEEP)
    assert kept(tmp_path / "out") == kept(whole)


def test_an_average_is_what_is_kept(tmp_path: Path, tiny_base_folder: Path) -> None:
    folder = run_training("ppd", tiny_base_folder, tmp_path / "out", [*KEEP, "optimizer.ema=0.9"])
    plain = run_training("ppd", tiny_base_folder, tmp_path / "plain", KEEP)
    assert kept(folder)["000004"] != kept(plain)["000004"]


def test_keeping_may_be_switched_on_when_a_run_goes_on(
    tmp_path: Path, tiny_base_folder: Path
) -> None:
    with killed_at(loop, "save_state", 2):
        run_training("ppd", tiny_base_folder, tmp_path / "out", ["keep_every=0"])
    folder = run_training("ppd", tiny_base_folder, tmp_path / "out", KEEP)
    assert sorted(kept(folder)) == ["000004"]
    assert (folder / ADAPTER_FILE).is_file()
