"""What ends a training from outside is told as what it is, and what else fails as it was."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_cascade import at_step, run_training
from trained import same_outcome

from ppdbench.errors import MissingPrerequisite, PpdbenchError
from trainers.training import loop
from trainers.training.mishaps import mishaps
from trainers.training.policy import Policy

GLOO = "[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:561] Connection closed by peer"


@pytest.mark.parametrize(
    "error", [RuntimeError(GLOO), torch.distributed.DistBackendError("NCCL error")], ids=type
)
def test_another_process_gone_is_no_defect_of_this_one(error: RuntimeError) -> None:
    with pytest.raises(PpdbenchError, match=r"another process .* says why") as caught, mishaps():
        raise error
    assert caught.value.exit_code == 1 and "same command" in caught.value.fix


def test_a_compiler_that_is_missing_is_named_and_what_goes_without_it() -> None:
    def broken(*_: object) -> None:
        raise OSError("No working C++ compiler found")

    compiled = torch.compile(lambda x: x + 1, backend=broken)
    with pytest.raises(MissingPrerequisite, match=r"No working C\+\+") as caught, mishaps():
        compiled(torch.zeros(1))
    assert "compile=false" in caught.value.fix


def test_other_errors_stay_what_they_are() -> None:
    for error in (RuntimeError("shapes differ"), PpdbenchError("cause", fix="fix")):
        with pytest.raises(type(error)) as caught, mishaps():
            raise error
        assert caught.value is error


@pytest.mark.usefixtures("channel_rewards")
def test_no_memory_names_what_needs_less_and_the_run_goes_on_with_it(
    tmp_path: Path, tiny_base_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_inputs: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nMore.")

    output, less = tmp_path / "out", ["gradient_checkpointing=true"]
    with monkeypatch.context() as patch:
        patch.setattr(loop, "_tell", at_step(3, lambda: patch.setattr(Policy, "reference", full)))
        with pytest.raises(MissingPrerequisite, match=r"2\.00 GiB") as caught:
            run_training("ppd", tiny_base_folder, output)
    assert "micro_batch" in caught.value.fix and "gradient_checkpointing" in caught.value.fix
    run_training("ppd", tiny_base_folder, output, less)
    whole = run_training("ppd", tiny_base_folder, tmp_path / "whole", less)
    assert same_outcome(output, whole)
