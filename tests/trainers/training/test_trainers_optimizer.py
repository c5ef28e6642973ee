"""The optimizer's kinds: all AdamW, the fused one where a device has it, 8 bits if installed."""

from __future__ import annotations

import importlib.util
import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from ppdbench.errors import MissingPrerequisite, UsageError
from trainers.config import OptimizerConfig
from trainers.config_file import CONFIGS, load_config
from trainers.training.optimizer import check_optimizer, make_optimizer

CPU = torch.device("cpu")


def parameters() -> list[nn.Parameter]:
    return [nn.Parameter(torch.ones(3))]


@pytest.mark.parametrize("kind", ["adamw", "fused"])
def test_both_are_adamw_with_the_settings(kind: Any) -> None:
    config = OptimizerConfig(kind=kind, lr=0.5, betas=(0.8, 0.95), weight_decay=0.25)
    made = make_optimizer(parameters(), config, CPU)
    assert type(made) is torch.optim.AdamW
    group = made.param_groups[0]
    assert (group["lr"], group["betas"], group["weight_decay"]) == (0.5, (0.8, 0.95), 0.25)
    assert not group.get("fused")  # on a CPU it would gain nothing


def test_fused_is_asked_for_where_a_device_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(torch.optim, "AdamW", lambda _, **settings: asked.append(settings))
    for kind, device in (("fused", "cuda"), ("adamw", "cuda"), ("fused", "cpu")):
        make_optimizer(parameters(), OptimizerConfig(kind=kind), torch.device(device))  # type: ignore[arg-type]
    assert [settings["fused"] for settings in asked] == [True, None, None]


def test_eight_bits_need_their_library(monkeypatch: pytest.MonkeyPatch) -> None:
    config = OptimizerConfig(kind="8bit", lr=0.5)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingPrerequisite, match="bitsandbytes") as caught:
        check_optimizer(config)
    assert "optimizer.kind=fused" in caught.value.fix
    check_optimizer(OptimizerConfig())
    monkeypatch.undo()
    made = SimpleNamespace(AdamW8bit=lambda _, **settings: settings)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    monkeypatch.setitem(sys.modules, "bitsandbytes", SimpleNamespace(optim=made))
    monkeypatch.setitem(sys.modules, "bitsandbytes.optim", made)
    assert make_optimizer(parameters(), config, CPU)["lr"] == 0.5  # type: ignore[index]


def test_eight_bits_cannot_be_split() -> None:
    path = CONFIGS / "pickapic" / "ppd.yaml"
    with pytest.raises(UsageError, match="8 bits"):
        load_config(path, ["shard=true", "compile=false", "optimizer.kind=8bit"])
